//! Looking into Klaviyo: which profiles it has, and which events arrived. Nothing that delivery needs.

use std::collections::{HashMap, HashSet};

use app::ports::{CallError, Clock, Documents, Jitter, KlaviyoReader, KnownBy, SeenEvent};
use domain::history::Span;
use domain::limits::Endpoint;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::intercom::segment;
use crate::klaviyo::{Api, KlaviyoClient, MOST_OF_A_LIST, json};
use crate::transport::{Outgoing, Transport};

/// The source of our metrics, by its name in Klaviyo.
const OURS: &str = "API";

#[derive(Deserialize)]
struct Page<T> {
    data: Vec<Resource<T>>,
}

#[derive(Deserialize)]
struct Resource<T> {
    attributes: T,
}

#[derive(Deserialize)]
struct ProfileAttributes {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    phone_number: Option<String>,
}

#[derive(Deserialize)]
struct EventAttributes {
    timestamp: i64,
    #[serde(default)]
    event_properties: EventProperties,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EventProperties {
    #[serde(rename = "Conversation ID")]
    conversation_id: Option<Value>,
}

impl<C: Clock, J: Jitter, D: Documents> KlaviyoReader for KlaviyoClient<C, J, D> {
    async fn metric_ids(&self) -> Result<HashMap<String, String>, CallError> {
        let metrics = self.0.metrics().await?.into_iter();
        // Klaviyo's own integration has metrics of almost the same names.
        let ours = metrics.filter(|metric| metric.integration.as_deref().is_none_or(|name| name == OURS));
        Ok(ours.map(|metric| (metric.name, metric.id)).collect())
    }

    async fn events(&self, metric_id: &str, span: Span) -> Result<Vec<SeenEvent>, CallError> {
        self.0.events(metric_id, span).await
    }

    async fn known(&self, by: KnownBy, values: &[String]) -> Result<HashSet<String>, CallError> {
        self.0.known(by, values).await
    }
}

impl<T: Transport, C: Clock, J: Jitter, D: Documents> Api<T, C, J, D> {
    /// `GET /api/events`, <https://developers.klaviyo.com/en/reference/get_events>.
    pub(crate) async fn events(&self, metric_id: &str, span: Span) -> Result<Vec<SeenEvent>, CallError> {
        let moment = |second: i64| Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
        let (from, to) = (moment(span.from), moment(span.to));
        let filter = format!(
            "equals(metric_id,{}),greater-or-equal(datetime,{from}),less-than(datetime,{to})",
            quoted(metric_id)
        );
        let query =
            format!("filter={}&page%5Bsize%5D=1000&fields%5Bevent%5D=timestamp,event_properties", escaped(&filter));
        let request = self.look("events", format!("/api/events?{query}"));
        let page: Page<EventAttributes> = self.caller.call(&request, |reply| json(reply.whole()?)).await?;
        let seen = page.data.into_iter().map(|event| SeenEvent {
            second: event.attributes.timestamp,
            item: event.attributes.event_properties.conversation_id.and_then(|id| id.as_str().map(str::to_owned)),
        });
        Ok(seen.collect())
    }

    /// `GET /api/profiles`, <https://developers.klaviyo.com/en/reference/get_profiles>.
    pub(crate) async fn known(&self, by: KnownBy, values: &[String]) -> Result<HashSet<String>, CallError> {
        if values.is_empty() {
            return Ok(HashSet::new());
        }
        let field = match by {
            KnownBy::Email => "email",
            KnownBy::Phone => "phone_number",
        };
        let list: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        let filter = escaped(&format!("any({field},[{}])", list.join(",")));
        let query = format!("filter={filter}&page%5Bsize%5D=100&fields%5Bprofile%5D={field}");
        let request = self.look("profiles", format!("/api/profiles?{query}"));
        let page: Page<ProfileAttributes> = self.caller.call(&request, |reply| json(reply.whole()?)).await?;
        let value = |profile: Resource<ProfileAttributes>| match by {
            KnownBy::Email => profile.attributes.email,
            KnownBy::Phone => profile.attributes.phone_number,
        };
        Ok(page.data.into_iter().filter_map(value).map(|value| value.to_lowercase()).collect())
    }

    fn look(&self, what: &'static str, path: String) -> Outgoing {
        let timeout = self.timeouts.single;
        Outgoing { endpoint: Endpoint::KlaviyoLookups, what, path, body: None, timeout, most: MOST_OF_A_LIST }
    }
}

/// As a string of Klaviyo's filter language, <https://developers.klaviyo.com/en/docs/filtering_>.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn escaped(text: &str) -> String {
    // Only a lone dot or two have no form as a segment, and no filter is that.
    segment(text).unwrap_or_default()
}
