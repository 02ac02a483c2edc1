use std::collections::BTreeSet;
use std::time::Duration;

use domain::Metric;
use domain::rules::Choice;

use super::{KEYS, Settings, markdown_table};

#[track_caller]
fn parsed(text: &str) -> Settings {
    Settings::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn check_refused(text: &str, expected: &str) {
    match Settings::parse(text) {
        Ok(_) => panic!("was taken: {text}"),
        Err(error) => assert_eq!(error.to_string(), expected),
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn nothing_gives_the_defaults() {
    for text in ["", "\n\n", "# only a comment\n", "{}", "[metrics]\n", "\u{feff}"] {
        assert_eq!(parsed(text), Settings::default());
    }
}

#[test]
fn the_defaults_in_the_table_are_the_defaults() {
    let document: String = KEYS.iter().map(|key| format!("{} = {}\n", key.name, key.default)).collect();
    assert_eq!(parsed(&document), Settings::default());
}

#[test]
fn every_metric_has_its_switch() {
    for metric in Metric::ALL {
        let name = format!("metrics.{}", metric.setting());
        assert!(KEYS.iter().any(|key| key.name == name), "{name} is missing");
        assert!(!parsed(&format!("{name} = false")).rules.wants(metric));
        assert!(parsed(&format!("{name} = true")).rules.wants(metric));
    }
}

#[test]
fn toml_and_one_line_of_json_say_the_same() {
    let toml = r#"
        metric_prefix = ""
        reconcile_interval_seconds = 0
        history_days = 90
        parked_days = 7
        [metrics]
        read_conversation = false
        [contacts]
        except_email_domains = ["@Example.com", "intern.example.org"]
        [attributes]
        ticket = { except = ["Secret"] }
        contact = "none"
        conversation = ["Plan"]
        [retention]
        ledger_days = 400
    "#;
    let json = r#"{"metric_prefix":"","reconcile_interval_seconds":0,"history_days":90,"parked_days":7,
        "metrics":{"read_conversation":false},"contacts.except_email_domains":["example.com","intern.example.org"],
        "attributes":{"ticket":{"except":["Secret"]},"contact":"none","conversation":["Plan"]},
        "retention":{"ledger_days":400}}"#;
    let settings = parsed(toml);
    assert_eq!(settings, parsed(json));
    assert_eq!(settings.rules.metric_name(Metric::CreatedTicket), "Created Ticket");
    assert_eq!(settings.reconcile_interval, None);
    assert_eq!(settings.history_days, Some(90));
    assert_eq!(settings.parked_for, Duration::from_secs(7 * 86_400));
    assert_eq!(settings.rules.contacts.except_email_domains, set(&["example.com", "intern.example.org"]));
    assert_eq!(settings.rules.attributes.ticket, Choice::Except(set(&["Secret"])));
    assert_eq!(settings.rules.attributes.contact, Choice::Only(BTreeSet::new()));
    assert_eq!(settings.rules.attributes.conversation, Choice::Only(set(&["Plan"])));
    assert_eq!(settings.retention.ledger, Some(Duration::from_secs(400 * 86_400)));
}

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    check_refused(
        "metric_prefx = \"x\"",
        "the settings cannot be used: there is no setting `metric_prefx`; the nearest is `metric_prefix`",
    );
    check_refused(
        "read_conversation = false",
        "the settings cannot be used: there is no setting `read_conversation`; the nearest is `metrics.read_conversation`",
    );
    check_refused(
        "[metric]\nresolved_ticket = false",
        "the settings cannot be used: there is no setting `metric.resolved_ticket`; the nearest is `metrics.resolved_ticket`",
    );
    check_refused(
        "{\"contacts\":{\"except_domains\":[]}}",
        "the settings cannot be used: there is no setting `contacts.except_domains`; \
         the nearest is `contacts.except_email_domains`",
    );
}

#[test]
fn a_value_under_an_unknown_key_is_not_repeated() {
    let error = Settings::parse("klaviyo_api_key = \"pk_1234\"").expect_err("is refused");
    assert!(!error.to_string().contains("pk_1234"), "{error}");
}

#[test]
fn bad_values_say_what_was_found_and_what_is_wanted() {
    check_refused(
        "history_days = \"all\"",
        "the settings cannot be used: `history_days` is \"all\", wanted: whole number from 0 to 36500",
    );
    check_refused(
        "history_days = -1",
        "the settings cannot be used: `history_days` is -1, wanted: whole number from 0 to 36500",
    );
    check_refused(
        "metrics = false",
        "the settings cannot be used: `metrics` is false, wanted: a table with keys such as `metrics.created_conversation`",
    );
    check_refused(
        "[metric_prefix]\nx = 1",
        "the settings cannot be used: `metric_prefix` is a table, wanted: text of at most 64 characters",
    );
    check_refused(
        "contacts.except_email_domains = [\"a@b.com\"]",
        "the settings cannot be used: `contacts.except_email_domains` is [\"a@b.com\"], \
         wanted: list of domains such as \"example.com\"",
    );
}

#[test]
fn all_problems_are_in_one_message() {
    check_refused(
        "histori_days = 3\nparked_days = 0\n[metrics]\nread_conversation = \"no\"",
        "the settings cannot be used, 3 things are wrong:\n\
         \x20 - there is no setting `histori_days`; the nearest is `history_days`\n\
         \x20 - `metrics.read_conversation` is \"no\", wanted: true or false\n\
         \x20 - `parked_days` is 0, wanted: whole number from 1 to 365",
    );
}

#[test]
fn text_that_cannot_be_read_says_where() {
    check_refused(
        "{\"metric_prefix\": }",
        "the settings cannot be used: the text begins with `{` and is not valid JSON at line 1, column 19",
    );
    let error = Settings::parse("history_days = 3\nmetric_prefix = oops").expect_err("is refused").to_string();
    assert!(error.contains("not valid TOML at line 2, column"), "{error}");
}

#[test]
fn a_path_is_told_from_settings() {
    for inline in ["{}", "metric_prefix = \"\"", "[metrics]", "# nothing", " {\"history_days\":1}"] {
        assert!(Settings::is_inline(inline), "{inline}");
    }
    for path in ["settings.toml", "/etc/intercom-klaviyo/settings.toml", "./a b.toml"] {
        assert!(!Settings::is_inline(path), "{path}");
    }
}

#[test]
fn the_documentation_lists_every_key() {
    let table = markdown_table();
    assert_eq!(table.lines().count(), KEYS.len() + 2);
    assert!(table.contains("| `history_days` | whole number from 0 to 36500 | `0` | How far back"));
}
