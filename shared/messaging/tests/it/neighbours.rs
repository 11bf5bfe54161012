//! Events that take too long or that the database fails: they cost attempts or nothing, and never their neighbours.

use std::time::Duration;

use messaging::{Delivered, HandlerError, Subscriptions, Transaction};
use rstest::rstest;
use sea_orm::{ConnectionTrait as _, DbErr, RuntimeErr};
use testkit::{BrokerKind, StoreKind, eventually};

use crate::effects::{QUEUE, change, execute};
use crate::events::{Changed, Failure, id, message};
use crate::fixture::{Fixture, one_lane};

/// The server ends a statement after 20 s, before the limit of the handler.
#[tokio::test]
async fn a_statement_that_the_server_ends_is_a_failed_attempt() {
    async fn sleeping(
        transaction: &Transaction,
        event: Changed,
        delivered: &Delivered,
    ) -> Result<(), HandlerError> {
        if delivered.attempt == 1 {
            transaction
                .execute_unprepared("SELECT pg_sleep(29)")
                .await?;
        }
        change(transaction, event, delivered).await
    }
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let subscriptions = || Subscriptions::new(QUEUE).on::<Changed>(sleeping);
    let event = message(&Changed::of("a"), 1);
    fixture.send(&subscriptions(), [&event]).await;
    fixture.run_consumer(subscriptions());
    let held = fixture.becomes(&id(&event), "done").await;
    let cause = held.cause.unwrap_or_default();
    assert!(cause.contains("statement timeout"), "{cause}");
    assert_eq!(held.attempts, 1);
    fixture.stop().await;
}

/// In the lane and as a held event. The next process must not take it for one that ended this process.
#[rstest]
#[tokio::test]
async fn an_event_that_the_database_always_fails_keeps_no_other(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    async fn failed(
        transaction: &Transaction,
        event: Changed,
        delivered: &Delivered,
    ) -> Result<(), HandlerError> {
        if event.account == "bad" {
            let lost = RuntimeErr::Internal("the connection is lost".to_owned());
            return Err(DbErr::Conn(lost).into());
        }
        change(transaction, event, delivered).await
    }
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let subscriptions = || Subscriptions::new(QUEUE).on::<Changed>(failed);
    let bad = message(&Changed::of("bad"), 1);
    let good = message(&Changed::of("a"), 1);
    let retried = message(&Changed::failing("b", 1, Failure::Retry), 1);
    fixture
        .send(&subscriptions(), [&bad, &good, &retried])
        .await;
    fixture.run_consumer_as(subscriptions(), one_lane());
    fixture.becomes(&id(&good), "done").await;
    fixture.becomes(&id(&retried), "done").await;
    let failing = fixture.becomes(&id(&bad), "deferred").await;
    assert_eq!(failing.attempts, 0);
    let cause = failing.cause.unwrap_or_default();
    assert!(cause.contains("the connection is lost"), "{cause}");
    fixture.stop().await;
    let leased = "SELECT 1 AS one FROM angarium_inbox WHERE begun > 0";
    assert!(fixture.rows(leased, []).await.is_empty());

    // As if it had ended a process: then it runs alone.
    let suspecting = "UPDATE angarium_inbox SET begun = 1 WHERE state = 'deferred'";
    execute(fixture.store.connection(), suspecting, [])
        .await
        .unwrap();
    let other = message(&Changed::failing("c", 1, Failure::Retry), 1);
    fixture.send(&subscriptions(), [&other]).await;
    fixture.run_consumer(subscriptions());
    fixture.becomes(&id(&other), "done").await;
    fixture.stop().await;
}

/// Together they take longer than a shared transaction may.
#[tokio::test]
async fn no_event_is_blamed_for_the_time_of_its_neighbours() {
    async fn unhurried(
        transaction: &Transaction,
        event: Changed,
        delivered: &Delivered,
    ) -> Result<(), HandlerError> {
        tokio::time::sleep(Duration::from_millis(70)).await;
        change(transaction, event, delivered).await
    }
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let subscriptions = || Subscriptions::new(QUEUE).on::<Changed>(unhurried);
    let events: Vec<_> = (1..=20)
        .map(|version| message(&Changed::of("a"), version))
        .collect();
    fixture.send(&subscriptions(), &events).await;
    fixture.run_consumer_as(subscriptions(), one_lane());
    for event in &events {
        let done = fixture.becomes(&id(event), "done").await;
        assert_eq!(done.cause, None);
    }
    fixture.stop().await;
}

/// One of the batch fails, so each is handled alone.
#[tokio::test]
async fn a_stop_ends_a_batch_after_the_current_event() {
    async fn slow(
        transaction: &Transaction,
        event: Changed,
        delivered: &Delivered,
    ) -> Result<(), HandlerError> {
        if event.account == "first" {
            return Err(HandlerError::retry("not yet"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        change(transaction, event, delivered).await
    }
    const EVENTS: usize = 20;
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let subscriptions = || Subscriptions::new(QUEUE).on::<Changed>(slow);
    let account = |number| if number == 0 { "first" } else { "other" };
    let events: Vec<_> = (0..EVENTS)
        .map(|number| message(&Changed::of(account(number)), 1))
        .collect();
    fixture.send(&subscriptions(), &events).await;
    fixture.run_consumer_as(subscriptions(), one_lane());
    eventually("one is handled", async || {
        let handled = fixture.handled().await.len();
        if handled > 0 { Ok(()) } else { Err(handled) }
    })
    .await;
    fixture.stop().await;
    let handled = fixture.handled().await.len();
    assert!(handled < EVENTS / 2, "{handled} were handled");
}
