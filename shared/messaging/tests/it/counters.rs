//! Limits the round trips to PostgreSQL for one batch of the relay and one of the consumer.
//!
//! The limits are the current numbers. A change that needs less lowers them.

use messaging::transport::Confirmation;
use messaging::{Consumer, ConsumerConfig, Relay, RelayConfig, Store, Subscriptions};
use rstest::rstest;
use testkit::{BrokerKind, Counted, Limits, RoundTrips, StoreKind, eventually_is};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::batch::{each_in_batches, in_order_in_batches};
use crate::effects::{each_on_its_own, in_order};
use crate::events::{Changed, message};
use crate::fixture::{Fixture, NEVER, consumer_config};
use crate::scripted::Scripted;

const PUBLISHED: usize = 100;
const CONSUMED: u16 = 20;
/// The smallest count is right, because other work can only add to it.
const TRIES: usize = 12;

#[tokio::test]
async fn a_relay_batch_stays_within_its_round_trips() {
    let fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let (trips, store) = counted(&fixture).await;
    let (transport, mut published) = Scripted::new(0);
    let mut running = Running::default();
    let relay = Relay::new(store.clone(), transport, RelayConfig::new("test"));
    running.tasks.spawn(relay.run(running.stop.clone()));
    let published = tokio::sync::Mutex::new(&mut published);

    let batch = trips
        .least_of(TRIES, async || {
            for _ in 0..PUBLISHED {
                fixture
                    .commit(&Changed::of(&Uuid::now_v7().to_string()), 1)
                    .await;
            }
            store.signal("outbox").notify_one();
            let mut published = published.lock().await;
            let mut handed_over = Vec::new();
            while handed_over.len() < PUBLISHED {
                handed_over.push(published.recv().await.unwrap());
            }
            for publication in handed_over {
                publication.answer(Confirmation::Routed);
            }
            fixture.all_is_published().await;
        })
        .await;
    batch.assert_within(
        "relay, a batch of 100 events",
        Limits {
            round_trips: 2,
            pings_after: 2,
            statements: 2,
        },
    );
    running.stop().await;
}

#[tokio::test]
async fn a_batch_of_unordered_events_stays_within_its_round_trips() {
    consumed(each_on_its_own, Coming::InOrder)
        .await
        .assert_within(
            "consumer, a batch of 20 unordered events",
            Limits {
                round_trips: 26,
                pings_after: 0,
                statements: 22,
            },
        );
}

#[tokio::test]
async fn a_batch_of_ordered_events_stays_within_its_round_trips() {
    consumed(in_order, Coming::InOrder).await.assert_within(
        "consumer, a batch of 20 events in order",
        Limits {
            round_trips: 32,
            pings_after: 0,
            statements: 28,
        },
    );
}

#[rstest]
#[case(each_in_batches, 8)]
#[case(in_order_in_batches, 14)]
#[tokio::test]
async fn a_batch_handler_stays_within_its_round_trips(
    #[case] subscriptions: fn() -> Subscriptions,
    #[case] round_trips: usize,
) {
    consumed(subscriptions, Coming::InOrder)
        .await
        .assert_within(
            "consumer, 20 events with a batch handler",
            Limits {
                round_trips,
                pings_after: 0,
                statements: round_trips - 4,
            },
        );
}

#[tokio::test]
async fn a_batch_of_held_events_stays_within_its_round_trips() {
    consumed(in_order, Coming::Backwards).await.assert_within(
        "consumer, 20 events that come in reverse order",
        Limits {
            round_trips: 40,
            pings_after: 0,
            statements: 34,
        },
    );
}

#[derive(Clone, Copy, PartialEq)]
enum Coming {
    InOrder,
    Backwards,
}

/// The first event comes alone, all others in one transaction.
async fn consumed(subscriptions: fn() -> Subscriptions, coming: Coming) -> Counted {
    let fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let (trips, store) = counted(&fixture).await;
    let transport = fixture.transport(&subscriptions());
    transport.declare().await.unwrap();
    trips
        .least_of(TRIES, async || {
            let account = Uuid::now_v7().to_string();
            let mut messages: Vec<_> = (1..=i64::from(CONSUMED))
                .map(|version| message(&Changed::of(&account), version))
                .collect();
            if coming == Coming::Backwards {
                messages.reverse();
            }
            fixture.send(&subscriptions(), &messages).await;
            let config = ConsumerConfig {
                prefetch: CONSUMED,
                ..consumer_config()
            };
            let transport = fixture.transport(&subscriptions());
            let consumer = Consumer::new(store.clone(), transport, subscriptions(), config);
            let mut running = Running::default();
            running.tasks.spawn(consumer.run(running.stop.clone()));
            eventually_is("all have had their effect", messages.len(), async || {
                fixture.versions(&account).await.len()
            })
            .await;
            running.stop().await;
        })
        .await
        .within_transactions()
}

async fn counted(fixture: &Fixture) -> (RoundTrips, Store) {
    let trips = RoundTrips::before(fixture.database_url()).await;
    let store = Store::new(trips.connect().await).looking_every(NEVER);
    (trips, store)
}

#[derive(Default)]
struct Running {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Running {
    async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}
