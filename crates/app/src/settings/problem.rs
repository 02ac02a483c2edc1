//! What is wrong with the settings, in words.

use std::fmt;

use serde_json::Value;

use super::keys::{KEYS, Key};

/// Everything that is wrong, in one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    problems: Vec<String>,
}

impl SettingsError {
    pub(super) fn new(problems: Vec<String>) -> Self {
        Self { problems }
    }

    /// One sentence a problem.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [one] => write!(f, "the settings cannot be used: {one}"),
            several => {
                write!(f, "the settings cannot be used, {} things are wrong:", several.len())?;
                several.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

impl std::error::Error for SettingsError {}

pub(super) fn unknown(path: &str) -> String {
    match nearest(path) {
        Some(key) => format!("there is no setting `{path}`; the nearest is `{key}`"),
        None => format!("there is no setting `{path}`"),
    }
}

pub(super) fn not_a_table(path: &str, value: &Value) -> String {
    let example = KEYS.iter().find(|key| key.name.starts_with(&format!("{path}."))).map_or("", |key| key.name);
    format!("`{path}` is {}, wanted: a table with keys such as `{example}`", found(value))
}

pub(super) fn bad_value(key: &Key, value: &Value) -> String {
    format!("`{}` is {}, wanted: {}", key.name, found(value), key.wanted)
}

/// The known key that looks most like it. A key that was put into the wrong table, or into none, is found by its last word.
fn nearest(path: &str) -> Option<&'static str> {
    let likeness = |name: &str| {
        let whole = strsim::normalized_damerau_levenshtein(path, name);
        let last = strsim::normalized_damerau_levenshtein(last_word(path), last_word(name));
        whole.max(last * 0.95)
    };
    KEYS.iter().map(|key| (likeness(key.name), key.name)).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

fn last_word(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// A value as a person wrote it, shortened.
fn found(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = match value {
        Value::Object(_) => return "a table".to_owned(),
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
