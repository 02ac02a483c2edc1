//! The sandbox, the running binary, and a browser in front of its page.

use std::collections::BTreeMap;
use std::process::Command;

use sandbox::intercom::{ContactSpec, DeliveryOptions};
use sandbox::{Sandbox, SandboxConfig};
use serde_json::Value;
use tempfile::TempDir;
use tests::browser::{Browser, SOON};
use tests::http::request;
use tests::process::Process;
use tests::{binary, wait};

pub(crate) const TOKEN: &str = "console-token-of-the-browser-tests";

/// Everything around one test.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) browser: Browser,
    product: Process,
    address: String,
    _folder: TempDir,
}

impl World {
    /// With all keys.
    pub(crate) fn start() -> Self {
        Self::start_without(&[])
    }

    /// Without these variables.
    pub(crate) fn start_without(missing: &[&str]) -> Self {
        let config = SandboxConfig::default();
        let folder = tempfile::tempdir().expect("a folder");
        let mut variables = BTreeMap::from([
            ("INTERCOM_CLIENT_SECRET", config.client_secret.clone()),
            ("INTERCOM_ACCESS_TOKEN", config.access_token.clone()),
            ("KLAVIYO_API_KEY", config.klaviyo_key.clone()),
            ("CONSOLE_TOKEN", TOKEN.to_owned()),
            ("LISTEN", "127.0.0.1:0".to_owned()),
            ("DATA_DIR", folder.path().join("data").display().to_string()),
        ]);
        let sandbox = Sandbox::start_on_thread(config).expect("the vendors start");
        variables.insert("INTERCOM_API_URL", sandbox.intercom_url());
        variables.insert("KLAVIYO_API_URL", sandbox.klaviyo_url());
        variables.retain(|name, _| !missing.contains(name));
        sandbox.intercom().set_delivery(DeliveryOptions { retry_after_ms: 500, ..DeliveryOptions::default() });
        let mut command = Command::new(binary::path());
        command.arg("run").env_clear().envs(&variables).current_dir(folder.path());
        let mut product = Process::start(&mut command);
        let address = product.line("listening on http://");
        Self { sandbox, browser: Browser::start(), product, address, _folder: folder }
    }

    /// Lets Intercom tell of everything from now on.
    pub(crate) fn subscribe(&self) {
        self.sandbox.intercom().subscribe_all();
        self.announce();
    }

    /// Lets Intercom tell of one topic.
    pub(crate) fn subscribe_to(&self, topic: &str) {
        self.sandbox.intercom().subscribe([topic]);
        self.announce();
    }

    fn announce(&self) {
        let intercom = self.sandbox.intercom();
        intercom.set_webhook(format!("http://{}/webhooks/intercom", self.address));
    }

    /// A customer with an address of their own.
    pub(crate) fn customer(&self, name: &str) -> String {
        let email = format!("{}@customers.sandbox-shop.co", name.to_lowercase().replace(' ', "."));
        self.sandbox.intercom().add_contact(ContactSpec::user(email, name))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Opens the page and signs in.
    pub(crate) fn sign_in(&self) {
        self.browser.go(&self.url("/"));
        self.browser.fill("token", &format!("{TOKEN}\u{e007}"));
        self.drawn("overview");
    }

    /// Goes to a section by its link.
    pub(crate) fn section(&self, key: &str) {
        self.browser.script("document.querySelector(`nav a[href='#/${arguments[0]}']`).click()", &[key.into()]);
        self.drawn(key);
    }

    fn drawn(&self, key: &str) {
        let script = format!("return document.getElementById('content').dataset.drawn === '{key}'");
        self.browser.wait_until(&format!("the section {key}"), &script);
    }

    /// Waits until the status, by the API, says so.
    pub(crate) fn wait_for(&self, what: &str, says: impl Fn(&Value) -> bool) -> Value {
        let bearer = format!("Bearer {TOKEN}");
        let mut last = Value::Null;
        let found = wait::try_until(SOON, || {
            last = request(&self.address, "GET", "/api/status", &[("authorization", &bearer)], b"").ok()?.json();
            says(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("waited {SOON:?} in vain: {what}; the status says {last}"))
    }

    /// What the binary has logged.
    pub(crate) fn log(&self) -> String {
        self.product.stderr()
    }

    /// The browser had nothing to complain about, but for these.
    pub(crate) fn no_complaints_but(&self, expected: &[&str]) {
        let mut complaints = self.browser.complaints();
        complaints.retain(|complaint| !expected.iter().any(|expected| complaint.contains(expected)));
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}
