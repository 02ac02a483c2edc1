//! Explains one notification or REST item: signature, topic, rule, every field with its fate, the exact request.
//!
//! It runs the same functions as production; only the sentences about fields are its own.

mod fields;
mod mask;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::activity::{Activity, Context, Finding, conversation_from_rest, from_notification, ticket_from_rest};
use crate::contact::Contact;
use crate::directory::Directory;
use crate::identity::Identity;
use crate::ids::ContactId;
use crate::intercom::{Call, read, read_rest};
use crate::mapping::{Mapping, Origin, identity_of, left_out};
use crate::rules::Rules;
use crate::signature::{ClientSecrets, SignatureHeaders, SignatureScheme, Verified, verify};

pub use mask::mask;

/// A signature to check along the way.
#[derive(Clone, Copy, Debug)]
pub struct SignatureCheck<'a> {
    /// The secrets that are valid.
    pub secrets: &'a ClientSecrets,
    /// The header's value.
    pub hub_header: &'a str,
}

/// What an explanation needs beside the input.
#[derive(Clone, Debug)]
pub struct ExplainContext {
    /// Our workspace; where it is not known, the input's own.
    pub workspace: Option<String>,
    /// The moment now.
    pub now: Timestamp,
    /// The contact, if it is at hand; else a stand-in is used and said so.
    pub contact: Option<Contact>,
    /// Names behind ids, where they are at hand.
    pub directory: Directory,
}

/// The explanation.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// What was found out about the signature.
    pub signature: String,
    /// `notification`, `conversation`, `ticket`, `contact` or `unreadable`.
    pub kind: &'static str,
    /// The topic of a notification.
    pub topic: Option<String>,
    /// What the rules say, one sentence a finding.
    pub findings: Vec<String>,
    /// The events that arise.
    pub events: Vec<ExplainedEvent>,
    /// Every field of the input with its fate.
    pub fields: Vec<FieldFate>,
}

/// An event, and the request that carries it.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedEvent {
    /// Full metric name.
    pub metric: String,
    /// `unique_id`.
    pub key: String,
    /// RFC 3339.
    pub time: String,
    /// Intercom's contact id.
    pub contact: String,
    /// What the contact lacks, or that it is a stand-in.
    pub note: Option<String>,
    /// Body of `POST /api/events`.
    pub request: Value,
}

/// A field of the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldFate {
    /// Dotted path; list entries by index.
    pub path: String,
    /// What becomes of it.
    pub fate: String,
}

/// Explains an input. Never fails: what cannot be read is explained as such.
pub fn explain(
    input: &[u8],
    signature: Option<SignatureCheck<'_>>,
    rules: &Rules,
    context: &ExplainContext,
) -> Explanation {
    let mut explanation = Explanation {
        signature: check_signature(input, signature),
        kind: "unreadable",
        topic: None,
        findings: Vec::new(),
        events: Vec::new(),
        fields: Vec::new(),
    };
    let json: Value = match serde_json::from_slice(input) {
        Ok(json) => json,
        Err(error) => {
            explanation.findings.push(format!("dead-lettered: the body is {}", crate::parse::describe(&error)));
            return explanation;
        }
    };
    let explainer = Explainer { rules, context };
    if json.get("topic").is_some() || json.get("data").is_some() {
        explainer.notification(input, &json, &mut explanation);
    } else {
        explainer.rest(input, &json, &mut explanation);
    }
    explanation.fields = fields::fates(&json, explanation.kind, rules, &sent_fields(&explanation.events));
    explanation
}

fn check_signature(input: &[u8], check: Option<SignatureCheck<'_>>) -> String {
    let Some(check) = check else { return "not checked: no header given".to_owned() };
    let headers = SignatureHeaders { hub: Some(check.hub_header.as_bytes()), body: None };
    match verify(check.secrets, headers, input) {
        Ok(_) => "valid".to_owned(),
        Err(error) => format!("refused with 401: {error}"),
    }
}

/// Names of the properties that the events really carry.
fn sent_fields(events: &[ExplainedEvent]) -> Vec<String> {
    let names = |event: &ExplainedEvent, pointer: &str| {
        event.request.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let mut sent = Vec::new();
    for event in events {
        sent.extend(names(event, "/data/attributes/properties").into_iter().map(|(name, _)| name));
        let profile = "/data/attributes/profile/data/attributes";
        sent.extend(names(event, profile).into_iter().map(|(name, _)| name));
        for nested in ["properties", "location"] {
            sent.extend(names(event, &format!("{profile}/{nested}")).into_iter().map(|(name, _)| name));
        }
    }
    sent
}

struct Explainer<'a> {
    rules: &'a Rules,
    context: &'a ExplainContext,
}

impl Explainer<'_> {
    fn notification(&self, input: &[u8], json: &Value, explanation: &mut Explanation) {
        explanation.topic = json.get("topic").and_then(Value::as_str).map(str::to_owned);
        let notification = match read(Verified::from_queue(SignatureScheme::Hub, input)) {
            Ok(Call::Notification(notification)) => notification,
            Ok(_) => return,
            Err(error) => return explanation.findings.push(format!("dead-lettered: {error}")),
        };
        explanation.kind = "notification";
        let Some(app_id) = notification.app_id.get() else {
            return explanation.findings.push("dead-lettered: the notification has no app_id".to_owned());
        };
        if self.context.workspace.as_deref().is_some_and(|ours| ours != app_id) {
            return explanation.findings.push("skipped: other workspace".to_owned());
        }
        let rules = Context { workspace: app_id, rules: self.rules, now: self.context.now };
        self.findings(from_notification(&rules, &notification), Origin::Live, explanation);
    }

    fn rest(&self, input: &[u8], json: &Value, explanation: &mut Explanation) {
        let kind = json.get("type").and_then(Value::as_str);
        if kind == Some("contact") {
            explanation.kind = "contact";
            return self.contact(input, explanation);
        }
        let item = match read_rest(input) {
            Ok(item) => item,
            Err(error) => return explanation.findings.push(format!("unreadable: {error}")),
        };
        let rules = Context {
            workspace: self.context.workspace.as_deref().unwrap_or("unknown"),
            rules: self.rules,
            now: self.context.now,
        };
        let is_ticket = kind == Some("ticket") || json.get("ticket_parts").is_some();
        let findings = if is_ticket {
            explanation.kind = "ticket";
            ticket_from_rest(&rules, &item)
        } else {
            explanation.kind = "conversation";
            conversation_from_rest(&rules, &item)
        };
        self.findings(findings, Origin::History, explanation);
    }

    fn contact(&self, input: &[u8], explanation: &mut Explanation) {
        match Contact::parse(input) {
            Ok(contact) => {
                explanation.findings.push(match left_out(&contact, &self.rules.contacts, &self.context.directory) {
                    Some(rule) => format!("left out by the settings: {rule}"),
                    None if identity_of(&contact, self.rules).is_known() => "can be identified in Klaviyo".to_owned(),
                    None => "cannot be identified: no e-mail address and no phone number in E.164; its events wait"
                        .to_owned(),
                })
            }
            Err(error) => explanation.findings.push(error.to_string()),
        }
    }

    fn findings(&self, findings: Vec<Finding<'_>>, origin: Origin, explanation: &mut Explanation) {
        for finding in findings {
            match finding {
                Finding::Event(activity) => {
                    explanation.findings.push(format!("event: {}", self.rules.metric_name(activity.metric)));
                    explanation.events.push(self.event(&activity, origin));
                }
                Finding::Skip(reason) => explanation.findings.push(format!("skipped: {reason}")),
                Finding::Odd(missing) => {
                    explanation.findings.push(format!("dead-lettered: the notification has no {missing}"));
                }
            }
        }
    }

    fn event(&self, activity: &Activity<'_>, origin: Origin) -> ExplainedEvent {
        let given = self.context.contact.clone();
        let stand_in = given.is_none();
        let contact = given.unwrap_or_else(|| stand_in_for(&activity.contact));
        let identity = if stand_in {
            Identity { email: contact.email.clone(), ..Identity::default() }
        } else {
            identity_of(&contact, self.rules)
        };
        let note = match (stand_in, identity.is_known()) {
            (true, _) => Some("the contact is a stand-in; production asks Intercom for it".to_owned()),
            (false, false) => Some("the contact has no e-mail address and no phone number: the event waits".to_owned()),
            (false, true) => left_out(&contact, &self.rules.contacts, &self.context.directory)
                .map(|rule| format!("not sent: the settings leave this contact out ({rule})")),
        };
        let mapping = Mapping {
            rules: self.rules,
            directory: &self.context.directory,
            app_url: "https://app.intercom.com",
            origin,
        };
        let event = mapping.event(activity, &contact, &identity);
        ExplainedEvent {
            metric: event.metric.clone(),
            key: event.key.as_str().to_owned(),
            time: crate::mapping::rfc3339(event.time),
            contact: event.contact.as_str().to_owned(),
            note,
            request: serde_json::from_slice(&event.single_body()).unwrap_or(Value::Null),
        }
    }
}

/// A contact with the right id and nothing else that is real.
fn stand_in_for(id: &ContactId) -> Contact {
    Contact { email: Some("contact@stand-in.invalid".to_owned()), ..Contact::with_id(id.clone()) }
}
