//! Logs and traces of the service: everything about an event, and no personal data.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use contracts::notification::v1::NotificationState;
use notification_service::config::Delivery;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use rstest::rstest;
use testkit::StoreKind;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::fixture::Fixture;
use crate::mail_server::{Answer, MailServer};
use crate::publishing::TRACEPARENT;
use crate::samples::registered;

/// Of all tests of this process.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Once for the process.
pub(crate) fn watch() -> Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    let set_up = || {
        let log = Log::default();
        let writer = log.clone();
        let provider = SdkTracerProvider::builder().build();
        let traces = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("test"))
            .with_filter(LevelFilter::INFO);
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .with_filter(LevelFilter::DEBUG);
        let subscriber = tracing_subscriber::registry().with(traces).with(lines);
        tracing::subscriber::set_global_default(subscriber).unwrap();
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        log
    };
    LOG.get_or_init(set_up).clone()
}

fn trace_id(traceparent: &str) -> &str {
    traceparent.split('-').nth(1).unwrap()
}

#[rstest]
#[tokio::test]
async fn one_trace_spans_the_event_the_mail_and_the_mails_event(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let event_id = fixture.publish(&registered("ada@example.com", "Ada")).await;
    fixture
        .notification(event_id, NotificationState::Sent)
        .await;

    let enqueued = "(SELECT traceparent FROM angarium_outbox UNION ALL SELECT traceparent FROM angarium_outbox_history) AS sent";
    for table in ["notification", enqueued] {
        let sql = format!("SELECT traceparent FROM {table}");
        let traceparent: String = fixture.value(&sql).await;
        assert_eq!(trace_id(&traceparent), trace_id(TRACEPARENT), "{table}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn logs_name_the_event_and_no_person() {
    let refusal = Answer::Recipient("550 <canary.refused@example.com> unknown");
    let server = MailServer::start([refusal]).await;
    let fixture = Fixture::sending(StoreKind::Sqlite, |_| Delivery::Smtp(server.server())).await;
    let refused = registered("canary.refused@example.com", "Canary Refused");
    let refused = fixture.publish(&refused).await;
    fixture
        .notification(refused, NotificationState::Failed)
        .await;
    let sent = registered("canary.sent@example.com", "Canary Sent");
    let sent = fixture.publish(&sent).await;
    fixture.notification(sent, NotificationState::Sent).await;
    let nowhere = registered("canary nowhere", "Canary Nowhere");
    let nowhere = fixture.publish(&nowhere).await;
    fixture
        .notification(nowhere, NotificationState::Failed)
        .await;
    fixture.stop().await;

    let log = watch().text();
    for event_id in [refused, sent, nowhere] {
        assert!(log.contains(&event_id.to_string()), "{log}");
    }
    for line in log.lines() {
        assert!(!line.to_lowercase().contains("canary"), "{line}");
    }
}
