//! Failures that a retry may fix.

use std::time::Duration;

use messaging::{ConsumerConfig, RetryPolicy, Subscriptions};
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually_is};

use crate::effects::{QUEUE, each_on_its_own, in_order};
use crate::events::{Changed, Failure, id, message};
use crate::fixture::{Fixture, NEVER, consumer_config};

#[rstest]
#[tokio::test]
async fn a_handler_that_fails_twice_and_then_works_has_one_effect(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let event = message(&Changed::failing("a", 2, Failure::Retry), 1);
    fixture.send(&each_on_its_own(), [&event]).await;
    fixture.run_consumer(each_on_its_own());
    let held = fixture.becomes(&id(&event), "done").await;
    assert_eq!(held.attempts, 2);
    assert_eq!(held.cause.as_deref(), Some("not yet"));
    assert_eq!(held.body, None, "what is settled keeps no message");
    let effects = fixture.effects().await;
    assert_eq!(effects.len(), 1);
    assert_eq!(effects[0].attempt, 3);
    fixture.stop().await;
    eventually_is("it is acknowledged", 0, async || {
        fixture.broker.messages(QUEUE).await
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_handler_that_panics_or_hangs_does_not_end_the_consumer(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(Failure::Panic, Failure::Hang)] failure: Failure,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let bad = message(&Changed::failing("a", 1, failure), 1);
    let after = message(&Changed::of("a"), 2);
    fixture.send(&each_on_its_own(), [&bad, &after]).await;
    let config = ConsumerConfig {
        handler_time_out: match failure {
            Failure::Hang => Duration::from_millis(100),
            _ => NEVER,
        },
        ..consumer_config()
    };
    fixture.run_consumer_as(each_on_its_own(), config);
    let held = fixture.becomes(&id(&bad), "done").await;
    let expected = match failure {
        Failure::Hang => "no end within 100ms",
        _ => "panicked: on purpose",
    };
    assert_eq!(held.cause.as_deref(), Some(expected));
    assert_eq!(held.attempts, 1);
    fixture.becomes(&id(&after), "done").await;
    assert_eq!(fixture.effects().await.len(), 2);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_event_without_attempts_left_is_dead_with_their_number(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let event = message(&Changed::failing("a", 99, Failure::Retry), 1);
    fixture.send(&each_on_its_own(), [&event]).await;
    fixture.run_consumer(each_on_its_own());
    let held = fixture.becomes(&id(&event), "dead").await;
    assert_eq!(held.attempts, 4);
    let cause = held.cause.as_deref();
    assert_eq!(cause, Some("not yet (given up after 4 attempts)"));
    assert_eq!(held.body.as_deref(), Some(&event.body[..]));
    assert_eq!(fixture.effects().await, []);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_event_that_fails_for_too_long_is_dead(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let event = message(&Changed::failing("a", 99, Failure::Retry), 1);
    fixture.send(&each_on_its_own(), [&event]).await;
    let retry = RetryPolicy {
        attempts: u32::MAX,
        longest_age: Duration::from_millis(20),
        ..consumer_config().retry
    };
    let config = ConsumerConfig {
        retry,
        ..consumer_config()
    };
    fixture.run_consumer_as(each_on_its_own(), config);
    let held = fixture.becomes(&id(&event), "dead").await;
    let cause = held.cause.unwrap_or_default();
    assert!(cause.contains("given up after failing for"), "{cause}");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_deferred_event_outlives_a_restart(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let event = message(&Changed::failing("a", 1, Failure::Retry), 1);
    fixture.send(&each_on_its_own(), [&event]).await;
    let far_away = RetryPolicy {
        first_delay: NEVER,
        longest_delay: NEVER,
        ..consumer_config().retry
    };
    let config = ConsumerConfig {
        retry: far_away,
        ..consumer_config()
    };
    fixture.run_consumer_as(each_on_its_own(), config);
    fixture.becomes(&id(&event), "deferred").await;
    fixture.stop().await;
    assert_eq!(fixture.broker.messages(QUEUE).await, 0);
    let due = "UPDATE angarium_inbox SET due_at = {time of 0} WHERE state = 'deferred'";
    crate::effects::execute(fixture.store.connection(), due, [])
        .await
        .unwrap();
    fixture.run_consumer(each_on_its_own());
    fixture.becomes(&id(&event), "done").await;
    assert_eq!(fixture.handled().await, [id(&event)]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_repeated_delivery_does_not_retry_a_deferred_event_early(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(false, true)] ordered: bool,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let subscriptions: fn() -> Subscriptions = if ordered { in_order } else { each_on_its_own };
    let event = message(&Changed::failing("a", 1, Failure::Retry), 1);
    let other = message(&Changed::of("b"), 1);
    let config = ConsumerConfig {
        retry: RetryPolicy {
            first_delay: NEVER,
            longest_delay: NEVER,
            ..consumer_config().retry
        },
        ..consumer_config()
    };
    fixture.send(&subscriptions(), [&event]).await;
    fixture.run_consumer_as(subscriptions(), config);
    fixture.becomes(&id(&event), "deferred").await;
    fixture.send(&subscriptions(), [&event, &other]).await;
    fixture.becomes(&id(&other), "done").await;
    fixture.stop().await;
    assert_eq!(fixture.broker.messages(QUEUE).await, 0);
    let held = fixture.held(&id(&event)).await.unwrap();
    assert_eq!((held.state.as_str(), held.attempts), ("deferred", 1));
}
