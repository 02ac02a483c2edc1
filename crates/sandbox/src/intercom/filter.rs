//! The query language of the search endpoints.

use serde_json::Value;

const MAX_FILTERS: usize = 15;
const MAX_DEPTH: usize = 2;

/// Which operators an endpoint takes on dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dates {
    Any,
    /// Contacts know only `=`, `<` and `>` there.
    Plain,
}

/// The value of a field of a thing that may be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Null,
    Flag(bool),
    Number(i64),
    Text(String),
    Many(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    In,
    NotIn,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    Contains,
    ContainsNot,
    Starts,
    Ends,
}

/// A parsed query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Query {
    All(Vec<Query>),
    Any(Vec<Query>),
    #[expect(private_interfaces, reason = "built and read only here")]
    Filter {
        field: String,
        operator: Operator,
        value: Value,
    },
}

type Refusal = (&'static str, String);

/// Reads a query; on failure an error code and a message.
pub(crate) fn parse(value: &Value, dates: Dates) -> Result<Query, Refusal> {
    parse_at(value, dates, 0)
}

fn parse_at(value: &Value, dates: Dates, depth: usize) -> Result<Query, Refusal> {
    let operator = value.get("operator").and_then(Value::as_str).unwrap_or_default();
    if let ("AND" | "OR", None) = (operator, value.get("field")) {
        if depth >= MAX_DEPTH {
            return Err(("parameter_invalid", "Queries can be nested 2 levels deep".into()));
        }
        let list = value.get("value").and_then(Value::as_array);
        let list = list.ok_or_else(|| ("parameter_invalid", "A group needs a list of filters".to_owned()))?;
        if list.len() > MAX_FILTERS {
            return Err(("parameter_invalid", "A group can hold 15 filters".into()));
        }
        let inner = list.iter().map(|one| parse_at(one, dates, depth + 1)).collect::<Result<Vec<_>, _>>()?;
        return Ok(if operator == "AND" { Query::All(inner) } else { Query::Any(inner) });
    }
    let field = value.get("field").and_then(Value::as_str).unwrap_or_default();
    if !known(field) {
        return Err(("invalid_field", format!("{field:?} is not a searchable field")));
    }
    let operator = match operator {
        "=" => Operator::Equal,
        "!=" => Operator::NotEqual,
        "IN" => Operator::In,
        "NIN" => Operator::NotIn,
        ">" => Operator::Greater,
        "<" => Operator::Less,
        ">=" => Operator::GreaterOrEqual,
        "<=" => Operator::LessOrEqual,
        "~" => Operator::Contains,
        "!~" => Operator::ContainsNot,
        "^" => Operator::Starts,
        "$" => Operator::Ends,
        other => return Err(("parameter_invalid", format!("Operator {other:?} is not supported"))),
    };
    let value = value.get("value").cloned().unwrap_or_default();
    let date = field.ends_with("_at") || field == "waiting_since" || field == "snoozed_until";
    let plain = matches!(operator, Operator::Equal | Operator::Greater | Operator::Less);
    let listed = matches!(operator, Operator::In | Operator::NotIn);
    if date && (listed || (dates == Dates::Plain && !plain)) {
        return Err(("data_invalid", format!("This operator cannot be used on {field}")));
    }
    if listed && !value.is_array() {
        return Err(("parameter_invalid", "IN and NIN need a list".into()));
    }
    Ok(Query::Filter { field: field.to_owned(), operator, value })
}

fn known(field: &str) -> bool {
    const FIELDS: [&str; 30] = [
        "id",
        "created_at",
        "updated_at",
        "contact_ids",
        "admin_assignee_id",
        "team_assignee_id",
        "state",
        "open",
        "read",
        "waiting_since",
        "snoozed_until",
        "source.type",
        "source.delivered_as",
        "source.author.type",
        "conversation_rating.requested_at",
        "conversation_rating.replied_at",
        "conversation_rating.score",
        "statistics.count_reopens",
        "ticket_type_id",
        "ticket_id",
        "category",
        "email",
        "phone",
        "external_id",
        "role",
        "name",
        "source.subject",
        "source.body",
        "priority",
        "tag_ids",
    ];
    FIELDS.contains(&field)
}

impl Query {
    /// A query that everything fits.
    pub(crate) fn everything() -> Self {
        Self::All(Vec::new())
    }

    /// Whether a thing fits; `field` gives its values, `None` for a field it does not have.
    pub(crate) fn fits(&self, field: &dyn Fn(&str) -> Option<Field>) -> bool {
        match self {
            Self::All(inner) => inner.iter().all(|one| one.fits(field)),
            Self::Any(inner) => inner.iter().any(|one| one.fits(field)),
            Self::Filter { field: name, operator, value } => {
                holds(&field(name).unwrap_or(Field::Null), *operator, value)
            }
        }
    }

    /// The widest `created_at` range (inclusive) that can hold what fits.
    pub(crate) fn created_bounds(&self) -> (i64, i64) {
        match self {
            Self::All(inner) => inner
                .iter()
                .map(Self::created_bounds)
                .fold((i64::MIN, i64::MAX), |(from, to), (a, b)| (from.max(a), to.min(b))),
            Self::Filter { field, operator, value } if field == "created_at" => {
                let Some(at) = number(value) else { return (i64::MIN, i64::MAX) };
                match operator {
                    Operator::Equal => (at, at),
                    Operator::Greater => (at.saturating_add(1), i64::MAX),
                    Operator::GreaterOrEqual => (at, i64::MAX),
                    Operator::Less => (i64::MIN, at.saturating_sub(1)),
                    Operator::LessOrEqual => (i64::MIN, at),
                    _ => (i64::MIN, i64::MAX),
                }
            }
            _ => (i64::MIN, i64::MAX),
        }
    }

    /// The ids asked for, when the query is nothing but that, alone or in an AND group.
    pub(crate) fn wanted_ids(&self) -> Option<Vec<String>> {
        match self {
            Self::All(inner) => inner.iter().find_map(Self::wanted_ids),
            Self::Filter { field, operator: Operator::In, value } if field == "id" => {
                value.as_array().map(|ids| ids.iter().map(scalar).collect())
            }
            Self::Filter { field, operator: Operator::Equal, value } if field == "id" => Some(vec![scalar(value)]),
            _ => None,
        }
    }
}

/// Numbers come as numbers and as strings of digits.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn equal(field: &Field, value: &Value) -> bool {
    match field {
        Field::Null => value.is_null() || value.as_str() == Some(""),
        Field::Flag(flag) => {
            value.as_bool() == Some(*flag) || value.as_str() == Some(if *flag { "true" } else { "false" })
        }
        Field::Number(n) => number(value) == Some(*n),
        Field::Text(text) => text.eq_ignore_ascii_case(&scalar(value)),
        Field::Many(items) => items.contains(&scalar(value)),
    }
}

fn holds(field: &Field, operator: Operator, value: &Value) -> bool {
    let list = || value.as_array().map(Vec::as_slice).unwrap_or_default();
    let compare =
        |test: fn(&i64, &i64) -> bool| matches!((field, number(value)), (Field::Number(n), Some(v)) if test(n, &v));
    let words = |test: fn(&str, &str) -> bool| match field {
        Field::Text(text) => test(&text.to_lowercase(), &scalar(value).to_lowercase()),
        _ => false,
    };
    match operator {
        Operator::Equal => equal(field, value),
        Operator::NotEqual => !equal(field, value),
        Operator::In => list().iter().any(|one| equal(field, one)),
        Operator::NotIn => !list().iter().any(|one| equal(field, one)),
        Operator::Greater => compare(i64::gt),
        Operator::Less => compare(i64::lt),
        Operator::GreaterOrEqual => compare(i64::ge),
        Operator::LessOrEqual => compare(i64::le),
        Operator::Contains => words(|text, part| text.contains(part)),
        Operator::ContainsNot => !words(|text, part| text.contains(part)),
        Operator::Starts => words(|text, part| text.starts_with(part)),
        Operator::Ends => words(|text, part| text.ends_with(part)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(name: &str) -> Option<Field> {
        Some(match name {
            "created_at" => Field::Number(100),
            "state" => Field::Text("open".into()),
            "contact_ids" => Field::Many(vec!["a".into(), "b".into()]),
            _ => return None,
        })
    }

    fn fits(query: Value) -> bool {
        parse(&query, Dates::Any).expect("valid").fits(&field)
    }

    #[test]
    fn operators() {
        assert!(fits(json!({"field": "created_at", "operator": ">=", "value": 100})));
        assert!(!fits(json!({"field": "created_at", "operator": ">", "value": 100})));
        assert!(!fits(json!({"field": "created_at", "operator": ">", "value": 100_000})));
        assert!(fits(json!({"field": "contact_ids", "operator": "IN", "value": ["x", "b"]})));
        assert!(fits(json!({"operator": "OR", "value": [
            {"field": "state", "operator": "=", "value": "closed"},
            {"operator": "AND", "value": [{"field": "state", "operator": "^", "value": "op"}]},
        ]})));
        let bounds = parse(
            &json!({"operator": "AND", "value": [
                {"field": "created_at", "operator": ">=", "value": 5}, {"field": "created_at", "operator": "<", "value": 9},
            ]}),
            Dates::Any,
        );
        assert_eq!(bounds.expect("valid").created_bounds(), (5, 8));
    }

    #[test]
    fn refusals() {
        let code = |query: Value| parse(&query, Dates::Plain).expect_err("invalid").0;
        assert_eq!(code(json!({"field": "shoe_size", "operator": "=", "value": 1})), "invalid_field");
        assert_eq!(code(json!({"field": "created_at", "operator": ">=", "value": 1})), "data_invalid");
        assert_eq!(code(json!({"field": "created_at", "operator": "IN", "value": [1]})), "data_invalid");
        let deep =
            json!({"operator": "AND", "value": [{"operator": "OR", "value": [{"operator": "AND", "value": []}]}]});
        assert_eq!(code(deep), "parameter_invalid");
        let many: Vec<Value> = (0..16).map(|n| json!({"field": "id", "operator": "=", "value": n})).collect();
        assert_eq!(code(json!({"operator": "AND", "value": many})), "parameter_invalid");
        assert_eq!(code(json!(null)), "invalid_field");
    }
}
