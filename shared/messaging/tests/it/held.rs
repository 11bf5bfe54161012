//! Held events, with workers that die, hang, or run in parallel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use messaging::{ConsumerConfig, Delivered, HandlerError, RetryPolicy, Subscriptions, Transaction};
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use testkit::{BrokerKind, StoreKind, eventually, eventually_is};

use crate::effects::{QUEUE, change, each_on_its_own, execute};
use crate::events::{Changed, Failure, id, message};
use crate::fixture::{Fixture, NEVER, consumer_config, one_lane};

/// The first attempt requests a retry, later ones never end.
fn deadly(attempts: Arc<AtomicU32>) -> Subscriptions {
    Subscriptions::new(QUEUE).on::<Changed>(Deadly(attempts))
}

struct Deadly(Arc<AtomicU32>);

impl messaging::Handle<Changed> for Deadly {
    fn handle<'a>(
        &self,
        transaction: &'a Transaction,
        event: Changed,
        delivered: &'a Delivered,
    ) -> futures::future::BoxFuture<'a, Result<(), HandlerError>> {
        let attempts = Arc::clone(&self.0);
        Box::pin(async move {
            if event.account != "deadly" {
                return change(transaction, event, delivered).await;
            }
            match attempts.fetch_add(1, Ordering::SeqCst) {
                0 => Err(HandlerError::retry("not yet")),
                _ => std::future::pending().await,
            }
        })
    }
}

#[rstest]
#[tokio::test]
async fn a_held_event_that_kills_each_process_finally_is_dead(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let attempts = Arc::new(AtomicU32::new(0));
    let event = message(&Changed::of("deadly"), 1);
    let neighbour = message(&Changed::of("b"), 1);
    fixture.send(&each_on_its_own(), [&event]).await;
    let most = consumer_config().retry.attempts;
    for death in 2..=most + 1 {
        fixture.run_consumer(deadly(Arc::clone(&attempts)));
        eventually_is("it is being handled", death, async || {
            attempts.load(Ordering::SeqCst)
        })
        .await;
        fixture.abort().await;
        let due = "UPDATE angarium_inbox SET due_at = {time of 0} WHERE state = 'deferred'";
        execute(fixture.store.connection(), due, []).await.unwrap();
    }
    fixture.send(&each_on_its_own(), [&neighbour]).await;
    fixture.run_consumer(deadly(Arc::clone(&attempts)));
    let held = fixture.becomes(&id(&event), "dead").await;
    let cause = "4 attempts in a row did not end, because the process ended (not yet)";
    assert_eq!(held.cause.as_deref(), Some(cause));
    assert_eq!(held.body.as_deref(), Some(&event.body[..]));
    fixture.becomes(&id(&neighbour), "done").await;
    assert_eq!(fixture.handled().await, [id(&neighbour)]);
    assert_eq!(attempts.load(Ordering::SeqCst), most + 1);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_held_event_that_ends_processes_takes_no_neighbour_with_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let attempts = Arc::new(AtomicU32::new(0));
    let event = message(&Changed::of("deadly"), 1);
    let neighbours: Vec<_> = ["b", "c", "d"]
        .iter()
        .map(|account| message(&Changed::failing(account, 1, Failure::Retry), 1))
        .collect();
    let config = ConsumerConfig {
        retry: RetryPolicy {
            first_delay: NEVER,
            longest_delay: NEVER,
            ..consumer_config().retry
        },
        ..consumer_config()
    };
    fixture
        .send(&each_on_its_own(), neighbours.iter().chain([&event]))
        .await;
    fixture.run_consumer_as(deadly(Arc::clone(&attempts)), config);
    for held in neighbours.iter().chain([&event]) {
        fixture.becomes(&id(held), "deferred").await;
    }
    fixture.abort().await;
    let due = "UPDATE angarium_inbox SET due_at = {time of 0}, begun = 1 WHERE state = 'deferred'";
    execute(fixture.store.connection(), due, []).await.unwrap();
    loop {
        let before = attempts.load(Ordering::SeqCst);
        fixture.run_consumer(deadly(Arc::clone(&attempts)));
        let dies = eventually("it is being handled, or given up", async || {
            let held = fixture.held(&id(&event)).await.unwrap();
            match attempts.load(Ordering::SeqCst) > before {
                true => Ok(true),
                false if held.state == "dead" => Ok(false),
                false => Err(held),
            }
        })
        .await;
        if !dies {
            break;
        }
        let begun = "SELECT event_id FROM angarium_inbox WHERE begun > 1";
        assert_eq!(fixture.rows(begun, []).await.len(), 1);
        fixture.abort().await;
        let due = "UPDATE angarium_inbox SET due_at = {time of 0} WHERE state = 'deferred'";
        execute(fixture.store.connection(), due, []).await.unwrap();
    }
    for neighbour in &neighbours {
        assert_eq!(fixture.becomes(&id(neighbour), "done").await.attempts, 1);
    }
    assert_eq!(fixture.effects().await.len(), neighbours.len());
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn replicas_that_try_the_same_event_spend_its_attempts_once(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    static CALLS: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];
    async fn failing(
        transaction: &Transaction,
        _event: Changed,
        _delivered: &Delivered,
    ) -> Result<(), HandlerError> {
        let sqlite = transaction.get_database_backend() == sea_orm::DbBackend::Sqlite;
        CALLS[usize::from(sqlite)].fetch_add(1, Ordering::SeqCst);
        Err(HandlerError::retry("not yet"))
    }
    let subscriptions = || Subscriptions::new(QUEUE).on::<Changed>(failing);
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let event = message(&Changed::of("a"), 1);
    fixture.send(&subscriptions(), [&event]).await;
    fixture.look_soon();
    fixture.run_consumer(subscriptions());
    fixture.look_soon();
    fixture.run_consumer(subscriptions());
    let held = fixture.becomes(&id(&event), "dead").await;
    assert_eq!(held.attempts, 4);
    let calls = &CALLS[usize::from(store == StoreKind::Sqlite)];
    assert_eq!(calls.load(Ordering::SeqCst), 4);
    fixture.stop().await;
}

#[tokio::test]
async fn held_events_that_take_their_time_do_not_keep_another_one() {
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let config = ConsumerConfig {
        lanes: 4,
        ..consumer_config()
    };
    let slow: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|account| message(&Changed::of(account), 1))
        .collect();
    let quick = message(&Changed::failing("d", 2, Failure::Retry), 1);
    async fn handle(
        transaction: &Transaction,
        event: Changed,
        delivered: &Delivered,
    ) -> Result<(), HandlerError> {
        match (event.account.as_str(), delivered.attempt) {
            ("d", _) => change(transaction, event, delivered).await,
            (_, 1) => Err(HandlerError::retry("not yet")),
            _ => std::future::pending().await,
        }
    }
    let subscriptions = || Subscriptions::new(QUEUE).on::<Changed>(handle);
    fixture.send(&subscriptions(), &slow).await;
    fixture.run_consumer_as(subscriptions(), config);
    eventually("three are at it, and do not end", async || {
        let taken = "SELECT event_id FROM angarium_inbox WHERE state = 'deferred' AND begun = 1";
        let taken = fixture.rows(taken, []).await.len();
        if taken == slow.len() {
            Ok(())
        } else {
            Err(taken)
        }
    })
    .await;
    fixture.send(&subscriptions(), [&quick]).await;
    fixture.becomes(&id(&quick), "done").await;
    assert_eq!(fixture.handled().await, [id(&quick)]);
    fixture.abort().await;
}

#[tokio::test]
async fn a_transaction_that_lost_a_race_costs_no_attempt() {
    static LEFT: AtomicU32 = AtomicU32::new(3);
    async fn racing(
        transaction: &Transaction,
        event: Changed,
        delivered: &Delivered,
    ) -> Result<(), HandlerError> {
        let one_less = |left: u32| left.checked_sub(1);
        let (set, get) = (Ordering::SeqCst, Ordering::SeqCst);
        if LEFT.fetch_update(set, get, one_less).is_ok() {
            let losing =
                "DO $$ BEGIN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END $$";
            transaction.execute_unprepared(losing).await?;
        }
        change(transaction, event, delivered).await
    }
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let subscriptions = || Subscriptions::new(QUEUE).on::<Changed>(racing);
    let event = message(&Changed::of("a"), 1);
    fixture.send(&subscriptions(), [&event]).await;
    fixture.run_consumer(subscriptions());
    let held = fixture.becomes(&id(&event), "done").await;
    assert_eq!((held.attempts, held.cause), (0, None));
    assert_eq!(LEFT.load(Ordering::SeqCst), 0);
    assert_eq!(fixture.handled().await, [id(&event)]);
    fixture.stop().await;
}

#[tokio::test]
async fn a_statement_that_outlasts_its_handler_is_a_failed_attempt() {
    async fn sleeping(
        transaction: &Transaction,
        event: Changed,
        delivered: &Delivered,
    ) -> Result<(), HandlerError> {
        if delivered.attempt == 1 {
            // Longer than the limit for its rollback.
            transaction.execute_unprepared("SELECT pg_sleep(7)").await?;
        }
        change(transaction, event, delivered).await
    }
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let subscriptions = || Subscriptions::new(QUEUE).on::<Changed>(sleeping);
    let event = message(&Changed::of("a"), 1);
    fixture.send(&subscriptions(), [&event]).await;
    let config = ConsumerConfig {
        handler_time_out: Duration::from_millis(500),
        ..consumer_config()
    };
    fixture.run_consumer_as(subscriptions(), config);
    let held = fixture.becomes(&id(&event), "done").await;
    assert_eq!(held.cause.as_deref(), Some("no end within 500ms"));
    assert_eq!(held.attempts, 1);
    assert_eq!(fixture.handled().await, [id(&event)]);
    fixture.stop().await;
}

#[rstest]
#[case::fewer_attempts(2, NEVER, "not yet (given up after 2 attempts)")]
#[case::never_more_than_the_service_allows(99, NEVER, "not yet (given up after 4 attempts)")]
#[case::a_shorter_time(99, Duration::ZERO, "not yet (given up after failing for")]
#[tokio::test]
async fn a_line_of_the_table_may_give_up_earlier(
    #[case] attempts: u32,
    #[case] age: Duration,
    #[case] cause: &str,
) {
    let mut fixture = Fixture::new(StoreKind::Sqlite, BrokerKind::Embedded).await;
    let event = message(&Changed::failing("a", 99, Failure::Retry), 1);
    let subscriptions = || each_on_its_own().giving_up_after(attempts, age);
    fixture.send(&subscriptions(), [&event]).await;
    fixture.run_consumer(subscriptions());
    let held = fixture.becomes(&id(&event), "dead").await;
    let given = held.cause.unwrap_or_default();
    assert!(given.starts_with(cause), "{given}");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn many_held_events_are_all_handled(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    const COPIES: usize = 400;
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let event = message(&Changed::failing("a", 1, Failure::Retry), 1);
    let config = ConsumerConfig {
        retry: RetryPolicy {
            first_delay: NEVER,
            longest_delay: NEVER,
            ..consumer_config().retry
        },
        ..consumer_config()
    };
    fixture.send(&each_on_its_own(), [&event]).await;
    fixture.run_consumer_as(each_on_its_own(), config);
    fixture.becomes(&id(&event), "deferred").await;
    fixture.stop().await;
    let kept = "consumer, state, event_type, aggregate_type, aggregate_id, aggregate_version, exchange, routing_key,
                properties, body, received_at, attempts";
    let copying = format!(
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {COPIES})
         INSERT INTO angarium_inbox (event_id, due_at, {kept})
         SELECT {{uuid ('00000000-0000-0000-0000-' || (100000000000 + n))}}, {{time of 0}}, {kept}
         FROM angarium_inbox, number"
    );
    execute(fixture.store.connection(), &copying, [])
        .await
        .unwrap();
    fixture.run_consumer(each_on_its_own());
    eventually_is("all are handled", COPIES, async || {
        fixture.effects().await.len()
    })
    .await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_handler_that_hangs_does_not_keep_its_lane(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let hanging = message(&Changed::failing("hanging", 9, Failure::Hang), 1);
    let good = ["a", "b", "c", "d"].map(|account| message(&Changed::of(account), 1));
    let [first, second, ..] = &good;
    fixture
        .send(&each_on_its_own(), [first, &hanging, second])
        .await;
    fixture.run_consumer_as(each_on_its_own(), one_lane());
    fixture.send(&each_on_its_own(), &good[2..]).await;
    for event in &good {
        fixture.becomes(&id(event), "done").await;
    }
    let hanging = fixture.becomes(&id(&hanging), "deferred").await;
    assert_eq!(hanging.attempts, 0);
    fixture.abort().await;
}
