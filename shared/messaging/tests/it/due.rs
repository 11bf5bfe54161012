//! What wakes a worker: a commit, a due time, or the shared poll; and what does not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use messaging::{Due, Store, Woken, outbox};
use rstest::rstest;
use sea_orm::{ConnectionTrait as _, DbErr};
use testkit::{BrokerKind, Statements, StoreKind, eventually, eventually_is};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::effects::each_on_its_own;
use crate::events::Changed;
use crate::world::{SOON, World, cause};

const SIGNAL: &str = "tasks";
const TASKS: &str = "CREATE TABLE task (due_at_ms bigint NOT NULL)";
const DUE_IN_MS: &str = "SELECT min(due_at_ms) - {now} FROM task";
const LONG_AGO: i64 = 1;

async fn world(store: StoreKind) -> World {
    let world = World::new(store, BrokerKind::Embedded).await;
    execute(&world.store, TASKS).await;
    world
}

async fn execute(store: &Store, sql: &str) {
    store.connection().execute_unprepared(sql).await.unwrap();
}

async fn add(store: &Store, due_at_ms: i64) {
    execute(store, &format!("INSERT INTO task VALUES ({due_at_ms})")).await;
}

fn due(store: &Store) -> Due {
    store.due(SIGNAL, DUE_IN_MS)
}

#[rstest]
#[tokio::test]
async fn a_worker_is_woken_by_a_commit_that_is_for_it_and_by_no_other(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = world(store).await;
    let mut due = due(&world.store);
    let other = world.store.begin().await.unwrap();
    other.wake_on_commit("something else");
    other.commit().await.unwrap();
    let undone = world.store.begin().await.unwrap();
    undone.wake_on_commit(SIGNAL);
    undone.rollback().await.unwrap();
    assert_eq!(due.sleep(Some(Duration::ZERO)).await, Woken::Due);

    let transaction = world.store.begin().await.unwrap();
    transaction.wake_on_commit(SIGNAL);
    transaction.commit().await.unwrap();
    assert_eq!(due.sleep(None).await, Woken::Committed);
}

#[rstest]
#[tokio::test]
async fn what_another_process_has_committed_is_found_by_a_look(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut world = world(store).await;
    let elsewhere = Store::new(world.store.connection().clone());
    world.look_soon();
    let (mut first, mut second) = (due(&world.store), due(&world.store));
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
    let mut world = world(store).await;
    world.look_soon();
    let mut due = due(&world.store);
    let in_a_moment = match store {
        StoreKind::Postgres => "(extract(epoch from clock_timestamp()) * 1000)::bigint + 2000",
        StoreKind::Sqlite => "cast(unixepoch('subsec') * 1000 as integer) + 2000",
    };
    execute(
        &world.store,
        &format!("INSERT INTO task SELECT {in_a_moment}"),
    )
    .await;
    // By an earlier poll, or by one at the same moment.
    assert_ne!(due.sleep(None).await, Woken::Committed);
    assert_eq!(due.ask().await.unwrap(), Some(Duration::ZERO));
}

#[tokio::test]
async fn all_workers_of_a_service_share_one_look() {
    const WORKERS: usize = 20;
    let (statements, _listening) = Statements::listen();
    let mut world = world(StoreKind::Postgres).await;
    world.look_soon();
    let begun = Instant::now();
    let mut sleeping = JoinSet::new();
    for _ in 0..WORKERS {
        let mut worker = due(&world.store);
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

#[rstest]
#[tokio::test]
async fn a_failed_poll_wakes_no_worker_and_is_repeated(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut world = World::new(store, BrokerKind::Embedded).await;
    world.look_soon();
    let mut due = due(&world.store);
    assert!(due.ask().await.is_err());
    assert_eq!(
        due.sleep(Some(Duration::from_millis(300))).await,
        Woken::Due
    );
    execute(&world.store, TASKS).await;
    add(&world.store, LONG_AGO).await;
    assert_eq!(due.sleep(None).await, Woken::Found);
}

#[rstest]
#[tokio::test]
async fn a_worker_does_all_that_is_due_and_survives_what_fails(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = world(store).await;
    for due_at_ms in LONG_AGO..LONG_AGO + 3 {
        add(&world.store, due_at_ms).await;
    }
    let (steps, failures) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let step = async || {
        if steps.fetch_add(1, Ordering::SeqCst) == 1 {
            return Err(DbErr::Custom("once".to_owned()));
        }
        let one = "DELETE FROM task WHERE due_at_ms IN (SELECT due_at_ms FROM task LIMIT 1)";
        let done = world.store.connection().execute_unprepared(one).await?;
        Ok(done.rows_affected() > 0)
    };
    let stop = CancellationToken::new();
    let work = due(&world.store).work(&stop, step, |_: DbErr| {
        failures.fetch_add(1, Ordering::SeqCst);
    });
    let done = async {
        eventually_is("all is done", 0, async || {
            world.rows("SELECT due_at_ms FROM task", []).await.len()
        })
        .await;
        add(&world.store, LONG_AGO).await;
        world.store.signal(SIGNAL).notify_one();
        eventually_is("that as well", 0, async || {
            world.rows("SELECT due_at_ms FROM task", []).await.len()
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
    let mut world = World::new(store, BrokerKind::Embedded).await;
    world.look_soon();
    let transport = world.transport(&each_on_its_own());
    transport.declare().await.unwrap();
    world.run_relay(transport);
    world.commit(&Changed::of("a"), 1).await;
    world.all_is_published().await;
    let elsewhere = Store::new(world.store.connection().clone());
    let transaction = elsewhere.begin().await.unwrap();
    outbox::enqueue(&transaction, &Changed::of("b"), 1, &cause()).unwrap();
    transaction.commit().await.unwrap();
    world.all_is_published().await;
    world.stop().await;
}
