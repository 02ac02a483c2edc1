//! Rotation, and every way in which a secret can be wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use secrecy::ExposeSecret;

use super::*;

const ARN: &str = "arn:aws:secretsmanager:eu-central-1:1:secret:shop";

#[derive(Clone, Debug, Default)]
struct Vault {
    text: Arc<Mutex<Option<String>>>,
    reads: Arc<AtomicUsize>,
}

impl Vault {
    fn put(&self, text: &str) {
        *self.text.lock().expect("no panic holds it") = Some(text.to_owned());
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl SecretReader for Vault {
    async fn read(&self, arn: &str) -> Result<SecretString, SecretTrouble> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let text = self.text.lock().expect("no panic holds it").clone();
        text.map(SecretString::from).ok_or_else(|| SecretTrouble::Missing(arn.to_owned()))
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_784_102_400 + second).expect("in range")
}

fn secrets(vault: &Vault) -> Secrets<Vault> {
    Secrets::new(vault.clone(), Some(ARN.to_owned()), |_| None).expect("no variable is blank")
}

async fn key(secrets: &Secrets<Vault>, second: i64) -> Result<String, SecretTrouble> {
    secrets.get("KLAVIYO_API_KEY", at(second)).await.map(|value| value.expose_secret().to_owned())
}

#[tokio::test]
async fn a_rotated_secret_is_picked_up_after_five_minutes() {
    let vault = Vault::default();
    vault.put(r#"{"KLAVIYO_API_KEY":"old"}"#);
    let secrets = secrets(&vault);
    assert_eq!(key(&secrets, 0).await.as_deref(), Ok("old"));
    vault.put(r#"{"KLAVIYO_API_KEY":"new"}"#);
    assert_eq!(key(&secrets, 299).await.as_deref(), Ok("old"));
    assert_eq!(vault.reads(), 1, "read once");
    assert_eq!(key(&secrets, 300).await.as_deref(), Ok("new"));
    assert_eq!(vault.reads(), 2);
}

/// At once when a vendor or Intercom's signature says so, but at most once a minute: anybody can send a wrong signature.
#[tokio::test]
async fn a_value_that_is_found_wrong_is_read_again_at_once() {
    let vault = Vault::default();
    vault.put(r#"{"KLAVIYO_API_KEY":"old"}"#);
    let secrets = secrets(&vault);
    assert_eq!(key(&secrets, 0).await.as_deref(), Ok("old"));
    vault.put(r#"{"KLAVIYO_API_KEY":"new"}"#);
    assert_eq!(secrets.refresh("KLAVIYO_API_KEY", at(59)).await, Ok(false), "too soon");
    assert_eq!(secrets.refresh("KLAVIYO_API_KEY", at(60)).await, Ok(true));
    assert_eq!(key(&secrets, 61).await.as_deref(), Ok("new"));
    for second in 61..120 {
        assert_eq!(secrets.refresh("KLAVIYO_API_KEY", at(second)).await, Ok(false));
    }
    assert_eq!(vault.reads(), 2);
}

/// A service that is down for a while does not stop what runs.
#[tokio::test]
async fn a_value_that_is_known_outlives_trouble() {
    let vault = Vault::default();
    vault.put(r#"{"KLAVIYO_API_KEY":"old"}"#);
    let secrets = secrets(&vault);
    assert_eq!(key(&secrets, 0).await.as_deref(), Ok("old"));
    *vault.text.lock().expect("no panic holds it") = None;
    for second in [300, 301, 330] {
        assert_eq!(key(&secrets, second).await.as_deref(), Ok("old"));
    }
    assert_eq!(vault.reads(), 2, "not asked at every use");
}

/// The webhook goes on when somebody blanks the console's token, and whatever else a secret holds disturbs nobody.
#[tokio::test]
async fn a_blank_value_stops_only_who_needs_it_and_not_while_one_is_known() {
    let vault = Vault::default();
    vault.put(r#"{"KLAVIYO_API_KEY":"old","CONSOLE_TOKEN":"","rotated":17,"owner":{"team":"shop"}}"#);
    let secrets = secrets(&vault);
    assert_eq!(key(&secrets, 0).await.as_deref(), Ok("old"));
    let blank = secrets.get("CONSOLE_TOKEN", at(0)).await.expect_err("blank").to_string();
    assert_eq!(blank, "CONSOLE_TOKEN is blank; give it a value or remove it");
    vault.put(r#"{"KLAVIYO_API_KEY":" ","CONSOLE_TOKEN":"new"}"#);
    assert_eq!(key(&secrets, 300).await.as_deref(), Ok("old"));
    assert!(secrets.get("CONSOLE_TOKEN", at(300)).await.is_ok());
}

#[tokio::test]
async fn what_is_wrong_is_said_in_one_sentence() {
    let vault = Vault::default();
    let said = async |vault: &Vault| key(&secrets(vault), 0).await.expect_err("it is wrong").to_string();
    assert_eq!(
        said(&vault).await,
        format!("there is no secret {ARN}; check SECRET_ARN, and that the secret is in this region")
    );
    for text in ["pk_live", r#"["pk_live"]"#, r#"{"KLAVIYO_API_KEY":1}"#] {
        vault.put(text);
        let said = said(&vault).await;
        assert!(said.contains("is not a JSON object of strings") && !said.contains("pk_live"), "{said}");
    }
    vault.put(r#"{"INTERCOM_ACCESS_TOKEN":"x"}"#);
    let expected = format!("KLAVIYO_API_KEY is neither a key of the secret {ARN} nor an environment variable");
    assert_eq!(said(&vault).await, expected);
    vault.put(r#"{"KLAVIYO_API_KEY":" "}"#);
    assert_eq!(said(&vault).await, "KLAVIYO_API_KEY is blank; give it a value or remove it");
}

#[tokio::test]
async fn the_environment_wins() {
    let vault = Vault::default();
    let variable = |name: &str| (name == "KLAVIYO_API_KEY").then(|| "from the environment".to_owned());
    let secrets = Secrets::new(vault.clone(), None, variable).expect("not blank");
    assert_eq!(key(&secrets, 0).await.as_deref(), Ok("from the environment"));
    assert_eq!(vault.reads(), 0);
    let none = secrets.get("CONSOLE_TOKEN", at(0)).await.expect_err("it is nowhere").to_string();
    assert!(none.contains("CONSOLE_TOKEN") && none.contains("SECRET_ARN is not set"), "{none}");
    let blank = Secrets::new(vault, None, |_| Some(" ".to_owned())).expect_err("refused");
    assert_eq!(blank.to_string(), "INTERCOM_CLIENT_SECRET is blank; give it a value or remove it");
}
