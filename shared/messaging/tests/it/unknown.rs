//! Events of an unknown type wait, for a limited time, for a process that knows it, as during a rollout.

use std::time::Duration;

use event::Message;
use messaging::{ConsumerConfig, Delivered, HandlerError, Subscriptions, Transaction};
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually_is};

use crate::effects::{change, each_on_its_own, in_order};
use crate::events::{Changed, Renamed, id, message};
use crate::fixture::{Fixture, NEVER, consumer_config};

const ACCOUNTS: usize = 20;
const VERSIONS: i64 = 10;

/// It knows `Renamed`.
fn newer(subscriptions: Subscriptions) -> Subscriptions {
    subscriptions.on::<Renamed>(renamed)
}

fn newer_in_order(subscriptions: Subscriptions) -> Subscriptions {
    subscriptions.in_order::<Renamed>(renamed)
}

async fn renamed(
    transaction: &Transaction,
    event: Renamed,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    change(transaction, Changed::of(&event.account), delivered).await
}

fn patient() -> ConsumerConfig {
    ConsumerConfig {
        unknown_wait: NEVER,
        ..consumer_config()
    }
}

#[rstest]
#[tokio::test]
async fn an_unknown_event_waits_for_the_first_process_that_knows_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values([0, 1, 2], [2, 1, 0])] arrival: [usize; 3],
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let events = [
        message(&Changed::of("a"), 1),
        message(&Renamed::of("a"), 2),
        message(&Changed::of("a"), 3),
    ];
    fixture
        .send(&in_order(), arrival.map(|index| &events[index]))
        .await;
    fixture.run_consumer_as(in_order(), patient());
    for event in &events[1..] {
        fixture.becomes(&id(event), "waiting").await;
    }
    eventually_is("the first is handled", vec![1], async || {
        fixture.versions("a").await
    })
    .await;
    fixture.stop().await;
    fixture.run_consumer_as(newer_in_order(in_order()), patient());
    eventually_is("all in order", vec![1, 2, 3], async || {
        fixture.versions("a").await
    })
    .await;
    fixture.stop().await;
}

#[rstest]
#[case(each_on_its_own, newer, false)]
#[case(in_order, newer_in_order, true)]
#[tokio::test]
async fn two_releases_on_one_queue_lose_no_event_of_a_new_type(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[case] subscriptions: fn() -> Subscriptions,
    #[case] newer: fn(Subscriptions) -> Subscriptions,
    #[case] is_in_order: bool,
) {
    let mut fixture = Fixture::new(store, BrokerKind::RabbitMq).await;
    fixture.look_soon();
    let accounts: Vec<_> = (0..ACCOUNTS).map(|index| format!("a{index}")).collect();
    let events: Vec<Message> = (1..=VERSIONS)
        .flat_map(|version| accounts.iter().map(move |account| (account, version)))
        .map(|(account, version)| match version {
            1 => message(&Changed::of(account), version),
            _ => message(&Renamed::of(account), version),
        })
        .collect();
    fixture.send(&newer(subscriptions()), &events).await;
    fixture.run_consumer_as(subscriptions(), patient());
    fixture.run_consumer_as(newer(subscriptions()), patient());
    let expected: Vec<i64> = (1..=VERSIONS).collect();
    for account in &accounts {
        eventually_is("each effect once", expected.clone(), async || {
            let mut versions = fixture.versions(account).await;
            if !is_in_order {
                versions.sort_unstable();
            }
            versions
        })
        .await;
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_unknown_event_is_skipped_when_its_wait_ends(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let unknown = message(&Renamed::of("a"), 1);
    let after = message(&Changed::of("a"), 2);
    fixture.send(&in_order(), [&unknown, &after]).await;
    let wait = Duration::from_secs(1);
    let config = ConsumerConfig {
        unknown_wait: wait,
        ..consumer_config()
    };
    fixture.run_consumer_as(in_order(), config);
    fixture.becomes(&id(&unknown), "skipped").await;
    eventually_is("what comes after it", vec![2], async || {
        fixture.versions("a").await
    })
    .await;
    let waited = "SELECT {ms settled_at} - {ms received_at} AS waited_ms FROM angarium_inbox WHERE state = 'skipped'";
    let waited: i64 = fixture.rows(waited, []).await[0]
        .try_get("", "waited_ms")
        .unwrap();
    assert!(
        u128::try_from(waited).unwrap() >= wait.as_millis(),
        "{waited} ms"
    );
    fixture.stop().await;
}
