//! `explain`: what becomes of one notification or REST item, by the code that production runs.

mod compare;

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use app::ports::Clock as _;
use domain::contact::Contact;
use domain::directory::Directory;
use domain::explain::{ExplainContext, Explanation, SignatureCheck, explain as explain_input};
use domain::signature::{SignatureHeaders, verify};

use crate::args::ExplainArguments;
use crate::environment::{CLIENT_SECRET, Environment};
use crate::failure::Failure;
use crate::output::{json, line};
use clients::time::SystemClock;

/// Prints the explanation. Bad: what cannot be read, and a signature that does not fit.
pub(crate) fn explain(environment: &Environment, arguments: &ExplainArguments) -> Result<(), Failure> {
    let input = read(&arguments.file)?;
    let contact = arguments.contact.as_deref().map(read_contact).transpose()?;
    let check = match (&arguments.signature, &environment.client_secrets) {
        (None, _) => None,
        (Some(header), Some(secrets)) => Some(SignatureCheck { secrets, hub_header: header.trim() }),
        (Some(_), None) => {
            return Err(Failure::configuration(format!("--signature is checked with {CLIENT_SECRET}: set it")));
        }
    };
    let context = ExplainContext { workspace: None, now: SystemClock.now(), contact, directory: Directory::default() };
    let explanation = explain_input(&input, check, &environment.settings.rules, &context);
    let planned = match &arguments.settings {
        Some(path) => {
            let rules = compare::read_settings(path)?.rules;
            Some(explain_input(&input, check, &rules, &context))
        }
        None => None,
    };
    match (&planned, arguments.json) {
        (None, true) => json(&explanation)?,
        (None, false) => line(in_words(&explanation)),
        (Some(planned), true) => {
            let changed = in_words(&explanation) != in_words(planned);
            json(&serde_json::json!({ "now": explanation, "planned": planned, "changed": changed }))?;
        }
        (Some(planned), false) => match compare::difference(&in_words(&explanation), &in_words(planned)).as_str() {
            "" => line("these settings change nothing in what is sent for it"),
            difference => line(difference),
        },
    }
    let refused = check.is_some_and(|check| {
        verify(check.secrets, SignatureHeaders { hub: Some(check.hub_header.as_bytes()), body: None }, &input).is_err()
    });
    if refused {
        return Err(Failure::bad("the signature does not fit: the webhook would answer 401"));
    }
    if explanation.kind == "unreadable" {
        return Err(Failure::bad("the input cannot be read"));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(|error| Failure::bad(format!("stdin: {error}")))?;
        return Ok(bytes);
    }
    std::fs::read(path)
        .map_err(|error| Failure::configuration(format!("the file {} cannot be read: {error}", path.display())))
}

fn read_contact(path: &Path) -> Result<Contact, Failure> {
    Contact::parse(&read(path)?).map_err(|error| Failure::configuration(format!("{}: {error}", path.display())))
}

fn in_words(explanation: &Explanation) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "signature: {}", explanation.signature);
    let _ = writeln!(text, "kind: {}", explanation.kind);
    if let Some(topic) = &explanation.topic {
        let _ = writeln!(text, "topic: {topic}");
    }
    for finding in &explanation.findings {
        let _ = writeln!(text, "finding: {finding}");
    }
    for event in &explanation.events {
        let _ = writeln!(text, "\nevent: {}", event.metric);
        let _ = writeln!(text, "  key: {}\n  time: {}\n  contact: {}", event.key, event.time, event.contact);
        if let Some(note) = &event.note {
            let _ = writeln!(text, "  note: {note}");
        }
        let request = serde_json::to_string_pretty(&event.request).unwrap_or_default();
        let _ = writeln!(text, "  request: POST /api/events\n{request}");
    }
    if !explanation.fields.is_empty() {
        let _ = writeln!(text, "\nfields:");
    }
    for field in &explanation.fields {
        let _ = writeln!(text, "  {}: {}", field.path, field.fate);
    }
    text.trim_end().to_owned()
}
