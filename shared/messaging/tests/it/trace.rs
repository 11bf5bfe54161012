//! One trace and one correlation id from the call to the last effect, across the wire, retries and replays.

use std::sync::OnceLock;

use messaging::Subscriptions;
use messaging::dead_letters::DeadLetters;
use messaging::trace::{self, TraceContext};
use opentelemetry::trace::{Status, TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Instrument as _};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::dead_letters::mended;
use crate::effects::{QUEUE, each_on_its_own, in_order};
use crate::events::{Changed, Failure};
use crate::fixture::Fixture;

#[rstest]
#[tokio::test]
async fn an_event_keeps_its_trace_through_outbox_wire_and_retries(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let (_spans, _tracing) = tracing_to_memory();
    let mut fixture = Fixture::new(store, broker).await;
    let event = Changed {
        echo: true,
        ..Changed::failing("a", 2, Failure::Retry)
    };
    let call = tracing::info_span!("call");
    let trace_id = call.context().span().span_context().trace_id().to_string();
    assert_ne!(trace_id, "00000000000000000000000000000000");
    fixture.commit(&event, 1).instrument(call).await;
    fixture
        .commit(&Changed::of("b"), 1)
        .instrument(tracing::info_span!("another call"))
        .await;
    fixture
        .transport(&each_on_its_own())
        .declare()
        .await
        .unwrap();
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.run_consumer(each_on_its_own());
    let effects = eventually("both had their effect", async || {
        let effects = fixture.effects().await;
        if effects.len() == 2 {
            Ok(effects)
        } else {
            Err(effects)
        }
    })
    .await;
    let effect = |account: &str| {
        let mut effects = effects.iter();
        effects.find(|effect| effect.account == account).unwrap()
    };
    assert_eq!(effect("a").attempt, 3);
    assert_eq!(effect("a").trace_id, trace_id);
    assert_eq!(effect("a").correlation_id, "call-1");
    assert_ne!(effect("b").trace_id, trace_id);

    let echo = "SELECT traceparent, correlation_id FROM angarium_outbox WHERE event_type = $1
                UNION ALL SELECT traceparent, correlation_id FROM angarium_outbox_history WHERE event_type = $1";
    let rows = fixture.rows(echo, ["test.account.v1.Echoed".into()]).await;
    assert_eq!(rows.len(), 1);
    let parent: String = rows[0].try_get("", "traceparent").unwrap();
    assert!(parent.contains(&trace_id), "{parent}");
    let correlation_id: String = rows[0].try_get("", "correlation_id").unwrap();
    assert_eq!(correlation_id, "call-1");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_event_that_waited_for_its_predecessor_keeps_its_trace(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let (_spans, _tracing) = tracing_to_memory();
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let call = tracing::info_span!("call");
    let trace_id = call.context().span().span_context().trace_id().to_string();
    fixture.transport(&in_order()).declare().await.unwrap();
    fixture.run_relay(fixture.transport(&in_order()));
    fixture.run_consumer(in_order());
    let second = fixture.commit(&Changed::of("a"), 2).instrument(call).await;
    fixture.becomes(&second.to_string(), "waiting").await;
    fixture.commit(&Changed::of("a"), 1).await;
    fixture.becomes(&second.to_string(), "done").await;
    let effects = fixture.effects().await;
    assert_eq!(effects[1].event_id, second.to_string());
    assert_eq!(effects[1].trace_id, trace_id);
    assert_ne!(effects[0].trace_id, trace_id);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_replayed_event_has_a_span_per_attempt_in_its_trace(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let (spans, _tracing) = tracing_to_memory();
    let mut fixture = Fixture::new(StoreKind::Postgres, broker).await;
    let call = tracing::info_span!("call");
    let trace_id = call.context().span().span_context().trace_id().to_string();
    let event = Changed::failing("a", 1, Failure::Reject);
    fixture
        .transport(&each_on_its_own())
        .declare()
        .await
        .unwrap();
    let id = fixture.commit(&event, 1).instrument(call).await.to_string();
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.run_consumer(each_on_its_own());
    fixture.becomes(&id, "dead").await;
    fixture.stop().await;
    let letters = DeadLetters::new(fixture.store.clone(), QUEUE);
    assert!(letters.replay(&id, "ada", "mended").await.unwrap());
    fixture.run_consumer(Subscriptions::new(QUEUE).on::<Changed>(mended));
    fixture.becomes(&id, "done").await;
    fixture.stop().await;

    let mut spans = of_events(&spans);
    spans.retain(|span| span.name.starts_with("process "));
    let outcome = |span: &SpanData| {
        let mut attributes = span.attributes.iter();
        let outcome = attributes.find(|attribute| attribute.key.as_str() == "angarium.outcome");
        outcome.map(|attribute| attribute.value.to_string())
    };
    let outcomes: Vec<_> = spans.iter().filter_map(outcome).collect();
    assert_eq!(outcomes, ["dead", "handled"]);
    let failed = |span: &SpanData| matches!(span.status, Status::Error { .. });
    assert_eq!(spans.iter().map(failed).collect::<Vec<_>>(), [true, false]);
    for span in &spans {
        assert_eq!(span.span_context.trace_id().to_string(), trace_id);
        assert_eq!(
            span.links.first().unwrap().span_context.span_id(),
            span.parent_span_id
        );
    }
}

#[tokio::test]
async fn a_trace_that_is_not_sampled_is_carried_as_such_and_stays_one() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let (spans, _tracing) = tracing_to_memory();
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let call = tracing::info_span!("call");
    trace::continue_in(&call, &TraceContext::accept(Some(PARENT), None, None));
    fixture
        .transport(&each_on_its_own())
        .declare()
        .await
        .unwrap();
    fixture.commit(&Changed::of("a"), 1).instrument(call).await;
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.run_consumer(each_on_its_own());
    let effects = eventually("it had its effect", async || {
        let effects = fixture.effects().await;
        if effects.is_empty() {
            Err(effects)
        } else {
            Ok(effects)
        }
    })
    .await;
    fixture.stop().await;

    let trace_id = PARENT.split('-').nth(1).unwrap();
    assert_eq!(effects[0].trace_id, trace_id);
    let rows = fixture
        .rows("SELECT traceparent FROM angarium_outbox UNION ALL SELECT traceparent FROM angarium_outbox_history", [])
        .await;
    let carried: String = rows[0].try_get("", "traceparent").unwrap();
    assert!(
        carried.contains(trace_id) && carried.ends_with("-00"),
        "{carried}"
    );
    let spans = of_events(&spans);
    assert!(spans.is_empty(), "{spans:?}");
}

/// For this thread, on which a test's tasks run. SQLite uses another one: spans entered there never end, so tests of
/// ended spans use PostgreSQL.
pub(crate) fn tracing_to_memory() -> (InMemorySpanExporter, DefaultGuard) {
    // With a single subscriber, `tracing` asks only the first thread that reaches a span, maybe another test's. With
    // two, it asks all subscribers.
    static SECOND: OnceLock<Dispatch> = OnceLock::new();
    SECOND.get_or_init(|| Dispatch::new(tracing_subscriber::registry()));
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone());
    let layer = tracing_opentelemetry::layer().with_tracer(provider.build().tracer("test"));
    let subscriber = tracing_subscriber::registry().with(layer);
    (spans, tracing::subscriber::set_default(subscriber))
}

fn of_events(spans: &InMemorySpanExporter) -> Vec<SpanData> {
    let names = ["create ", "publish ", "process "];
    let mut spans = spans.get_finished_spans().unwrap();
    spans.retain(|span| names.iter().any(|name| span.name.starts_with(name)));
    spans
}
