//! The shop that all tests are about, and a readable form of what comes out.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use domain::activity::{Activity, Context, Finding, conversation_from_rest, from_notification, ticket_from_rest};
use domain::contact::Contact;
use domain::directory::{Directory, Person};
use domain::intercom::{Call, read, read_rest};
use domain::klaviyo::{PreparedEvent, PreparedProfile};
use domain::mapping::{Mapping, Origin, identity_of, rfc3339};
use domain::metric::Metric;
use domain::{ContactId, Rules, SignatureScheme, Verified};
use jiff::Timestamp;
use serde_json::Value;

pub(crate) const WORKSPACE: &str = "lnl8w2q7";
pub(crate) const MARA: &str = "64a1f0c2d3b4e5a6978812ab";
pub(crate) const TOBIN: &str = "64a1f0c2d3b4e5a6978812cd";

/// When the fixtures' stories begin. Everything in them is told in seconds after it.
pub(crate) const START: i64 = 1_790_000_000;

/// Three days later.
pub(crate) fn now() -> Timestamp {
    at(259_200)
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).expect("a time")
}

pub(crate) fn fixture_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/payloads")
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = fixture_dir().join(format!("{name}.json"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names of all fixtures, sorted.
pub(crate) fn fixture_names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(fixture_dir())
        .expect("the fixtures")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// A directory beside the repository, or where `SHARED_DIR` says; not everybody has it.
pub(crate) fn shared(inner: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SHARED_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    Some(root.join(inner)).filter(|path| path.exists())
}

pub(crate) fn every_metric() -> Rules {
    Rules { metrics: Metric::ALL.into_iter().collect(), ..Rules::default() }
}

pub(crate) fn directory() -> Directory {
    let person = |id: &str, name: &str| Person {
        id: id.to_owned(),
        name: Some(name.to_owned()),
        email: Some(format!("{}@lantern.test", name.split(' ').next().unwrap_or_default().to_lowercase())),
    };
    let named = |id: &str, name: &str| (id.to_owned(), name.to_owned());
    Directory::new(
        vec![person("7301", "Ines Okoro"), person("7300", "Crumb")],
        vec![named("512", "Wholesale")],
        vec![named("41", "wholesale"), named("42", "bonn")],
    )
}

/// Mara, with the id that the event asks for.
pub(crate) fn contact(id: &ContactId) -> Contact {
    let mara = Contact::parse(&fixture("rest.contact.user.v2_16")).expect("the contact reads");
    Contact { id: id.clone(), ..mara }
}

/// Reads a notification or REST item as production does and hands the findings on. `None` where the bytes are no such thing.
pub(crate) fn with_findings<R>(
    input: &[u8],
    rules: &Rules,
    look: impl FnOnce(&[Finding<'_>], Origin) -> R,
) -> Option<R> {
    let json: Value = serde_json::from_slice(input).ok()?;
    let context = Context { workspace: WORKSPACE, rules, now: now() };
    if json.get("topic").is_some() {
        let Ok(Call::Notification(notification)) = read(Verified::from_queue(SignatureScheme::Hub, input)) else {
            return None;
        };
        return Some(look(&from_notification(&context, &notification), Origin::Live));
    }
    let item = read_rest(input).ok()?;
    let is_ticket = json.get("type").and_then(Value::as_str) == Some("ticket");
    let findings = if is_ticket { ticket_from_rest(&context, &item) } else { conversation_from_rest(&context, &item) };
    Some(look(&findings, Origin::History))
}

/// The event for an activity, with Mara as contact.
pub(crate) fn event(activity: &Activity<'_>, rules: &Rules, origin: Origin) -> PreparedEvent {
    event_for(activity, &contact(&activity.contact), rules, origin)
}

pub(crate) fn event_for(activity: &Activity<'_>, contact: &Contact, rules: &Rules, origin: Origin) -> PreparedEvent {
    let directory = directory();
    let mapping = Mapping { rules, directory: &directory, app_url: "https://app.intercom.com", origin };
    mapping.event(activity, contact, &identity_of(contact, rules))
}

/// The contact's profile, to be written without an event.
pub(crate) fn profile_alone(contact: &Contact, rules: &Rules) -> PreparedProfile {
    let directory = directory();
    let mapping = Mapping { rules, directory: &directory, app_url: "", origin: Origin::Live };
    mapping.profile_alone(contact, &identity_of(contact, rules))
}

/// All events of an input, as they would be sent.
pub(crate) fn events(input: &[u8], rules: &Rules) -> Vec<PreparedEvent> {
    with_findings(input, rules, |findings, origin| {
        findings
            .iter()
            .filter_map(|finding| match finding {
                Finding::Event(activity) => Some(event(activity, rules, origin)),
                _ => None,
            })
            .collect()
    })
    .unwrap_or_default()
}

/// The request that carries an event.
pub(crate) fn request(event: &PreparedEvent) -> Value {
    serde_json::from_slice(&event.single_body()).expect("the request is JSON")
}

/// One finding in one line: `Created Ticket, ticket-created:7, +2 s, mara`.
pub(crate) fn line(finding: &Finding<'_>) -> String {
    match finding {
        Finding::Event(activity) => format!(
            "{}, {}, {:+} s, {}{}",
            activity.metric.name(),
            activity.key.as_str().strip_prefix("intercom:lnl8w2q7:").unwrap_or(activity.key.as_str()),
            activity.time.as_second() - START,
            match activity.contact.as_str() {
                MARA => "mara",
                TOBIN => "tobin",
                other => other,
            },
            if activity.estimated { ", estimated" } else { "" },
        ),
        Finding::Skip(reason) => format!("skipped: {reason}"),
        Finding::Odd(missing) => format!("dead: no {missing}"),
    }
}

pub(crate) fn lines(input: &[u8], rules: &Rules) -> Vec<String> {
    with_findings(input, rules, |findings, _| findings.iter().map(line).collect())
        .unwrap_or_else(|| vec!["unreadable".to_owned()])
}

/// What came of an input: findings, then every request.
pub(crate) fn rendered(input: &[u8], rules: &Rules) -> String {
    let mut out = lines(input, rules).join("\n");
    out.push('\n');
    for event in events(input, rules) {
        let request = request(&event);
        let attributes = &request["data"]["attributes"];
        let _ = write!(
            out,
            "\n{} at {} as {}{}\n",
            attributes["metric"]["data"]["attributes"]["name"].as_str().unwrap_or_default(),
            rfc3339(event.time),
            attributes["unique_id"].as_str().unwrap_or_default(),
            if attributes["backfill"] == true { ", backfill" } else { "" },
        );
        for (name, value) in attributes["properties"].as_object().into_iter().flatten() {
            let _ = writeln!(out, "  {name}: {value}");
        }
        let profile = &attributes["profile"]["data"]["attributes"];
        let _ = writeln!(out, "  profile of {}", profile["properties"]["Intercom contact ID"]);
    }
    out
}

/// A fixture with some nodes set or taken out.
pub(crate) struct Variant(Value);

impl Variant {
    pub(crate) fn of(name: &str) -> Self {
        Self(serde_json::from_slice(&fixture(name)).expect("the fixture is JSON"))
    }

    /// Sets a member. Paths of notifications begin at `data.item`, or at the envelope with a leading `^`.
    pub(crate) fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        let (parent, last) = self.parent(path);
        match parent {
            Value::Array(items) => items[last.parse::<usize>().expect("an index")] = value.into(),
            parent => parent[last] = value.into(),
        }
        self
    }

    pub(crate) fn push(mut self, path: &str, value: Value) -> Self {
        let (parent, last) = self.parent(path);
        parent[last].as_array_mut().expect("a list").push(value);
        self
    }

    pub(crate) fn without(mut self, path: &str) -> Self {
        let (parent, last) = self.parent(path);
        match parent {
            Value::Array(items) => drop(items.remove(last.parse().expect("an index"))),
            Value::Object(members) => assert!(members.remove(last).is_some(), "{path} is not there"),
            _ => panic!("{path} is in no list or object"),
        }
        self
    }

    pub(crate) fn get(&self, path: &str) -> &Value {
        self.0.pointer(&self.pointer(path)).unwrap_or_else(|| panic!("{path} is not there"))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("JSON")
    }

    fn pointer(&self, path: &str) -> String {
        match path.strip_prefix('^') {
            None if self.0.get("data").is_some() => format!("/data/item{path}"),
            None => path.to_owned(),
            Some(envelope) => envelope.to_owned(),
        }
    }

    fn parent<'p>(&mut self, path: &'p str) -> (&mut Value, &'p str) {
        let (_, last) = path.rsplit_once('/').expect("a path");
        let full = self.pointer(path);
        let parent = &full[..full.len() - last.len() - 1];
        (self.0.pointer_mut(parent).unwrap_or_else(|| panic!("{path} has no parent")), last)
    }
}
