//! What the documentation says and the code knows must be the same.
//!
//! `UPDATE_DOCS=1 cargo test --workspace --test documentation` writes the tables.

use std::fmt::Write as _;
use std::fs;

use app::settings::{KEYS, markdown_table};
use domain::mapping::catalog;
use domain::topics::{Purpose, TOPICS};
use domain::{Metric, Rules};

const README: &str = "README.md";
const METRICS: &str = "docs/metrics.md";

fn path(file: &str) -> String {
    format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Holds a table between its markers against the code, or writes it.
#[track_caller]
fn table(file: &str, name: &str, wanted: &str) {
    let whole = text(file);
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (head, rest) = whole.split_once(&begin).unwrap_or_else(|| panic!("{file} has no {begin}"));
    let (found, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("{file} has no {end}"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let written = format!("{head}{begin}{}\n{end}{tail}", wanted.trim_end());
        fs::write(path(file), written).expect("writes");
        return;
    }
    assert_eq!(found.trim_end(), wanted.trim_end(), "run again with UPDATE_DOCS=1");
}

#[test]
fn the_settings_table_is_made_from_the_code() {
    table(README, "settings", &markdown_table());
}

/// One test, because both tables stand in one file.
#[test]
fn metrics_and_properties_are_made_from_the_code() {
    table(METRICS, "metrics", &metrics());
    table(METRICS, "properties", &catalog::markdown_table());
}

fn metrics() -> String {
    let rules = Rules::default();
    let mut lines = "| metric | when | default | history | topics |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for metric in Metric::ALL {
        let setting = |prefix: &str| KEYS.iter().find(|key| key.name == format!("{prefix}.{}", metric.setting()));
        let when = setting("metrics").expect("every metric has a switch").explanation.trim_end_matches('.');
        let default = if metric.on_by_default() { "on" } else { "off" };
        let history = match (rules.history_metrics.contains(&metric), setting("history_metrics")) {
            (true, _) => "yes".to_owned(),
            (false, Some(key)) => format!("`{}`", key.name),
            (false, None) => "no".to_owned(),
        };
        let carries = |purpose: Purpose| matches!(purpose, Purpose::Metrics(metrics) if metrics.contains(&metric));
        let topics: Vec<String> =
            TOPICS.iter().filter(|topic| carries(topic.purpose)).map(|topic| format!("`{}`", topic.name)).collect();
        let (name, topics) = (rules.metric_name(metric), topics.join(", "));
        let _ = writeln!(lines, "| {name} | {when} | {default} | {history} | {topics} |");
    }
    lines
}

#[test]
fn the_readmes_name_every_metric_that_is_on() {
    for file in [README, "README.fr.md"] {
        let readme = text(file);
        for metric in Metric::ALL.into_iter().filter(|metric| metric.on_by_default()) {
            assert!(readme.contains(&format!("| Intercom {} |", metric.name())), "{file}: {}", metric.name());
        }
    }
}

#[test]
fn the_readme_names_every_topic_and_every_variable() {
    let readme = text(README);
    for topic in TOPICS {
        assert!(readme.contains(&format!("`{}`", topic.name)), "{}", topic.name);
    }
    for variable in [
        "INTERCOM_CLIENT_SECRET",
        "INTERCOM_ACCESS_TOKEN",
        "INTERCOM_API_URL",
        "KLAVIYO_API_KEY",
        "KLAVIYO_API_URL",
        "CONSOLE_TOKEN",
        "SETTINGS",
        "DATA_DIR",
        "LISTEN",
    ] {
        assert!(readme.contains(&format!("| `{variable}` |")), "{variable}");
    }
}

/// A link to a file that is not there helps nobody.
#[test]
fn links_between_documents_lead_somewhere() {
    let docs = fs::read_dir(path("docs")).expect("there are documents");
    let files = docs.map(|entry| format!("docs/{}", entry.expect("readable").file_name().to_string_lossy()));
    let roots = [README, "README.fr.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(str::to_owned);
    for file in files.chain(roots).filter(|file| file.ends_with(".md")) {
        let folder = file.rsplit_once('/').map_or(".", |(folder, _)| folder);
        for target in text(&file).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains(':') {
                continue;
            }
            assert!(fs::exists(path(&format!("{folder}/{target}"))).expect("can be asked"), "{file} links to {target}");
        }
    }
}
