use std::collections::HashMap;
use std::ffi::OsString;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::{Environment, EnvironmentError, Variables};

fn read(variables: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
    let map: HashMap<_, _> = variables.iter().copied().collect();
    Environment::read(|name| map.get(name).map(OsString::from))
}

#[track_caller]
fn problem(variables: &[(&str, &str)]) -> String {
    read(variables).expect_err("is refused").to_string()
}

#[test]
fn nothing_set_is_set_up_mode_with_the_defaults() {
    let environment = read(&[]).expect("is fine");
    assert_eq!(environment.missing(), ["INTERCOM_CLIENT_SECRET", "INTERCOM_ACCESS_TOKEN", "KLAVIYO_API_KEY"]);
    assert_eq!(environment.intercom_url, "https://api.intercom.io");
    assert_eq!(environment.klaviyo_url, "https://a.klaviyo.com");
    assert_eq!(environment.data_dir.as_os_str(), "./data");
    assert_eq!(environment.listen.to_string(), "127.0.0.1:8080");
    assert!(environment.console_token.is_none());
}

#[test]
fn everything_set_is_read() {
    let environment = read(&[
        ("INTERCOM_CLIENT_SECRET", "new, old ,"),
        ("INTERCOM_ACCESS_TOKEN", " dG9r= \n"),
        ("KLAVIYO_API_KEY", "pk_1"),
        ("INTERCOM_API_URL", "http://127.0.0.1:4000/"),
        ("KLAVIYO_API_URL", "https://a.klaviyo.com"),
        ("CONSOLE_TOKEN", "t"),
        ("SETTINGS", r#"{"reconcile_interval_seconds":1}"#),
        ("DATA_DIR", "/var/lib/x"),
        ("LISTEN", "[::]:0"),
    ])
    .expect("is fine");
    assert_eq!(environment.missing(), Vec::<String>::new());
    assert_eq!(environment.client_secrets.map(|secrets| secrets.count()), Some(2));
    assert_eq!(environment.access_token.map(|token| token.expose_secret().to_owned()).as_deref(), Some("dG9r="));
    assert_eq!(environment.intercom_url, "http://127.0.0.1:4000");
    assert_eq!(environment.settings.reconcile_interval, Some(Duration::from_secs(1)));
    assert_eq!(environment.listen.to_string(), "[::]:0");
}

#[test]
fn every_blank_variable_is_refused_by_name() {
    for name in [
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
        for blank in ["", " ", "\t\n"] {
            let expected = format!("{name} is set but blank; give it a value or remove it");
            assert_eq!(problem(&[(name, blank)]), expected);
        }
    }
}

#[test]
fn a_list_of_commas_is_no_secret() {
    let expected =
        "INTERCOM_CLIENT_SECRET holds no secret, only blanks or commas; give it the app's client secret or remove it";
    assert_eq!(problem(&[("INTERCOM_CLIENT_SECRET", " , ,")]), expected);
}

#[test]
fn all_problems_are_told_and_no_secret_is() {
    let text = problem(&[
        ("KLAVIYO_API_KEY", "pk_1 secret"),
        ("INTERCOM_API_URL", "api.intercom.io"),
        ("LISTEN", "8080"),
        ("SETTINGS", "histori_days = 1"),
        ("DATA_DIR", ""),
    ]);
    assert_eq!(
        text,
        "5 things are wrong in the environment:\n\
         \x20 - KLAVIYO_API_KEY holds blanks or characters beyond ASCII; copy it again\n\
         \x20 - INTERCOM_API_URL is not a URL such as https://api.intercom.io\n\
         \x20 - DATA_DIR is set but blank; give it a value or remove it\n\
         \x20 - LISTEN is \"8080\", wanted: an address and a port such as 127.0.0.1:8080\n\
         \x20 - SETTINGS: the settings cannot be used: there is no setting `histori_days`; the nearest is `history_days`"
    );
}

#[test]
fn a_missing_settings_file_is_one_sentence() {
    let expected = "SETTINGS names the file /nowhere/settings.toml, which does not exist";
    assert_eq!(problem(&[("SETTINGS", "/nowhere/settings.toml")]), expected);
}

#[test]
fn settings_come_from_a_file_or_stand_in_the_variable() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a=b.toml");
    std::fs::write(&path, "history_days = 7\n").expect("is written");
    for value in [path.to_str().expect("UTF-8"), "history_days = 7", "{\"history_days\":7}"] {
        assert_eq!(read(&[("SETTINGS", value)]).expect("is fine").settings.history_days, Some(7), "{value}");
    }
}

#[test]
fn printing_shows_no_secret() {
    let names = ["INTERCOM_CLIENT_SECRET", "INTERCOM_ACCESS_TOKEN", "KLAVIYO_API_KEY", "CONSOLE_TOKEN"];
    let environment = read(&names.map(|name| (name, "hush-hush"))).expect("is fine");
    assert!(!format!("{environment:?}").contains("hush-hush"));
}

#[test]
fn the_file_fills_what_the_environment_leaves_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(".env");
    assert!(Variables::read(&path).expect("absent is fine").get("KLAVIYO_KEY_OF_THIS_TEST").is_none());
    std::fs::write(&path, "# comment\nKLAVIYO_KEY_OF_THIS_TEST='pk_$1'\nPATH=ours\n").expect("is written");
    let variables = Variables::read(&path).expect("is fine");
    assert_eq!(variables.get("KLAVIYO_KEY_OF_THIS_TEST"), Some(OsString::from("pk_$1")));
    assert_ne!(variables.get("PATH"), Some(OsString::from("ours")));
}

#[test]
fn a_bad_line_in_the_file_is_not_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(".env");
    std::fs::write(&path, "A=1\nhush hush\n").expect("is written");
    let problem = Variables::read(&path).map(|_| ()).expect_err("is refused");
    assert!(problem.contains("a line that is not NAME=value (after 1 good ones)"), "{problem}");
    assert!(!problem.contains("hush"), "{problem}");
}
