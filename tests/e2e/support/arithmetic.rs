//! CloudWatch's metric arithmetic, as far as the alarms use it:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html>.

use std::collections::BTreeMap;

/// The value of an expression of `+`, `-`, `ABS(…)`, `FILL(metric, number)`, numbers and metrics. A metric without a datapoint is no
/// number, and neither is what is made of it, unless `FILL` gives it one.
///
/// # Panics
/// When it holds anything else.
pub(crate) fn evaluate(expression: &str, values: &BTreeMap<&str, f64>) -> f64 {
    let mut rest = expression;
    let value = sum(&mut rest, values);
    assert!(rest.trim().is_empty(), "what is {rest:?} in {expression:?}?");
    value
}

fn sum(rest: &mut &str, values: &BTreeMap<&str, f64>) -> f64 {
    let mut total = term(rest, values);
    loop {
        if taken(rest, "+") {
            total += term(rest, values);
        } else if taken(rest, "-") {
            total -= term(rest, values);
        } else {
            return total;
        }
    }
}

fn term(rest: &mut &str, values: &BTreeMap<&str, f64>) -> f64 {
    let word = word(rest);
    if !taken(rest, "(") {
        return word.parse().unwrap_or_else(|_| values.get(word).copied().unwrap_or(f64::NAN));
    }
    let first = sum(rest, values);
    let value = match word {
        "ABS" => first.abs(),
        "FILL" => {
            assert!(taken(rest, ","), "FILL takes two");
            let filling = sum(rest, values);
            if first.is_nan() { filling } else { first }
        }
        other => panic!("{other} is not known here"),
    };
    assert!(taken(rest, ")"), "a bracket stays open before {rest:?}");
    value
}

fn word<'a>(rest: &mut &'a str) -> &'a str {
    let text = rest.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    *rest = &text[end..];
    &text[..end]
}

fn taken(rest: &mut &str, sign: &str) -> bool {
    let found = rest.trim_start().strip_prefix(sign);
    found.inspect(|after| *rest = after).is_some()
}

#[test]
fn it_works_out_what_cloudwatch_would() {
    let values = BTreeMap::from([("a", 2.0), ("b", 5.0)]);
    assert_eq!(evaluate("ABS(a - b - FILL(c, 0))", &values), 3.0);
    assert_eq!(evaluate("a + b - 1", &values), 6.0);
    assert!(evaluate("a - c", &values).is_nan(), "no datapoint, no number");
}
