//! The secrets, from one JSON secret of Secrets Manager. Environment variables win over it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use crate::session::Session;

/// Names of the values, in the environment and in the secret alike.
pub const NAMES: [&str; 4] = ["INTERCOM_CLIENT_SECRET", "INTERCOM_ACCESS_TOKEN", "KLAVIYO_API_KEY", "CONSOLE_TOKEN"];

/// How old values may get before the next use reads them again: a rotated secret is picked up without a deployment.
const GOOD_FOR: SignedDuration = SignedDuration::from_mins(5);

/// How soon values are read again when somebody says that they are wrong: anybody can send a wrong signature.
const AT_MOST_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// Why a secret cannot be had. One sentence, for a human; never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretTrouble {
    /// There is none under this name.
    #[error("there is no secret {0}; check SECRET_ARN, and that the secret is in this region")]
    Missing(String),
    /// The service did not answer, or not with a secret.
    #[error("the secret {arn} could not be read: {detail}")]
    Unavailable {
        /// Which one.
        arn: String,
        /// The cause.
        detail: String,
    },
    /// It is no JSON object of strings.
    #[error("the secret {0} is not a JSON object of strings, such as {{\"KLAVIYO_API_KEY\":\"pk_…\"}}")]
    NotJson(String),
    /// A value is in neither place.
    #[error("{name} is neither a key of the secret {arn} nor an environment variable")]
    NoKey {
        /// Which value.
        name: String,
        /// Which secret was looked at.
        arn: String,
    },
    /// A value is there, but empty.
    #[error("{0} is blank; give it a value or remove it")]
    Blank(String),
}

/// Where the text of a secret comes from.
pub trait SecretReader: Send + Sync {
    /// The secret's text as it is now.
    fn read(&self, arn: &str) -> impl Future<Output = Result<SecretString, SecretTrouble>> + Send;
}

/// Secrets Manager.
#[derive(Clone, Debug)]
pub struct SecretsManager(Client);

impl SecretsManager {
    /// No network. A read ends within `patience`, whatever happens.
    pub fn connect(session: &Session, patience: Duration) -> Self {
        Self::new(&session.within(patience / 2, patience))
    }

    /// By a configuration of the caller's, whose time-outs then hold.
    pub fn new(config: &SdkConfig) -> Self {
        Self(Client::new(config))
    }
}

impl SecretReader for SecretsManager {
    async fn read(&self, arn: &str) -> Result<SecretString, SecretTrouble> {
        let unavailable = |detail: &str| SecretTrouble::Unavailable { arn: arn.to_owned(), detail: detail.to_owned() };
        match self.0.get_secret_value().secret_id(arn).send().await {
            Ok(answer) => {
                answer.secret_string.map(SecretString::from).ok_or_else(|| SecretTrouble::NotJson(arn.to_owned()))
            }
            Err(error) => Err(match error.code() {
                Some("ResourceNotFoundException") => SecretTrouble::Missing(arn.to_owned()),
                Some("AccessDeniedException") => unavailable("this function may not read it"),
                Some(code) => unavailable(code),
                None => unavailable("no answer in time, or no connection"),
            }),
        }
    }
}

/// The values, read when they are needed and kept for some minutes.
#[derive(Debug)]
pub struct Secrets<R> {
    reader: R,
    arn: Option<String>,
    environment: BTreeMap<&'static str, SecretString>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    values: BTreeMap<String, SecretString>,
    read_at: Option<Timestamp>,
    tried_at: Option<Timestamp>,
}

impl<R: SecretReader> Secrets<R> {
    /// `arn` is `SECRET_ARN`; `variable` gives the environment. A variable that is set but blank is refused.
    pub fn new(
        reader: R,
        arn: Option<String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SecretTrouble> {
        let mut environment = BTreeMap::new();
        for name in NAMES {
            if let Some(value) = variable(name) {
                environment.insert(name, filled(name, value)?);
            }
        }
        Ok(Self { reader, arn: arn.filter(|arn| !arn.trim().is_empty()), environment, kept: Mutex::default() })
    }

    /// The value. Reads the secret when it was never read, or not for five minutes; if it cannot be read then, the value that is
    /// known goes on being used.
    pub async fn get(&self, name: &str, now: Timestamp) -> Result<SecretString, SecretTrouble> {
        use secrecy::ExposeSecret;
        if let Some(value) = self.environment.get(name) {
            return Ok(value.clone());
        }
        let due = |at: Option<Timestamp>| at.is_none_or(|at| now.duration_since(at).abs() >= GOOD_FOR);
        let (unread, old) = {
            let kept = self.kept();
            (kept.read_at.is_none(), due(kept.read_at) && (kept.read_at.is_none() || rested(kept.tried_at, now)))
        };
        if unread {
            self.read(now).await?;
        } else if old && let Err(error) = self.read(now).await {
            tracing::warn!(%error, "going on with the secrets that are known");
        }
        let arn = self.arn.as_deref().unwrap_or("(SECRET_ARN is not set)").to_owned();
        let value = self.kept().values.get(name).cloned();
        let value = value.ok_or_else(|| SecretTrouble::NoKey { name: name.to_owned(), arn })?;
        if value.expose_secret().trim().is_empty() { Err(SecretTrouble::Blank(name.to_owned())) } else { Ok(value) }
    }

    /// Somebody found a value wrong (a 401, a signature): reads again, unless that was done within the last minute. `true` when
    /// there is another value now.
    pub async fn refresh(&self, name: &str, now: Timestamp) -> Result<bool, SecretTrouble> {
        use secrecy::ExposeSecret;
        if self.environment.contains_key(name) || !rested(self.kept().tried_at, now) {
            return Ok(false);
        }
        let before = self.kept().values.get(name).cloned();
        self.read(now).await?;
        let after = self.kept().values.get(name).cloned();
        let text = |value: &Option<SecretString>| value.as_ref().map(|value| value.expose_secret().to_owned());
        Ok(text(&before) != text(&after))
    }

    async fn read(&self, now: Timestamp) -> Result<(), SecretTrouble> {
        use secrecy::ExposeSecret;
        let Some(arn) = &self.arn else { return Ok(()) };
        self.kept().tried_at = Some(now);
        let text = self.reader.read(arn).await?;
        let parsed: Result<BTreeMap<String, serde_json::Value>, _> = serde_json::from_str(text.expose_secret());
        // The parser's own message would quote the text.
        let parsed = parsed.map_err(|_| SecretTrouble::NotJson(arn.clone()))?;
        let mut values = BTreeMap::new();
        // What else stands in the secret is nobody's business here.
        for (name, value) in parsed.into_iter().filter(|(name, _)| NAMES.contains(&name.as_str())) {
            let serde_json::Value::String(value) = value else { return Err(SecretTrouble::NotJson(arn.clone())) };
            // One that is blank stops whoever needs it, and nobody else; not even them while a value is known.
            let known = value.trim().is_empty().then(|| self.kept().values.get(&name).cloned()).flatten();
            if known.is_some() {
                tracing::warn!(name, "the secret's value is blank now: going on with the one that is known");
            }
            values.insert(name, known.unwrap_or_else(|| SecretString::from(value)));
        }
        let mut kept = self.kept();
        kept.values = values;
        kept.read_at = Some(now);
        Ok(())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rested(tried_at: Option<Timestamp>, now: Timestamp) -> bool {
    tried_at.is_none_or(|at| now.duration_since(at).abs() >= AT_MOST_EVERY)
}

fn filled(name: &str, value: String) -> Result<SecretString, SecretTrouble> {
    if value.trim().is_empty() {
        return Err(SecretTrouble::Blank(name.to_owned()));
    }
    Ok(SecretString::from(value))
}

#[cfg(test)]
mod tests;
