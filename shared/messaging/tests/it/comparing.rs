//! A producer's retention reaches the consumer on both transports.

use std::time::Duration;

use messaging::{Engine, EngineConfig, Participant, Retention};
use rstest::rstest;
use testkit::{BrokerKind, Statements, StoreKind, eventually};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::effects::each_on_its_own;
use crate::events::{Changed, EXCHANGE};
use crate::fixture::Fixture;
use crate::log::Log;

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn warnings(broker: BrokerKind, outbox: Duration) -> Vec<String> {
    let (_statements, _listening) = Statements::listen();
    let (log, _logging) = Log::listen();
    let mut fixture = Fixture::new(StoreKind::Sqlite, broker).await;
    fixture.look_soon();
    let participant = Participant {
        service: "test",
        exchanges: &[EXCHANGE],
        subscriptions: Some(each_on_its_own()),
    };
    let broker = fixture.broker.of_services([&participant.topology()]);
    let config = EngineConfig {
        retention: Retention {
            outbox,
            ..Retention::default()
        },
        ..EngineConfig::default()
    };
    let engine = Engine::new(&fixture.store, &broker, participant, config);
    engine.declare().await.unwrap();
    let (stop, committed) = (CancellationToken::new(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(engine.run(stop.clone(), committed.clone()));
    for version in 1..=3 {
        fixture.commit(&Changed::of("a"), version).await;
    }
    eventually("they are handled", async || {
        let handled = fixture.handled().await;
        (handled.len() == 3).then_some(()).ok_or(handled)
    })
    .await;
    stop.cancel();
    committed.cancel();
    running.join_next().await.unwrap().unwrap();
    log.lines_with("after this consumer has forgotten it")
}

#[rstest]
#[tokio::test]
async fn a_producer_that_keeps_events_for_longer_is_reported(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    assert_eq!(warnings(broker, 7 * DAY).await, [""; 0]);
    let warned = warnings(broker, 30 * DAY).await;
    let [warning] = warned.as_slice() else {
        panic!("one warning for three events: {warned:?}");
    };
    for part in [" WARN ", "producer=\"test\"", "outbox_retention=2592000s"] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
}
