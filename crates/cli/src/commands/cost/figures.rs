//! What the template says about sizes, so that the bill is that of the template and not of a page about it.

use domain::cost::Figures;
use serde_json::Value;

/// The template as it is shipped.
const SHIPPED: &str = include_str!("../../../../../template.yaml");

/// Of the template that this binary was built with.
pub(super) fn shipped() -> Result<Figures, String> {
    read(SHIPPED)
}

/// Of a template's text. The error names what is missing.
pub(super) fn read(template: &str) -> Result<Figures, String> {
    let template: Value =
        serde_saphyr::from_str(template).map_err(|error| format!("the template is not YAML: {error}"))?;
    let resources = template["Resources"].as_object().ok_or("the template has no Resources")?;
    let memory = |function: &str| {
        let own =
            &resources.get(function).ok_or(format!("the template has no {function}"))?["Properties"]["MemorySize"];
        let size = own.as_f64().or_else(|| template["Globals"]["Function"]["MemorySize"].as_f64());
        size.ok_or(format!("the template gives {function} no MemorySize"))
    };
    let sources: Vec<&Value> = resources
        .get("ConsumerFunction")
        .and_then(|consumer| consumer["Properties"]["Events"].as_object())
        .into_iter()
        .flat_map(|events| events.values())
        .filter(|event| event["Type"] == "SQS")
        .collect();
    let live = sources
        .iter()
        .find(|source| source["Properties"]["Queue"].as_str().is_some_and(|queue| queue.contains("LiveQueue")))
        .and_then(|source| source["Properties"]["BatchSize"].as_f64());
    let kinds = |kind: &str| resources.values().filter(|resource| resource["Type"] == kind).count();
    let table = resources.values().find(|resource| resource["Type"] == "AWS::DynamoDB::Table");
    let backups = table.is_some_and(|table| {
        table["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] == true
    });
    Ok(Figures {
        webhook_mb: memory("WebhookFunction")?,
        consumer_mb: memory("ConsumerFunction")?,
        backfill_mb: memory("BackfillFunction")?,
        arm64: template["Parameters"]["Architecture"]["Default"] == "arm64",
        live_batch: live.ok_or("the template gives the live queue's event source no BatchSize")?,
        tick_minutes: tick_minutes(&template.to_string()).ok_or("the template has no schedule in minutes")?,
        alarms: kinds("AWS::CloudWatch::Alarm"),
        polled_queues: sources.len(),
        backups,
    })
}

/// From `rate(1 minute)` or `rate(5 minutes)`, wherever it stands.
fn tick_minutes(template: &str) -> Option<f64> {
    let (_, after) = template.split_once("rate(")?;
    let (rate, _) = after.split_once(')')?;
    let (count, unit) = rate.split_once(' ')?;
    unit.starts_with("minute").then(|| count.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use domain::cost::Functions;

    use super::{read, shipped};

    #[test]
    fn the_shipped_template_has_every_figure() {
        let figures = shipped().expect("the template is complete");
        assert!(figures.arm64 && figures.backups && figures.alarms > 0, "{figures:?}");
        assert_eq!(figures.polled_queues, 2, "live and history");
        assert_eq!(figures.of_import(), Functions::SHIPPED, "the plan of an import counts with the template's figures");
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(read("a: 1").expect_err("no resources"), "the template has no Resources");
        let error = read("Resources: {WebhookFunction: {Properties: {}}}").expect_err("no memory");
        assert_eq!(error, "the template gives WebhookFunction no MemorySize");
    }
}
