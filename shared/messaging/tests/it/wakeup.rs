//! What wakes a worker: a commit, a due time, or the shared poll; and what does not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use messaging::{Store, Wakeup, Woken, outbox};
use rstest::rstest;
use sea_orm::{ConnectionTrait as _, DbErr};
use store::DatabaseConfig;
use testkit::{BrokerKind, Statements, StoreKind, eventually, eventually_is};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::effects::each_on_its_own;
use crate::events::Changed;
use crate::fixture::{Fixture, SOON, cause};

const SIGNAL: &str = "tasks";
const TASKS: &str = "CREATE TABLE task (due_at_ms bigint NOT NULL)";
const DUE_IN_MS: &str = "SELECT min(due_at_ms) - {now} FROM task";
const LONG_AGO: i64 = 1;

async fn fixture(store: StoreKind) -> Fixture {
    let fixture = Fixture::new(store, BrokerKind::Embedded).await;
    execute(&fixture.store, TASKS).await;
    fixture
}

async fn execute(store: &Store, sql: &str) {
    store.connection().execute_unprepared(sql).await.unwrap();
}

async fn add(store: &Store, due_at_ms: i64) {
    execute(store, &format!("INSERT INTO task VALUES ({due_at_ms})")).await;
}

fn wakeup(store: &Store) -> Wakeup {
    store.wakeup(SIGNAL, DUE_IN_MS)
}

#[rstest]
#[tokio::test]
async fn a_worker_is_woken_by_a_commit_that_is_for_it_and_by_no_other(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = fixture(store).await;
    let mut wakeup = wakeup(&fixture.store);
    let other = fixture.store.begin().await.unwrap();
    other.wake_on_commit("something else");
    other.commit().await.unwrap();
    let undone = fixture.store.begin().await.unwrap();
    undone.wake_on_commit(SIGNAL);
    undone.rollback().await.unwrap();
    assert_eq!(wakeup.sleep(Some(Duration::ZERO)).await, Woken::Due);

    let transaction = fixture.store.begin().await.unwrap();
    transaction.wake_on_commit(SIGNAL);
    transaction.commit().await.unwrap();
    assert_eq!(wakeup.sleep(None).await, Woken::Committed);
}

#[rstest]
#[tokio::test]
async fn what_another_process_has_committed_is_found_by_a_look(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = fixture(store).await;
    let elsewhere = Store::new(fixture.store.connection().clone());
    fixture.look_soon();
    let (mut first, mut second) = (wakeup(&fixture.store), wakeup(&fixture.store));
    assert_eq!(first.ask().await.unwrap(), None);
    add(&elsewhere, LONG_AGO).await;
    let found = tokio::join!(first.sleep(None), second.sleep(None));
    assert_eq!(found, (Woken::Found, Woken::Found));
    assert_eq!(first.ask().await.unwrap(), Some(Duration::ZERO));
}

#[rstest]
#[tokio::test]
async fn what_a_look_sees_coming_wakes_when_it_has_come(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = fixture(store).await;
    fixture.look_soon();
    let mut wakeup = wakeup(&fixture.store);
    let in_a_moment = match store {
        StoreKind::Postgres => "(extract(epoch from clock_timestamp()) * 1000)::bigint + 2000",
        StoreKind::Sqlite => "cast(unixepoch('subsec') * 1000 as integer) + 2000",
    };
    execute(
        &fixture.store,
        &format!("INSERT INTO task SELECT {in_a_moment}"),
    )
    .await;
    // By an earlier poll, or by one at the same moment.
    assert_ne!(wakeup.sleep(None).await, Woken::Committed);
    assert_eq!(wakeup.ask().await.unwrap(), Some(Duration::ZERO));
}

#[tokio::test]
async fn all_workers_of_a_service_share_one_look() {
    const WORKERS: usize = 20;
    let (statements, _listening) = Statements::listen();
    let mut fixture = fixture(StoreKind::Postgres).await;
    fixture.look_soon();
    let begun = Instant::now();
    let mut sleeping = JoinSet::new();
    for _ in 0..WORKERS {
        let mut worker = wakeup(&fixture.store);
        sleeping.spawn(async move { worker.sleep(None).await });
    }
    let looks = || statements.since(begun).len();
    eventually("it was looked some times", async || {
        if looks() >= 3 { Ok(()) } else { Err(looks()) }
    })
    .await;
    let most = begun.elapsed().as_millis() / SOON.as_millis() + 1;
    assert!(looks() as u128 <= most, "{} of {most}", looks());
}

/// The poll of the first worker takes a moment, and its commit comes first. A cancelled statement would raise a doubt.
#[tokio::test]
async fn a_commit_cancels_no_poll() {
    let fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let config = DatabaseConfig::new(fixture.database_url());
    let store = Store::connect(&config, "test").await.unwrap();
    let store = store.looking_every(SOON);
    let slow = "SELECT cast(0 AS bigint) FROM (SELECT pg_sleep(3)) AS slept";
    let mut wakeup = store.wakeup(SIGNAL, slow);
    let before = store.doubt().raised();
    let committing = async {
        let polling = "SELECT 1 AS one FROM pg_stat_activity
                       WHERE query LIKE '/* what is due */%' AND state = 'active' AND datname = current_database()";
        eventually("it polls", async || {
            let polls = fixture.rows(polling, []).await;
            polls.first().map(drop).ok_or("no poll yet")
        })
        .await;
        store.signal(SIGNAL).notify_one();
    };
    let (woken, ()) = tokio::join!(wakeup.sleep(None), committing);
    assert_eq!(woken, Woken::Committed);
    assert_eq!(store.doubt().raised(), before);
}

#[rstest]
#[tokio::test]
async fn a_failed_poll_wakes_no_worker_and_is_repeated(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    fixture.look_soon();
    let mut wakeup = wakeup(&fixture.store);
    assert!(wakeup.ask().await.is_err());
    assert_eq!(
        wakeup.sleep(Some(Duration::from_millis(300))).await,
        Woken::Due
    );
    execute(&fixture.store, TASKS).await;
    add(&fixture.store, LONG_AGO).await;
    assert_eq!(wakeup.sleep(None).await, Woken::Found);
}

#[rstest]
#[tokio::test]
async fn a_worker_does_all_that_is_due_and_survives_what_fails(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = fixture(store).await;
    for due_at_ms in LONG_AGO..LONG_AGO + 3 {
        add(&fixture.store, due_at_ms).await;
    }
    let (steps, failures) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let step = async || {
        if steps.fetch_add(1, Ordering::SeqCst) == 1 {
            return Err(DbErr::Custom("once".to_owned()));
        }
        let one = "DELETE FROM task WHERE due_at_ms IN (SELECT due_at_ms FROM task LIMIT 1)";
        let done = fixture.store.connection().execute_unprepared(one).await?;
        Ok(done.rows_affected() > 0)
    };
    let stop = CancellationToken::new();
    let work = wakeup(&fixture.store).work(&stop, step, |_: DbErr| {
        failures.fetch_add(1, Ordering::SeqCst);
    });
    let done = async {
        eventually_is("all is done", 0, async || {
            fixture.rows("SELECT due_at_ms FROM task", []).await.len()
        })
        .await;
        add(&fixture.store, LONG_AGO).await;
        fixture.store.signal(SIGNAL).notify_one();
        eventually_is("that as well", 0, async || {
            fixture.rows("SELECT due_at_ms FROM task", []).await.len()
        })
        .await;
        stop.cancel();
    };
    tokio::join!(work, done);
    assert_eq!(failures.load(Ordering::SeqCst), 1);
}

#[rstest]
#[tokio::test]
async fn a_relay_finds_events_that_were_committed_without_a_signal(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    fixture.look_soon();
    let transport = fixture.transport(&each_on_its_own());
    transport.declare().await.unwrap();
    fixture.run_relay(transport);
    fixture.commit(&Changed::of("a"), 1).await;
    fixture.all_is_published().await;
    let elsewhere = Store::new(fixture.store.connection().clone());
    let transaction = elsewhere.begin().await.unwrap();
    outbox::enqueue(&transaction, &Changed::of("b"), 1, &cause()).unwrap();
    transaction.commit().await.unwrap();
    fixture.all_is_published().await;
    fixture.stop().await;
}
