//! From text to a tree of values, and from the tree to the settings.

use serde_json::{Map, Value};

use super::Settings;
use super::keys::KEYS;
use super::problem::{SettingsError, bad_value, not_a_table, unknown};

/// Reads JSON where the text begins with `{`, which no TOML document does, else TOML.
pub(super) fn read(text: &str) -> Result<Map<String, Value>, SettingsError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let sentence = |message: String| SettingsError::new(vec![message]);
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            sentence(format!("the text begins with `{{` and is not valid JSON at line {line}, column {column}"))
        });
    }
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        let what = error.message().lines().next().unwrap_or_default();
        sentence(format!("the text is not valid TOML at line {line}, column {column}: {what}"))
    })?;
    Ok(table.into_iter().map(|(name, value)| (name, plain(value))).collect())
}

/// Sets what is right and gives a sentence for everything that is not.
pub(super) fn apply(tree: &Map<String, Value>, settings: &mut Settings) -> Vec<String> {
    let mut problems = Vec::new();
    walk("", tree, settings, &mut problems);
    problems
}

fn walk(table: &str, tree: &Map<String, Value>, settings: &mut Settings, problems: &mut Vec<String>) {
    for (name, value) in tree {
        let path = if table.is_empty() { name.clone() } else { format!("{table}.{name}") };
        if let Some(key) = KEYS.iter().find(|key| key.name == path) {
            if (key.set)(settings, value).is_none() {
                problems.push(bad_value(key, value));
            }
            continue;
        }
        let is_table = KEYS.iter().any(|key| key.name.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.')));
        match value {
            Value::Object(inner) if is_table || !inner.is_empty() => walk(&path, inner, settings, problems),
            other if is_table => problems.push(not_a_table(&path, other)),
            _ => problems.push(unknown(&path)),
        }
    }
}

fn plain(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(moment) => Value::String(moment.to_string()),
        toml::Value::Array(values) => values.into_iter().map(plain).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(name, value)| (name, plain(value))).collect())
        }
    }
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
