//! The queries of the dashboard and the alerts.

#[path = "../../../../../../tests/e2e/observability/promql.rs"]
mod promql;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use promql::Named;

/// What Prometheus makes itself.
const ITS_OWN: [&str; 2] = ["ALERTS", "up"];

/// With its variables filled in.
pub(super) fn of_the_dashboard() -> Vec<String> {
    let mut queries = Vec::new();
    collect(&dashboard(), &mut queries);
    assert!(queries.len() > 30, "only {} queries", queries.len());
    let filled = queries
        .iter()
        .filter(|query| !query.starts_with("label_values("));
    filled
        .map(|query| {
            query
                .replace("$__rate_interval", "1m")
                .replace("$__range", "1m")
                .replace("$service", ".*")
        })
        .collect()
}

/// That the dashboard or an alert names.
pub(super) fn series() -> BTreeSet<String> {
    let mut queries = Vec::new();
    collect(&dashboard(), &mut queries);
    queries.extend(expressions_of_the_alerts());
    let mut series: BTreeSet<String> = queries
        .iter()
        .flat_map(|query| Named::of(query).series)
        .collect();
    for own in ITS_OWN {
        series.remove(own);
    }
    series
}

/// The text of each `expr`, on its line or indented below it.
fn expressions_of_the_alerts() -> Vec<String> {
    let rules = read("deploy/prometheus/alerts.yml");
    let parts = rules.split("        expr: ").skip(1);
    parts
        .map(|part| {
            let end = part
                .find("\n        for:")
                .or_else(|| part.find("\n        labels:"));
            part[..end.unwrap()].trim_start_matches('|').to_owned()
        })
        .collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/grafana/dashboards/angarium.json")).unwrap()
}

fn collect(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(query) if name == "expr" => into.push(query.to_owned()),
                    _ => collect(value, into),
                }
            }
        }
        _ => {}
    }
}

pub(super) fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
