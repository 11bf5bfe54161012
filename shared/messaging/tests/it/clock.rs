//! A clock that was ahead, or is set back: nothing waits for the time of the wrong clock.
//!
//! Tests cannot set a database's clock, so they move the times of rows ahead.

use std::time::Duration;

use messaging::{ConsumerConfig, RetryPolicy};
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually_is};

use crate::effects::{each_on_its_own, execute};
use crate::events::{Changed, Failure, id, message};
use crate::fixture::{Fixture, consumer_config};

const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

#[rstest]
#[tokio::test]
async fn a_lease_that_ends_in_a_year_is_taken_over(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    fixture.look_soon();
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.commit(&Changed::of("a"), 1).await;
    fixture.all_is_published().await;
    fixture.abort().await;
    let ahead = "UPDATE angarium_relay_lease SET expires_at = {time + $1}";
    execute(fixture.store.connection(), ahead, [YEAR_MS.into()])
        .await
        .unwrap();

    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.commit(&Changed::of("a"), 2).await;
    fixture.all_is_published().await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_was_put_off_by_a_clock_ahead_is_published(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    fixture.look_soon();
    fixture
        .transport(&each_on_its_own())
        .declare()
        .await
        .unwrap();
    for version in 1..=3 {
        fixture.commit(&Changed::of("a"), version).await;
    }
    let ahead = "UPDATE angarium_outbox SET created_at = {time + $1} WHERE aggregate_version = 2";
    execute(fixture.store.connection(), ahead, [HOUR_MS.into()])
        .await
        .unwrap();
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.all_is_published().await;
    fixture.stop().await;
}

/// While the clock was ahead, a worker died with the event, or its next attempt was delayed.
#[rstest]
#[tokio::test]
async fn what_is_held_by_a_clock_ahead_is_handled(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(0, 1)] begun: i32,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let event = message(&Changed::failing("a", 1, Failure::Retry), 1);
    fixture.send(&each_on_its_own(), [&event]).await;
    let config = || ConsumerConfig {
        handler_time_out: Duration::from_secs(1),
        baseline_wait: Duration::from_secs(1),
        retry: RetryPolicy {
            first_delay: Duration::from_secs(60),
            longest_delay: Duration::from_secs(60),
            ..consumer_config().retry
        },
        ..consumer_config()
    };
    fixture.run_consumer_as(each_on_its_own(), config());
    fixture.becomes(&id(&event), "deferred").await;
    fixture.abort().await;
    let ahead = "UPDATE angarium_inbox SET received_at = {time + $1}, due_at = {time + $1}, first_failed_at = {time + $1}, begun = $2";
    execute(
        fixture.store.connection(),
        ahead,
        [YEAR_MS.into(), begun.into()],
    )
    .await
    .unwrap();

    fixture.look_soon();
    fixture.run_consumer_as(each_on_its_own(), config());
    fixture.becomes(&id(&event), "done").await;
    assert_eq!(fixture.handled().await, [id(&event)]);
    let future = "SELECT 1 FROM angarium_inbox WHERE received_at > settled_at OR first_failed_at > settled_at";
    assert_eq!(fixture.rows(future, []).await.len(), 0);
    fixture.stop().await;
}

/// By more than the maximum retry time, after the first failure.
#[rstest]
#[tokio::test]
async fn no_event_dies_because_the_clock_is_set_ahead(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let event = message(&Changed::failing("a", 2, Failure::Retry), 1);
    fixture.send(&each_on_its_own(), [&event]).await;
    let config = |delay| ConsumerConfig {
        handler_time_out: Duration::from_secs(1),
        retry: RetryPolicy {
            first_delay: delay,
            longest_delay: delay,
            longest_age: Duration::from_secs(24 * 3600),
            ..consumer_config().retry
        },
        ..consumer_config()
    };
    fixture.run_consumer_as(each_on_its_own(), config(Duration::from_secs(3600)));
    fixture.becomes(&id(&event), "deferred").await;
    fixture.abort().await;
    let before = "UPDATE angarium_inbox SET due_at = {time of 0}, first_failed_at = {time - $1}";
    execute(fixture.store.connection(), before, [(48 * HOUR_MS).into()])
        .await
        .unwrap();
    fixture.run_consumer_as(each_on_its_own(), config(Duration::from_millis(1)));
    fixture.becomes(&id(&event), "done").await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_wait_that_is_right_is_left_alone(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let event = message(&Changed::failing("a", 1, Failure::Retry), 1);
    fixture.send(&each_on_its_own(), [&event]).await;
    let far_away = RetryPolicy {
        first_delay: Duration::from_secs(600),
        longest_delay: Duration::from_secs(600),
        ..consumer_config().retry
    };
    fixture.look_soon();
    fixture.run_consumer_as(
        each_on_its_own(),
        ConsumerConfig {
            retry: far_away,
            ..consumer_config()
        },
    );
    fixture.becomes(&id(&event), "deferred").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let soon = "SELECT 1 FROM angarium_inbox WHERE {ms due_at} < {ms received_at} + 200000";
    eventually_is("it waits", 0, async || fixture.rows(soon, []).await.len()).await;
    assert_eq!(fixture.handled().await.len(), 0);
    fixture.stop().await;
}
