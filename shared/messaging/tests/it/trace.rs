//! One trace and one correlation id from the call to the last effect, over the wire, retries and replays.

use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually};
use tracing::Instrument as _;
use tracing::subscriber::DefaultGuard;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::effects::{each_on_its_own, in_order};
use crate::events::{Changed, Failure};
use crate::world::World;

#[rstest]
#[tokio::test]
async fn an_event_keeps_its_trace_through_outbox_wire_and_retries(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let _tracing = tracing_to_nowhere();
    let mut world = World::new(store, broker).await;
    let event = Changed {
        echo: true,
        ..Changed::failing("a", 2, Failure::Retry)
    };
    let call = tracing::info_span!("call");
    let trace_id = call.context().span().span_context().trace_id().to_string();
    assert_ne!(trace_id, "00000000000000000000000000000000");
    world.commit(&event, 1).instrument(call).await;
    world
        .commit(&Changed::of("b"), 1)
        .instrument(tracing::info_span!("another call"))
        .await;
    world.transport(&each_on_its_own()).declare().await.unwrap();
    world.run_relay(world.transport(&each_on_its_own()));
    world.run_consumer(each_on_its_own());
    let effects = eventually("both had their effect", async || {
        let effects = world.effects().await;
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

    // What the handler has published in turn belongs to the same trace and call.
    let echo = "SELECT traceparent, correlation_id FROM outbox WHERE event_type = $1";
    let rows = world.rows(echo, ["test.account.v1.Echoed".into()]).await;
    assert_eq!(rows.len(), 1);
    let parent: String = rows[0].try_get("", "traceparent").unwrap();
    assert!(parent.contains(&trace_id), "{parent}");
    let correlation_id: String = rows[0].try_get("", "correlation_id").unwrap();
    assert_eq!(correlation_id, "call-1");
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_event_that_waited_for_its_predecessor_keeps_its_trace(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let _tracing = tracing_to_nowhere();
    let mut world = World::new(store, BrokerKind::Embedded).await;
    let call = tracing::info_span!("call");
    let trace_id = call.context().span().span_context().trace_id().to_string();
    world.transport(&in_order()).declare().await.unwrap();
    world.run_relay(world.transport(&in_order()));
    world.run_consumer(in_order());
    let second = world.commit(&Changed::of("a"), 2).instrument(call).await;
    world.becomes(&second.to_string(), "waiting").await;
    world.commit(&Changed::of("a"), 1).await;
    world.becomes(&second.to_string(), "done").await;
    let effects = world.effects().await;
    assert_eq!(effects[1].event_id, second.to_string());
    assert_eq!(effects[1].trace_id, trace_id);
    assert_ne!(effects[0].trace_id, trace_id);
    world.stop().await;
}

/// For this thread, which is the one that a test's tasks run on.
fn tracing_to_nowhere() -> DefaultGuard {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let tracer = SdkTracerProvider::builder().build().tracer("test");
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    tracing::subscriber::set_default(tracing_subscriber::registry().with(layer))
}
