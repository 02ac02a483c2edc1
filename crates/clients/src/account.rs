//! Klaviyo's side of setting it up: account, metrics, segments, flows, templates, deletions.

use app::ports::{Account, AccountMetric, CallError, Clock, Deletable, Documents, Jitter, KlaviyoAccount};
use bytes::Bytes;
use domain::limits::Endpoint;
use domain::recipes::AssetKind;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::klaviyo::{Api, KlaviyoClient, MOST_OF_A_LIST, json, unreadable};
use crate::transport::{Outgoing, Transport};

/// Pages of a list that are read. An account has some dozens of metrics, a page 200; names are filtered by Klaviyo.
const MOST_PAGES: usize = 25;

impl<C: Clock, J: Jitter, D: Documents> KlaviyoAccount for KlaviyoClient<C, J, D> {
    async fn account(&self) -> Result<Account, CallError> {
        self.0.account().await
    }

    async fn metrics(&self) -> Result<Vec<AccountMetric>, CallError> {
        self.0.metrics().await
    }

    async fn find_asset(&self, kind: AssetKind, name: &str) -> Result<Option<String>, CallError> {
        self.0.find_asset(kind, name).await
    }

    async fn create_asset(&self, kind: AssetKind, body: &Value) -> Result<String, CallError> {
        self.0.create_asset(kind, body).await
    }

    async fn request_deletion(&self, person: &Deletable) -> Result<(), CallError> {
        self.0.request_deletion(person).await
    }
}

#[derive(Deserialize)]
struct Accounts {
    data: Vec<WireAccount>,
}

#[derive(Deserialize)]
struct WireAccount {
    id: String,
    #[serde(default)]
    attributes: AccountAttributes,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AccountAttributes {
    test_account: Option<bool>,
    contact_information: Option<ContactInformation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContactInformation {
    organization_name: Option<String>,
    default_sender_name: Option<String>,
    default_sender_email: Option<String>,
}

/// One page of a list.
#[derive(Deserialize)]
struct Page<R> {
    data: Vec<R>,
    #[serde(default)]
    links: Links,
}

#[derive(Deserialize)]
struct WireAsset {
    id: String,
    attributes: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Created {
    data: CreatedAsset,
}

#[derive(Deserialize)]
struct CreatedAsset {
    id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Links {
    next: Option<String>,
}

#[derive(Deserialize)]
struct WireMetric {
    id: String,
    attributes: MetricAttributes,
}

#[derive(Deserialize)]
struct MetricAttributes {
    name: String,
    #[serde(default)]
    integration: Option<Integration>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Integration {
    name: Option<String>,
}

impl<T: Transport, C: Clock, J: Jitter, D: Documents> Api<T, C, J, D> {
    pub(crate) async fn account(&self) -> Result<Account, CallError> {
        let request = self.reading("accounts", "/api/accounts".to_owned());
        self.caller
            .call(&request, |reply| {
                let accounts: Accounts = json(reply.whole()?)?;
                let account = accounts.data.into_iter().next().ok_or_else(|| unreadable("without an account"))?;
                let contact = account.attributes.contact_information.unwrap_or_default();
                let some = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
                Ok(Account {
                    id: account.id,
                    sender: some(contact.default_sender_email).zip(some(contact.default_sender_name)),
                    name: contact.organization_name,
                    test: account.attributes.test_account.unwrap_or(false),
                })
            })
            .await
    }

    pub(crate) async fn metrics(&self) -> Result<Vec<AccountMetric>, CallError> {
        let metric = |metric: WireMetric| AccountMetric {
            id: metric.id,
            name: metric.attributes.name,
            integration: metric.attributes.integration.and_then(|integration| integration.name),
        };
        let mut question = self.reading("metrics", "/api/metrics".to_owned());
        question.endpoint = Endpoint::KlaviyoAssets;
        Ok(self.all_pages(question).await?.into_iter().map(metric).collect())
    }

    /// `GET /api/{segments,flows,templates}` by name. Klaviyo compares whole names; so do we, because a proxy of an older
    /// revision may leave the filter aside.
    pub(crate) async fn find_asset(&self, kind: AssetKind, name: &str) -> Result<Option<String>, CallError> {
        let what = match kind {
            AssetKind::Segment => "looking for segments (scope segments:read)",
            AssetKind::Flow => "looking for flows (scope flows:read)",
            AssetKind::Template => "looking for templates (scope templates:read)",
        };
        let filter = escape(&format!("equals(name,\"{}\")", name.replace('\\', "\\\\").replace('"', "\\\"")));
        let mut question = self.reading(what, format!("{}?filter={filter}", kind.path()));
        question.endpoint = Endpoint::KlaviyoAssets;
        let found: Vec<WireAsset> = self.all_pages(question).await?;
        Ok(found.into_iter().find(|asset| asset.attributes.name == name).map(|asset| asset.id))
    }

    /// <https://developers.klaviyo.com/en/reference/create_segment> and its siblings.
    pub(crate) async fn create_asset(&self, kind: AssetKind, body: &Value) -> Result<String, CallError> {
        let (what, endpoint) = match kind {
            AssetKind::Segment => ("making segments (scope segments:write)", Endpoint::KlaviyoCreates),
            AssetKind::Flow => ("making flows (scope flows:write)", Endpoint::KlaviyoCreates),
            AssetKind::Template => ("making templates (scope templates:write)", Endpoint::KlaviyoCreates),
        };
        let request = self.writing(endpoint, what, kind.path(), body);
        self.caller.call(&request, |reply| json::<Created>(reply.whole()?).map(|created| created.data.id)).await
    }

    /// <https://developers.klaviyo.com/en/reference/request_profile_deletion>.
    pub(crate) async fn request_deletion(&self, person: &Deletable) -> Result<(), CallError> {
        let identifier = match person {
            Deletable::Email(email) => json!({ "email": email }),
            Deletable::Phone(phone) => json!({ "phone_number": phone }),
        };
        let profile = json!({ "data": { "type": "profile", "attributes": identifier } });
        let body = json!({ "data": { "type": "data-privacy-deletion-job", "attributes": { "profile": profile } } });
        let what = "deletions (scope data-privacy:write)";
        let request = self.writing(Endpoint::KlaviyoAssets, what, "/api/data-privacy-deletion-jobs", &body);
        self.caller.call(&request, |_| Ok(())).await
    }

    async fn all_pages<R: for<'de> Deserialize<'de> + Send>(&self, mut request: Outgoing) -> Result<Vec<R>, CallError> {
        let mut all = Vec::new();
        for _ in 0..MOST_PAGES {
            let page: Page<R> = self.caller.call(&request, |reply| json(reply.whole()?)).await?;
            all.extend(page.data);
            // Only the query of the link is used, so that no answer can send us and our key to another host.
            let base = request.path.split('?').next().unwrap_or_default();
            let next = page.links.next.as_deref().and_then(|link| link.split_once('?'));
            let next = next.map(|(_, query)| format!("{base}?{query}")).filter(|next| *next != request.path);
            match next {
                Some(next) => request.path = next,
                None => break,
            }
        }
        Ok(all)
    }

    fn reading(&self, what: &'static str, path: String) -> Outgoing {
        let timeout = self.timeouts.single;
        Outgoing { endpoint: Endpoint::KlaviyoReads, what, path, body: None, timeout, most: MOST_OF_A_LIST }
    }

    fn writing(&self, endpoint: Endpoint, what: &'static str, path: &str, body: &Value) -> Outgoing {
        let (body, timeout) = (Some(Bytes::from(body.to_string())), self.timeouts.single);
        Outgoing { endpoint, what, path: path.to_owned(), body, timeout, most: MOST_OF_A_LIST }
    }
}

/// For a query: everything but letters, digits and `-_.~`.
fn escape(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
