//! A world for one test: both stand-in vendors, the running product, somebody who watches its books all the time, and a
//! check at the end that its log says nothing about people.

mod log;
mod watcher;

use std::collections::BTreeMap;
use std::time::Duration;

use sandbox::intercom::{Acted, ContactSpec, DeliveryOptions, DeliveryState, sign};
use sandbox::klaviyo::StoredEvent;
use sandbox::scenario::{ExpectedEvent, check};
use sandbox::{Sandbox, SandboxConfig};
use serde_json::Value;
use tests::http::{Answer, Header, request};
use tests::wait::until;

use crate::product::{self, Product};
use watcher::Watcher;

pub(crate) const HOOK: &str = "/webhooks/intercom";
pub(crate) const TOKEN: &str = "console-token-of-the-tests";
pub(crate) const PREFIX: &str = "Intercom ";
/// For what takes a moment: generous, because the machine may be busy.
pub(crate) const SOON: Duration = Duration::from_secs(40);
/// For what waits for a contact's address to appear: the product gives it about 40 seconds.
pub(crate) const PARKING: Duration = Duration::from_secs(90);

/// Everything around one test. Consume it with [`World::finish`], or law 6 is not checked.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) product: Product,
    watcher: Watcher,
    private: Vec<String>,
}

impl World {
    /// Both vendors, and the product running with the settings' defaults.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`World::start`], with one line of settings.
    pub(crate) fn with_settings(settings: &str) -> Self {
        Self::start_with(&[("SETTINGS", settings)])
    }

    /// As [`World::start`], with further variables.
    pub(crate) fn start_with(variables: &[(&str, &str)]) -> Self {
        let mut world = Self::vendors();
        variables.iter().for_each(|(name, value)| world.set(name, value));
        world.run();
        world
    }

    /// The vendors alone.
    pub(crate) fn vendors() -> Self {
        let config = SandboxConfig::default();
        let mut variables = BTreeMap::from([
            ("INTERCOM_CLIENT_SECRET".to_owned(), config.client_secret.clone()),
            ("INTERCOM_ACCESS_TOKEN".to_owned(), config.access_token.clone()),
            ("KLAVIYO_API_KEY".to_owned(), config.klaviyo_key.clone()),
            ("CONSOLE_TOKEN".to_owned(), TOKEN.to_owned()),
            ("RUST_LOG".to_owned(), "debug".to_owned()),
        ]);
        let sandbox = Sandbox::start_on_thread(config).expect("the vendors start");
        variables.insert("INTERCOM_API_URL".to_owned(), sandbox.intercom_url());
        variables.insert("KLAVIYO_API_URL".to_owned(), sandbox.klaviyo_url());
        // A real minute between a failure and its retry would make the tests last as long.
        sandbox.intercom().set_delivery(DeliveryOptions { retry_after_ms: 500, ..DeliveryOptions::default() });
        let private = log::TEXTS_OF_THE_SCRIPT.iter().map(|text| (*text).to_owned()).collect();
        Self { sandbox, product: Product::new(variables), watcher: Watcher::start(), private }
    }

    /// Sets a variable for the next start.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.product.set(name, value);
    }

    /// Starts the product, and lets Intercom know its address.
    pub(crate) fn run(&mut self) {
        self.product.run();
        self.announce();
    }

    /// What takes minutes takes seconds from now on, or from the start on.
    pub(crate) fn hasten(&mut self) {
        self.product.hasten();
    }

    /// Lets Intercom know where the webhook is.
    pub(crate) fn announce(&self) {
        self.sandbox.intercom().set_webhook(format!("http://{}{HOOK}", self.product.webhook()));
        if product::EXACT_AT_EVERY_LOOK {
            self.watcher.look_at(Some(self.product.console()));
        }
    }

    /// Kills the product with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.watcher.look_at(None);
        self.product.kill();
    }

    /// An orderly end.
    pub(crate) fn stop(&mut self) {
        self.watcher.look_at(None);
        self.product.stop();
    }

    /// Something about a person that must not stand in the log.
    pub(crate) fn private(&mut self, text: &str) {
        self.private.push(text.to_owned());
    }

    /// A customer with an address of their own. Nothing is notified.
    pub(crate) fn customer(&mut self, name: &str) -> String {
        let email = format!("{}@customers.sandbox-shop.co", name.to_lowercase().replace(' ', "."));
        self.private(name);
        self.private(&email);
        let intercom = self.sandbox.intercom();
        intercom.clear_webhook();
        let id = intercom.add_contact(ContactSpec::user(email, name));
        if self.product.is_running() {
            self.announce();
        }
        id
    }

    /// `host:port` of the webhook.
    pub(crate) fn webhook(&self) -> &str {
        self.product.webhook()
    }

    /// What the product has logged so far.
    pub(crate) fn log(&self) -> String {
        self.product.log()
    }

    /// The header that Intercom would send with these bytes.
    pub(crate) fn signature(&self, body: &[u8]) -> String {
        sign(body, self.sandbox.intercom().client_secret())
    }

    /// Posts signed bytes.
    pub(crate) fn post(&self, body: &[u8]) -> Answer {
        self.post_with(&[("x-hub-signature", &self.signature(body))], body)
    }

    /// Posts bytes with these headers.
    pub(crate) fn post_with(&self, headers: &[Header<'_>], body: &[u8]) -> Answer {
        request(self.product.webhook(), "POST", HOOK, headers, body).expect("it answers")
    }

    /// Posts a notification around an item.
    pub(crate) fn notify(&self, topic: &str, item: &Value) -> Answer {
        self.post(&self.notification(topic, item))
    }

    /// A notification of this workspace that happened now.
    pub(crate) fn notification(&self, topic: &str, item: &Value) -> Vec<u8> {
        let intercom = self.sandbox.intercom();
        serde_json::json!({
            "type": "notification_event", "app_id": intercom.workspace_id(), "topic": topic, "id": "notif_of-the-test",
            "created_at": self.now(), "delivery_attempts": 1,
            "data": { "type": "notification_event_data", "item": item },
        })
        .to_string()
        .into_bytes()
    }

    /// Unix seconds.
    pub(crate) fn now(&self) -> i64 {
        self.sandbox.clock().now()
    }

    /// Asks the console's API.
    pub(crate) fn api(&self, method: &str, path: &str) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        request(self.product.console(), method, path, &[("authorization", &bearer)], b"").expect("it answers")
    }

    pub(crate) fn status(&self) -> Value {
        let answer = self.api("GET", "/api/status");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// One of the numbers of the status.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.status()[name].as_u64().unwrap_or_else(|| panic!("no count {name}"))
    }

    /// Waits until the status says so.
    pub(crate) fn wait_for(&self, what: &str, limit: Duration, says: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(what, limit, || {
                last = self.status();
                let found = says(&last).then(|| last.clone());
                if found.is_none() {
                    std::thread::sleep(product::BETWEEN_LOOKS);
                }
                found
            })
        }));
        found.unwrap_or_else(|_| panic!("waited {limit:?} in vain: {what}; the status says {last}"))
    }

    /// Waits until so many calls were accepted and none of them is in flight.
    pub(crate) fn wait_for_end(&self, accepted: u64, limit: Duration) -> Value {
        let settled = |status: &Value| status["accepted"].as_u64() >= Some(accepted) && status["in_flight"] == 0;
        self.wait_for(&format!("{accepted} accepted, none in flight"), limit, settled)
    }

    /// Waits until Intercom has delivered everything, and until all of it has its fate.
    pub(crate) fn wait_until_quiet(&self, limit: Duration) -> Value {
        self.wait_until_notified(limit);
        self.wait_for("nothing in flight", limit, |status| status["in_flight"] == 0)
    }

    /// Waits until Intercom has nothing more to deliver, and insists that nothing was lost.
    pub(crate) fn wait_until_notified(&self, limit: Duration) {
        let intercom = self.sandbox.intercom();
        let waits = || intercom.deliveries().iter().any(|delivery| delivery.state == DeliveryState::Waiting);
        until("Intercom has delivered everything", limit, || (!waits()).then_some(()));
        let lost: Vec<_> =
            intercom.deliveries().into_iter().filter(|delivery| delivery.state == DeliveryState::Lost).collect();
        assert!(lost.is_empty(), "Intercom gave up: {lost:?}");
    }

    /// Waits until Klaviyo holds so many events.
    pub(crate) fn wait_for_events(&self, count: usize, limit: Duration) -> Vec<StoredEvent> {
        let klaviyo = self.sandbox.klaviyo();
        until(&format!("{count} events at Klaviyo"), limit, || (klaviyo.event_count() >= count).then_some(()));
        klaviyo.events()
    }

    /// The event with this end of its key.
    pub(crate) fn event(&self, key: &str) -> StoredEvent {
        let events = self.sandbox.klaviyo().events();
        let whole = self.key(key);
        let found: Vec<_> = events.into_iter().filter(|event| event.unique_id.as_ref() == Some(&whole)).collect();
        assert_eq!(found.len(), 1, "events with key {whole}");
        found.into_iter().next().expect("there is one")
    }

    /// The whole key.
    pub(crate) fn key(&self, rest: &str) -> String {
        format!("intercom:{}:{rest}", self.sandbox.intercom().workspace_id())
    }

    /// Whether an event with this end of its key is there.
    pub(crate) fn has_event(&self, key: &str) -> bool {
        let whole = self.key(key);
        self.sandbox.klaviyo().events().iter().any(|event| event.unique_id.as_ref() == Some(&whole))
    }

    /// Klaviyo holds exactly this, once Intercom has delivered everything.
    pub(crate) fn holds_exactly(&self, expected: &[ExpectedEvent], prefix: &str, limit: Duration) {
        self.wait_until_notified(limit);
        let differences = || check(expected, &self.sandbox.klaviyo().events(), prefix);
        let deadline = std::time::Instant::now() + limit;
        while !differences().is_empty() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
        let left = differences();
        assert!(left.is_empty(), "{} differences, such as {:?}", left.len(), &left[..left.len().min(5)]);
    }

    /// Requests to Klaviyo's two event endpoints until now.
    pub(crate) fn klaviyo_requests(&self) -> u64 {
        let all = self.sandbox.klaviyo().requests();
        all.iter().filter(|count| count.method == "POST").map(|count| count.count).sum()
    }

    /// The end of every test: the books were right at every look, and the log is fit for strangers' eyes.
    pub(crate) fn finish(self) {
        if self.product.is_running() {
            self.product.check(|| self.status());
        }
        self.finish_without_books();
    }

    /// The end of a test that has put calls into the books, or taken the books away, behind the product's back.
    pub(crate) fn finish_without_books(mut self) {
        self.kill();
        self.watcher.finish();
        let profiles = self.sandbox.klaviyo().profiles();
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        for profile in &profiles {
            let names =
                [text(profile.attributes.get("last_name")), profile.email.clone(), profile.phone_number.clone()];
            self.private.extend(names.into_iter().flatten());
        }
        for log in self.product.logs() {
            log::check(&log, &self.private);
        }
    }
}

/// The id of the part that an action added last.
pub(crate) fn part(acted: &Acted) -> String {
    acted.parts.last().expect("it added a part").id.clone()
}

/// A conversation that a contact started, as a notification carries it.
pub(crate) fn conversation(id: &str, contact: &str, created_at: i64) -> Value {
    serde_json::json!({
        "type": "conversation", "id": id, "created_at": created_at, "updated_at": created_at, "state": "open",
        "source": {
            "type": "conversation", "id": id, "delivered_as": "customer_initiated", "body": "<p>Hello from the test</p>",
            "author": { "type": "user", "id": contact },
        },
        "contacts": { "type": "contact.list", "contacts": [{ "type": "contact", "id": contact }] },
        "conversation_parts": { "type": "conversation_part.list", "conversation_parts": [], "total_count": 0 },
    })
}
