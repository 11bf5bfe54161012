//! Compares the dashboard and the alerts with the documents: docs/telemetry.md has every metric and label that they
//! use, every alert says what to do, and the section that it links to exists.
//!
//! A mistyped name leaves a panel empty or an alert silent, which would go unnoticed until it matters.

mod promql;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use promql::Named;

const ALERTS: &str = "deploy/prometheus/alerts.yml";
const DASHBOARD: &str = "deploy/grafana/dashboards/angarium.json";

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[expect(dead_code, reason = "required in the file")]
    name: String,
    rules: Vec<Alert>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alert {
    alert: String,
    expr: String,
    #[serde(rename = "for")]
    #[expect(dead_code, reason = "optional in the file")]
    lasting: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: Annotations,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Annotations {
    summary: String,
    description: String,
    runbook: String,
}

fn alerts() -> Vec<Alert> {
    let rules: Rules = serde_saphyr::from_str(&read(ALERTS)).unwrap();
    rules
        .groups
        .into_iter()
        .flat_map(|group| group.rules)
        .collect()
}

#[test]
fn every_metric_and_label_of_the_alerts_is_in_the_table() {
    let table = Table::read();
    let alerts = alerts();
    assert!(alerts.len() > 10, "only {} alerts", alerts.len());
    for alert in alerts {
        table.check(&alert.expr, &alert.alert);
    }
}

#[test]
fn every_metric_and_label_of_the_dashboard_is_in_the_table() {
    let table = Table::read();
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let mut queries = Vec::new();
    collect_queries(&dashboard, &mut queries);
    assert!(queries.len() > 30, "only {} queries", queries.len());
    for query in queries {
        table.check(&query, DASHBOARD);
    }
}

#[test]
fn every_panel_of_the_dashboard_says_what_it_means() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let description = panel["description"].as_str().unwrap_or_default();
        assert!(description.len() > 30, "{}", panel["title"]);
    }
}

#[test]
fn every_alert_says_what_to_do_and_links_to_a_section() {
    let tests = read("deploy/prometheus/alerts_test.yml");
    let mut names = BTreeSet::new();
    for alert in alerts() {
        let Alert {
            alert: name,
            labels,
            annotations,
            ..
        } = alert;
        let severity = labels.get("severity").map(String::as_str);
        assert!(
            matches!(severity, Some("critical" | "warning")),
            "{name}: {severity:?}"
        );
        assert!(!annotations.summary.is_empty(), "{name}");
        assert!(annotations.description.len() > 60, "{name}");
        let (page, anchor) = annotations.runbook.split_once('#').unwrap();
        assert!(
            anchors(&read(page)).contains(anchor),
            "{name}: no section #{anchor} in {page}"
        );
        assert!(tests.contains(&name), "{name}: no test");
        assert!(names.insert(name.clone()), "{name} stands twice");
    }
}

#[test]
fn every_other_file_for_these_tools_is_valid_yaml() {
    for file in [
        "deploy/grafana/provisioning/dashboards/dashboards.yaml",
        "deploy/grafana/provisioning/datasources/datasources.yaml",
        "deploy/jaeger/config.yaml",
        "deploy/otel-collector/config.yaml",
        "deploy/prometheus/alerts_test.yml",
        "deploy/prometheus/prometheus.yml",
    ] {
        let content: Value =
            serde_saphyr::from_str(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(content.is_object(), "{file}");
    }
}

/// All texts of `expr` and all queries of variables in the dashboard.
fn collect_queries(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect_queries(value, into)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(query) if name == "expr" || query.starts_with("label_values(") => {
                        into.push(query.to_owned());
                    }
                    _ => collect_queries(value, into),
                }
            }
        }
        _ => {}
    }
}

/// GitHub's anchors for headings.
pub(crate) fn anchors(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_'))
                .map(|char| if char == ' ' { '-' } else { char })
                .collect()
        })
        .collect()
}

/// The metrics of docs/telemetry.md: each Prometheus time series with its labels.
struct Table(BTreeMap<String, String>);

impl Table {
    fn read() -> Self {
        let page = read("docs/telemetry.md");
        let mut rows = page
            .lines()
            .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
            .skip_while(|cells| !cells.iter().any(|cell| cell.starts_with("Prometheus name")));
        let header = rows.next().unwrap_or_else(|| {
            panic!("docs/telemetry.md: no table with a column `Prometheus name`")
        });
        let column = |name: &str| {
            header
                .iter()
                .position(|cell| cell.starts_with(name))
                .unwrap_or_else(|| panic!("docs/telemetry.md: no column `{name}`"))
        };
        let (kind, name, labels) = (
            column("kind"),
            column("Prometheus name"),
            column("attributes"),
        );
        let mut series = BTreeMap::new();
        let mut above = String::new();
        for cells in rows.skip(1).take_while(|cells| cells.len() > labels) {
            let metric = cells[name].trim_matches('`');
            if cells[labels] != "as above" {
                above = cells[labels].replace('.', "_");
            }
            if cells[kind].starts_with("histogram") {
                for suffix in ["_bucket", "_sum", "_count"] {
                    series.insert(format!("{metric}{suffix}"), above.clone());
                }
            } else {
                series.insert(metric.to_owned(), above.clone());
            }
        }
        Self(series)
    }

    fn check(&self, expression: &str, place: &str) {
        // Prometheus' own series, and the labels that it and the collector add to every series.
        const SERIES: [&str; 2] = ["ALERTS", "up"];
        const LABELS: [&str; 7] = [
            "alertname",
            "alertstate",
            "instance",
            "job",
            "le",
            "service_instance_id",
            "service_name",
        ];
        let Named { series, labels } = Named::of(expression);
        assert!(!series.is_empty(), "{place}: no metric in {expression}");
        let from_broker = series.iter().any(|name| name.starts_with("rabbitmq_"));
        for name in &series {
            let known = self.0.contains_key(name)
                || SERIES.contains(&name.as_str())
                || name.starts_with("rabbitmq_");
            assert!(
                known,
                "{place}: {name} is not in the table of docs/telemetry.md"
            );
        }
        for label in &labels {
            let described = series
                .iter()
                .filter_map(|name| self.0.get(name))
                .any(|labels| has_word(labels, label));
            let known = described || LABELS.contains(&label.as_str()) || from_broker;
            assert!(
                known,
                "{place}: docs/telemetry.md gives {series:?} no attribute {label}"
            );
        }
    }
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_')
        .any(|found| found == word)
}
