//! A real browser: Chromium without a window, driven over WebDriver, and axe to judge what it shows.
//!
//! Chromium and its driver are the installed ones, else Debian's packages where the test may install them. axe comes as a Python
//! package, as the other tools of the tests do, and stays below `target/`; every version is fixed.

mod tools;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::request;
use crate::process::Process;
use crate::{binary, wait};

/// How long the page may take for what it does by itself: the machine may be busy.
pub const SOON: Duration = Duration::from_secs(60);

/// A window of the browser.
#[derive(Debug)]
pub struct Browser {
    driver: Process,
    address: String,
    session: String,
    _profile: tempfile::TempDir,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Part of a screenshot's name.
    pub name: &'static str,
    /// In CSS pixels.
    pub width: u32,
    /// In CSS pixels.
    pub height: u32,
    /// The colours that the reader prefers.
    pub dark: bool,
}

/// On a desk and in a hand, by day and by night.
pub const VIEWS: [View; 4] = [
    View { name: "wide-light", width: 1280, height: 860, dark: false },
    View { name: "wide-dark", width: 1280, height: 860, dark: true },
    View { name: "narrow-light", width: 390, height: 844, dark: false },
    View { name: "narrow-dark", width: 390, height: 844, dark: true },
];

const FLAGS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=en-GB",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
];

impl Browser {
    /// A window with a profile of its own, empty and thrown away afterwards.
    ///
    /// # Panics
    /// When there is no Chromium and none can be installed, or it does not start.
    pub fn start() -> Self {
        let (chromium, chromedriver) = tools::chromium();
        let profiles = binary::target_dir().join("browser");
        std::fs::create_dir_all(&profiles).expect("target/ can be written");
        let profile = tempfile::tempdir_in(&profiles).expect("a folder");
        let mut driver = Process::start(Command::new(chromedriver).args(["--port=0", "--allowed-ips=127.0.0.1"]));
        let line = driver.line("ChromeDriver was started successfully on port ");
        let address = format!("127.0.0.1:{}", line.trim().trim_end_matches('.'));
        let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": chromium, "args": flags},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let mut browser = Self { driver, address, session: String::new(), _profile: profile };
        // On a machine that is busy Chromium is now and then given up by its driver while it still starts.
        let mut tries = (0..3).map(|_| browser.try_call("POST", "/session", &wanted));
        let made = tries.find_map(Result::ok);
        drop(tries);
        let made = made.unwrap_or_else(|| browser.call("POST", "/session", &wanted));
        browser.session = made["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    /// Looks at an address, as by typing it.
    pub fn go(&self, url: &str) {
        self.command("POST", "/url", &json!({"url": url}));
    }

    /// Changes size and colours.
    pub fn look(&self, view: View) {
        let View { width, height, dark, .. } = view;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"}]});
        self.devtools("Emulation.setEmulatedMedia", &media);
    }

    /// What a script in the page returns.
    pub fn script(&self, script: &str, arguments: &[Value]) -> Value {
        self.command("POST", "/execute/sync", &json!({"script": script, "args": arguments}))
    }

    /// What a script in the page says by its last argument.
    pub fn later(&self, script: &str, arguments: &[Value]) -> Value {
        self.command("POST", "/execute/async", &json!({"script": script, "args": arguments}))
    }

    /// The text that a reader sees.
    pub fn text(&self) -> String {
        self.script("return document.body.innerText", &[]).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the reader sees a text.
    pub fn wait_for(&self, text: &str) {
        let seen = wait::try_until(SOON, || self.text().contains(text).then_some(()));
        assert!(
            seen.is_some(),
            "{text:?} was not shown within {SOON:?}; the page says:\n{}\n{}",
            self.text(),
            self.log()
        );
    }

    /// Waits until a script says true.
    pub fn wait_until(&self, what: &str, script: &str) {
        let holds = || (self.script(script, &[]) == Value::Bool(true)).then_some(());
        let seen = wait::try_until(SOON, holds);
        assert!(seen.is_some(), "{what} did not come within {SOON:?}; the page says:\n{}\n{}", self.text(), self.log());
    }

    /// Presses the visible button, link or summary with this name, as a reader does. Waits until it is there.
    pub fn press(&self, name: &str) {
        let script = "const name = (node) => node.getAttribute('aria-label') ?? node.innerText.trim();\n\
            const root = document.querySelector('dialog[open]') ?? document;\n\
            return [...root.querySelectorAll('button, a, summary')]\n\
            .find((node) => node.checkVisibility() && !node.disabled && name(node) === arguments[0]) ?? null;";
        let found = wait::try_until(SOON, || {
            let element = self.script(script, &[json!(name)]);
            let id = element.as_object()?.values().next()?.as_str()?.to_owned();
            // The page may draw itself anew between finding and pressing; then it is found again.
            self.try_call("POST", &format!("/session/{}/element/{id}/click", self.session), &json!({})).ok()
        });
        assert!(found.is_some(), "nothing to press is called {name:?}; the page says:\n{}", self.text());
    }

    /// Types into the control with this id, in place of what is there; `\u{e007}` is Enter.
    pub fn fill(&self, id: &str, text: &str) {
        self.wait_until(id, &format!("return document.getElementById('{id}') !== null"));
        let element = self.script("return document.getElementById(arguments[0])", &[json!(id)]);
        let id =
            element.as_object().and_then(|object| object.values().next()?.as_str()).expect("an element").to_owned();
        self.command("POST", &format!("/element/{id}/clear"), &json!({}));
        self.command("POST", &format!("/element/{id}/value"), &json!({"text": text}));
    }

    /// Presses keys where the focus is.
    pub fn keys(&self, keys: &str) {
        let presses: Vec<Value> = keys
            .chars()
            .flat_map(|key| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})])
            .collect();
        self.command("POST", "/actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": presses}]}));
    }

    /// Keeps what is seen under `target/screenshots`, the whole page.
    pub fn screenshot(&self, name: &str) {
        let folder = binary::target_dir().join("screenshots");
        std::fs::create_dir_all(&folder).expect("target/ can be written");
        let taken = self.devtools("Page.captureScreenshot", &json!({"captureBeyondViewport": true}));
        let png = decode(taken["data"].as_str().expect("a picture"));
        std::fs::write(folder.join(format!("{name}.png")), png).expect("target/ can be written");
    }

    /// What axe finds wrong with the page as it is now; empty when nothing.
    pub fn violations(&self) -> Vec<String> {
        if self.script("return typeof window.axe", &[]) != "object" {
            self.script(&std::fs::read_to_string(tools::axe()).expect("axe is installed"), &[]);
        }
        let script = "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] }).then(\n\
            (found) => done(found.violations.flatMap((violation) => violation.nodes.map(\n\
            (node) => `${violation.id}: ${node.html.slice(0, 160)} ${node.failureSummary}`))), (error) => done([String(error)]));";
        let found = self.later(script, &[]);
        found.as_array().expect("a list").iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What the browser complained about: scripts that failed, a policy that was broken, files that are not there.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.command("POST", "/se/log", &json!({"type": "browser"}));
        let severe = log.as_array().into_iter().flatten().filter(|line| line["level"] == "SEVERE");
        severe.map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// A cookie, as the browser keeps it.
    pub fn cookie(&self, name: &str) -> Option<Value> {
        let all = self.command("GET", "/cookie", &Value::Null);
        all.as_array()?.iter().find(|cookie| cookie["name"] == name).cloned()
    }

    fn log(&self) -> String {
        self.complaints().join("\n")
    }

    fn devtools(&self, method: &str, parameters: &Value) -> Value {
        self.command("POST", "/goog/cdp/execute", &json!({"cmd": method, "params": parameters}))
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("/session/{}{path}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_call(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let headers = [("content-type", "application/json; charset=utf-8")];
        let answer = request(&self.address, method, path, &headers, &bytes).map_err(|error| error.to_string())?;
        let value = answer.json()["value"].clone();
        if answer.status == 200 { Ok(value) } else { Err(value["message"].as_str().unwrap_or("no reason").to_owned()) }
    }
}

impl Drop for Browser {
    /// The driver ends its browser with the session; both are gone with the driver at the latest.
    fn drop(&mut self) {
        let _ = self.try_call("DELETE", &format!("/session/{}", self.session), &Value::Null);
        self.driver.terminate();
    }
}

/// Base64, the ordinary alphabet.
fn decode(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(text.len() * 3 / 4), 0_u32, 0_u32);
    for six in text.bytes().filter_map(value) {
        held = (held << 6) | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits).to_le_bytes()[0]);
        }
    }
    bytes
}

/// Where the screenshots are.
pub fn screenshots() -> PathBuf {
    binary::target_dir().join("screenshots")
}
