//! The effects of an aggregate happen in the order of its versions, without gaps.

use std::time::Duration;

use event::Message;
use messaging::{ConsumerConfig, RetryPolicy};
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually, eventually_is};

use crate::effects::{QUEUE, in_order};
use crate::events::{Audited, Changed, Failure, id, message};
use crate::fixture::{Fixture, NEVER, consumer_config};

#[rstest]
#[tokio::test]
async fn an_event_behind_a_gap_waits_for_its_predecessor(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let [first, second, third, fourth] = events("a");
    fixture.send(&in_order(), [&first, &fourth, &third]).await;
    fixture.run_consumer(in_order());
    fixture.becomes(&id(&first), "done").await;
    let held = fixture.becomes(&id(&third), "waiting").await;
    assert_eq!(held.body.as_deref(), Some(&third.body[..]));
    fixture.becomes(&id(&fourth), "waiting").await;
    assert_eq!(fixture.versions("a").await, [1]);

    fixture.send(&in_order(), [&second]).await;
    eventually_is("all in order", vec![1, 2, 3, 4], async || {
        fixture.versions("a").await
    })
    .await;
    assert_eq!(fixture.held(&id(&third)).await.unwrap().attempts, 0);
    fixture.stop().await;
    eventually_is("all is acknowledged", 0, async || {
        fixture.broker.messages(QUEUE).await
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn effects_are_in_order_for_any_deliveries_and_failures(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    const VERSIONS: i64 = 8;
    let mut fixture = Fixture::new(store, broker).await;
    let mut events: Vec<Message> = Vec::new();
    for account in ["a", "b", "c"] {
        for version in 1..=VERSIONS {
            let failures = u32::from(fastrand::u8(..4) == 0);
            let event = Changed::failing(account, failures, Failure::Retry);
            events.push(message(&event, version));
        }
    }
    let seed = fastrand::get_seed();
    let mut deliveries: Vec<&Message> = events.iter().chain(&events).collect();
    fastrand::shuffle(&mut deliveries);
    fixture.send(&in_order(), deliveries).await;
    fixture.run_consumer(in_order());
    fixture.run_consumer(in_order());
    for account in ["a", "b", "c"] {
        let what = format!("{account} is complete and in order (seed {seed})");
        eventually_is(&what, (1..=VERSIONS).collect::<Vec<_>>(), async || {
            fixture.versions(account).await
        })
        .await;
    }
    fixture.stop().await;
    assert_eq!(fixture.effects().await.len(), events.len(), "seed {seed}");
    let inbox = fixture.inbox().await;
    assert!(inbox.iter().all(|held| held.state == "done"), "{inbox:?}");
}

#[rstest]
#[tokio::test]
async fn a_deferred_event_holds_its_followers_but_no_other_aggregate(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let first = message(&Changed::failing("a", 1, Failure::Retry), 1);
    let second = message(&Changed::of("a"), 2);
    let other = message(&Changed::of("b"), 1);
    fixture.send(&in_order(), [&first, &second, &other]).await;
    let config = ConsumerConfig {
        retry: RetryPolicy {
            first_delay: NEVER,
            longest_delay: NEVER,
            ..consumer_config().retry
        },
        ..consumer_config()
    };
    fixture.run_consumer_as(in_order(), config);
    fixture.becomes(&id(&first), "deferred").await;
    fixture.becomes(&id(&second), "waiting").await;
    fixture.becomes(&id(&other), "done").await;
    assert_eq!(fixture.handled().await, [id(&other)]);
    fixture.stop().await;

    make_due(&fixture, &first).await;
    fixture.run_consumer(in_order());
    eventually_is("both in order", vec![1, 2], async || {
        fixture.versions("a").await
    })
    .await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_dead_event_blocks_its_own_aggregate_and_no_other(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(1, 2)] dies: i64,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let mut events = events("a");
    let index = usize::try_from(dies - 1).unwrap();
    events[index] = message(&Changed::failing("a", 99, Failure::Reject), dies);
    let others = self::events("b");
    let config = ConsumerConfig {
        baseline_wait: Duration::ZERO,
        ..consumer_config()
    };
    fixture
        .send(&in_order(), events.iter().chain(&others))
        .await;
    fixture.run_consumer_as(in_order(), config);
    fixture.becomes(&id(&events[index]), "dead").await;
    for later in &events[index + 1..] {
        fixture.becomes(&id(later), "waiting").await;
    }
    eventually_is("the other one goes on", vec![1, 2, 3, 4], async || {
        fixture.versions("b").await
    })
    .await;
    eventually_is("nothing is due", 0, async || {
        let due = "SELECT 1 FROM angarium_inbox WHERE due_at IS NOT NULL";
        fixture.rows(due, []).await.len()
    })
    .await;
    let before: Vec<i64> = (1..dies).collect();
    assert_eq!(fixture.versions("a").await, before);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_is_older_than_the_position_has_no_effect(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let [first, second, third, _] = events("a");
    fixture.send(&in_order(), [&first, &second]).await;
    fixture.run_consumer(in_order());
    fixture.becomes(&id(&second), "done").await;
    let impostor = message(&Changed::of("a"), 2);
    fixture.send(&in_order(), [&impostor, &first, &third]).await;
    fixture.becomes(&id(&third), "done").await;
    // An operator must see it.
    let kept = fixture.held(&id(&impostor)).await.map(|held| held.state);
    assert_eq!(kept.as_deref(), Some("dead"));
    assert_eq!(fixture.versions("a").await, [1, 2, 3]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn who_joins_late_begins_with_the_first_that_comes(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let [_, _, third, fourth] = events("a");
    let fifth = message(&Changed::of("a"), 5);
    let config = ConsumerConfig {
        baseline_wait: Duration::ZERO,
        ..consumer_config()
    };
    // The lowest version, not the first arrival.
    fixture.send(&in_order(), [&fourth, &third]).await;
    fixture.run_consumer_as(in_order(), wait_forever());
    fixture.becomes(&id(&third), "waiting").await;
    fixture.stop().await;
    make_due(&fixture, &fourth).await;
    make_due(&fixture, &third).await;
    fixture.run_consumer_as(in_order(), config);
    fixture.send(&in_order(), [&fifth]).await;
    eventually_is("in order from there", vec![3, 4, 5], async || {
        fixture.versions("a").await
    })
    .await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_beginning_that_comes_within_the_wait_goes_first(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let [first, second, third, _] = events("a");
    fixture.send(&in_order(), [&third, &second]).await;
    fixture.run_consumer_as(in_order(), wait_forever());
    fixture.becomes(&id(&second), "waiting").await;
    fixture.send(&in_order(), [&first]).await;
    eventually_is("from the beginning", vec![1, 2, 3], async || {
        fixture.versions("a").await
    })
    .await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_failing_baseline_uses_up_its_attempts_like_any_event(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values((2, "done"), (99, "dead"))] (failures, end): (u32, &str),
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let event = message(&Changed::failing("a", failures, Failure::Retry), 7);
    fixture.send(&in_order(), [&event]).await;
    let config = ConsumerConfig {
        baseline_wait: Duration::ZERO,
        ..consumer_config()
    };
    fixture.run_consumer_as(in_order(), config);
    let held = fixture.becomes(&id(&event), end).await;
    assert_eq!(u32::try_from(held.attempts).unwrap(), failures.min(4));
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_known_event_without_a_handler_moves_the_position(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let [first, _, third, _] = events("a");
    let audited = Audited {
        account: "a".to_owned(),
    };
    let audited = message(&audited, 2);
    fixture.send(&in_order(), [&first, &third, &audited]).await;
    fixture.run_consumer(in_order());
    eventually_is("the handled ones", vec![1, 3], async || {
        fixture.versions("a").await
    })
    .await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_unknown_event_is_skipped_in_its_turn_and_blocks_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values([0, 1, 2, 3], [0, 2, 1, 3], [3, 2, 1, 0])] arrival: [usize; 4],
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let mut events = events("a");
    events[1].event_type = Some("test.account.v1.FromTheFuture".to_owned());
    events[1].routing_key = "account.future".to_owned();
    let arriving = arrival.map(|index| &events[index]);
    fixture.send(&in_order(), arriving).await;
    fixture.run_consumer(in_order());
    eventually_is("the known ones", vec![1, 3, 4], async || {
        fixture.versions("a").await
    })
    .await;
    let skipped = fixture.held(&id(&events[1])).await.unwrap();
    assert_eq!(skipped.state, "skipped");
    assert_eq!(skipped.body.as_deref(), Some(&events[1].body[..]));
    fixture.stop().await;
}

fn events(account: &str) -> [Message; 4] {
    [1, 2, 3, 4].map(|version| message(&Changed::of(account), version))
}

fn wait_forever() -> ConsumerConfig {
    ConsumerConfig {
        baseline_wait: NEVER,
        ..consumer_config()
    }
}

async fn make_due(fixture: &Fixture, message: &Message) {
    let due = "UPDATE angarium_inbox SET due_at = {time of 0} WHERE event_id = {uuid $1}";
    crate::effects::execute(fixture.store.connection(), due, [id(message).into()])
        .await
        .unwrap();
    eventually("it is due", async || {
        let held = fixture.held(&id(message)).await;
        held.ok_or("it is not there")
    })
    .await;
}
