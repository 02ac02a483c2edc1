//! What the documentation says and the code knows must be the same.

use app::settings::markdown_table;
use domain::Metric;

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).expect("README.md")
}

/// `UPDATE_DOCS=1 cargo test -p tests --test documentation` writes the table into the README.
#[test]
fn the_settings_table_is_made_from_the_code() {
    let readme = readme();
    let (head, rest) = readme.split_once("<!-- settings -->\n").expect("the marker");
    let (table, tail) = rest.split_once("<!-- /settings -->").expect("the end marker");
    let wanted = markdown_table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let written = format!("{head}<!-- settings -->\n{}\n<!-- /settings -->{tail}", wanted.trim_end());
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"), written).expect("writes");
        return;
    }
    assert_eq!(table.trim_end(), wanted.trim_end(), "run again with UPDATE_DOCS=1");
}

#[test]
fn the_readme_names_every_metric_that_is_on() {
    let readme = readme();
    for metric in Metric::ALL.into_iter().filter(|metric| metric.on_by_default()) {
        assert!(readme.contains(&format!("| Intercom {} |", metric.name())), "{}", metric.name());
    }
}

#[test]
fn the_readme_names_every_variable_that_is_read() {
    let readme = readme();
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
