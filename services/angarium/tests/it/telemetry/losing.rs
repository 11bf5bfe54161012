//! A collector that is away, slow or full: no call notices, and what is lost is logged and counted.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Collector, Full, Proxy, eventually};

use crate::process::{Process, command};

const LOST: &str = "telemetry is lost";
const TAKEN: &str = "the collector takes telemetry again";

/// With short intervals, so that a loss shows soon.
fn exporting(data: &Path, endpoint: &str) -> Command {
    let mut command = command(data);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", "500")
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "200")
        .env("LOG_FILTER", "info")
        .stderr(File::create(data.join("log")).unwrap());
    command
}

/// A line of the log with all `words`.
async fn says(data: &Path, words: &[&str]) {
    eventually(&words.join(", "), async || {
        let said = std::fs::read_to_string(data.join("log")).unwrap();
        let mut lines = said.lines();
        let is_said = lines.any(|line| words.iter().all(|word| line.contains(word)));
        if is_said { Ok(()) } else { Err(said) }
    })
    .await;
}

async fn is_counted(collector: &Collector, signal: &str) {
    eventually("the loss is counted", async || {
        let counted = collector.metrics();
        let counted = counted
            .iter()
            .filter(|metric| metric.name == "angarium.telemetry.lost");
        let counted = counted.map(|metric| format!("{metric:?}"));
        let counted: Vec<String> = counted.collect();
        let has_signal = counted.iter().any(|metric| metric.contains(signal));
        if has_signal { Ok(()) } else { Err(counted) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_in_an_outage_is_logged_once_and_counted() {
    let collector = Collector::start();
    let proxy = Proxy::before(&collector.endpoint()).await;
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(&mut exporting(data.path(), proxy.url()));
    proxy.cut();
    process.register("ada@example.com").await.unwrap();
    for signal in ["traces", "metrics", "logs"] {
        says(data.path(), &["WARN", LOST, signal]).await;
    }
    proxy.mend();
    process.register("grace@example.com").await.unwrap();
    for signal in ["traces", "metrics", "logs"] {
        says(data.path(), &["INFO", TAKEN, signal, "lost="]).await;
        is_counted(&collector, signal).await;
    }
    assert_eq!(process.interrupt().code(), Some(0));
    let said = std::fs::read_to_string(data.path().join("log")).unwrap();
    assert_eq!(said.matches(LOST).count(), 3, "{said}");
    // The SDK's own lines would come with each export.
    assert!(!said.contains("ExportError"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_never_answers_delays_no_call() {
    let collector = Collector::start();
    let proxy = Proxy::before(&collector.endpoint()).await;
    let data = tempfile::tempdir().unwrap();
    let mut command = exporting(data.path(), proxy.url());
    // One export takes as long as its limit; meanwhile no more than these wait.
    command
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", "5000")
        .env("OTEL_BSP_MAX_QUEUE_SIZE", "8");
    let process = Process::start(&mut command);
    proxy.half_open();
    let begun = Instant::now();
    let limit = Duration::from_secs(5);
    while begun.elapsed() < limit {
        let asked = Instant::now();
        let refused = process.register("no address").await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert!(asked.elapsed() < limit, "{:?}", asked.elapsed());
    }
    says(data.path(), &[LOST, "traces"]).await;
    proxy.mend();
    process.register("ada@example.com").await.unwrap();
    is_counted(&collector, "traces").await;
    assert_eq!(process.interrupt().code(), Some(0));
}

/// By the specification such an answer is repeated if it says when, and final if not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_collector_is_asked_again_only_when_it_says_so() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start();
    let mut command = exporting(data.path(), &collector.endpoint());
    // This collector always answers, so on a busy machine nothing may be lost for being slow.
    command.env("OTEL_EXPORTER_OTLP_TIMEOUT", "10000");
    let process = Process::start(&mut command);
    collector.refuse_spans(Full::UntilLater(Duration::from_millis(50)), 1);
    process.register("ada@example.com").await.unwrap();
    eventually("the spans arrive", async || {
        let spans = collector.spans();
        let arrived = spans.iter().any(|span| span.name.ends_with("/CreateUser"));
        if arrived { Ok(()) } else { Err(spans.len()) }
    })
    .await;
    let said = std::fs::read_to_string(data.path().join("log")).unwrap();
    assert!(!said.contains(LOST), "{said}");

    collector.refuse_spans(Full::ForGood, 1);
    process.register("grace@example.com").await.unwrap();
    says(data.path(), &[LOST, "ResourceExhausted"]).await;
    process.register("bob@example.com").await.unwrap();
    says(data.path(), &[TAKEN]).await;
    assert_eq!(process.interrupt().code(), Some(0));
}
