//! Collector, Prometheus and Jaeger with the configurations of `deploy/`: what dashboard and alerts name exists, one
//! registration is one trace, and an alert fires and clears.

mod http;
mod programs;
mod queries;

use std::collections::BTreeSet;

use testkit::{Broker, BrokerKind, Database, Proxy, StoreKind, eventually};

use crate::process::{Account, Process, broker_settings, command};
use crate::sudden_death::both_mails;
use crate::telemetry::OF_FAILURES;
use programs::Programs;

/// Of a registration, with both mails.
const SPANS: usize = 15;
const ALERT: &str = "AngariumBrokerDisconnected";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_dashboard_and_alerts_name_is_sent_and_an_outage_alerts() {
    let Some(programs) = Programs::start().await else {
        return;
    };
    let database = Database::create(StoreKind::Postgres).await;
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    let (url, prefix) = broker_settings(&broker);
    let proxy = Proxy::before(&url).await;
    let data = tempfile::tempdir().unwrap();
    let mut command = command(data.path());
    command
        .args(["--database-url", database.url()])
        .env("AMQP_URL", proxy.url())
        .env("AMQP_PREFIX", prefix)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", programs.over_grpc())
        .env("OTEL_METRIC_EXPORT_INTERVAL", "500")
        .env("LOG_FILTER", "info");
    let process = Process::start(&mut command);
    let first = register(&process, "ada@example.com").await;
    both_mails(&process, &first).await;
    programs.shows_one_trace(&first.user_id, SPANS).await;
    every_series_is_there(&programs).await;
    programs.evaluates(&queries::of_the_dashboard());
    programs.evaluates_its_rules().await;
    programs.has_alert(ALERT, false).await;

    proxy.cut();
    let second = register(&process, "grace@example.com").await;
    programs.has_alert(ALERT, true).await;
    proxy.mend();
    both_mails(&process, &second).await;
    // Half of it came after the outage.
    programs.shows_one_trace(&second.user_id, SPANS).await;
    programs.has_alert(ALERT, false).await;
    assert_eq!(process.interrupt().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_with_protobuf_the_collector_gets_the_same() {
    let Some(programs) = Programs::start().await else {
        return;
    };
    let data = tempfile::tempdir().unwrap();
    let mut command = command(data.path());
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", programs.over_http())
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "500")
        .env(
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=caf%C3%A9%2Cbar",
        );
    let process = Process::start(&mut command);
    let account = register(&process, "ada@example.com").await;
    both_mails(&process, &account).await;
    programs.shows_one_trace(&account.user_id, SPANS).await;
    programs
        .has_series(r#"angarium_outbox_pending{deployment_environment_name="café,bar"}"#)
        .await;
    assert_eq!(process.interrupt().code(), Some(0));
}

/// The profile `light` of docker-compose.yml.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jaeger_alone_takes_all_signals_and_shows_the_trace() {
    let Some(programs) = Programs::start().await else {
        return;
    };
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let mut command = command(data.path());
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", programs.to_jaeger())
        .env("OTEL_METRIC_EXPORT_INTERVAL", "500")
        .env("LOG_FILTER", "info")
        .stderr(std::fs::File::create(&log).unwrap());
    let process = Process::start(&mut command);
    let account = register(&process, "ada@example.com").await;
    both_mails(&process, &account).await;
    programs.shows_one_trace(&account.user_id, SPANS).await;
    eventually("metrics can be scraped", async || {
        let page = programs.metrics_of_jaeger()?;
        let named = r#"angarium_outbox_pending{"#;
        page.contains(named).then_some(()).ok_or(page)
    })
    .await;
    assert_eq!(process.interrupt().code(), Some(0));
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(!said.contains("telemetry is lost"), "{said}");
}

async fn register(process: &Process, email: &str) -> Account {
    eventually("a user is registered", async || {
        process
            .register(email)
            .await
            .map_err(|status| status.to_string())
    })
    .await
}

/// Except those of failures, and the broker's own.
async fn every_series_is_there(programs: &Programs) {
    let of_failures: BTreeSet<String> = OF_FAILURES
        .iter()
        .map(|name| format!("{}_total", name.replace('.', "_")))
        .collect();
    let mut named = queries::series();
    named.retain(|name| !of_failures.contains(name) && !name.starts_with("rabbitmq_"));
    assert!(named.len() > 15, "{named:?}");
    for name in named {
        programs.has_series(&name).await;
    }
}
