//! More registrations than the machine can hash, or than the broker accepts events of.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use contracts::user::v1::user_service_server::UserService as _;
use contracts::user::v1::{
    AuthenticateRequest, CreateUserRequest, GetUserRequest, UpdateUserRequest,
};
use futures::future::join_all;
use messaging::Store;
use rstest::rstest;
use runtime::TestClock;
use secrecy::SecretString;
use testkit::{Database, StoreKind, eventually, eventually_is, reason};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use user_service::hasher::{Hasher, Limits, Priority};
use user_service::migrations::Migrator;
use user_service::password::Password;

use crate::bench::{Bench, NOW_MS, from};
use crate::fixture::Fixture;
use crate::samples::{PASSWORD, ada};

fn named(name: &str) -> Request<CreateUserRequest> {
    Request::new(CreateUserRequest {
        email: format!("{name}@example.com"),
        ..ada()
    })
}

#[tokio::test]
async fn a_full_queue_answers_with_a_retry_time() {
    let database = Database::create(StoreKind::Sqlite).await;
    let store = Store::new(database.migrated::<Migrator>().await);
    let hasher = Hasher::new(Limits {
        at_a_time: 1,
        waiting: 19,
    });
    let clock = TestClock::at(NOW_MS);
    let users = Bench::on(store.clone(), hasher.clone(), clock).await.users;

    // Polled in this order: one is hashed and nineteen wait.
    let password = || Password::parse(SecretString::from("correct horse battery")).unwrap();
    let full = join_all((0..20).map(|_| hasher.hash(password(), Priority::Registration)));
    let (hashed, refused) = tokio::join!(full, users.create_user(named("ada")));
    assert!(hashed.iter().all(Result::is_ok));
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason(&refused), "TOO_MANY_PASSWORDS");
    let details = refused.get_error_details();
    let retry = details.retry_info().unwrap().retry_delay;
    assert!(retry > Some(Duration::ZERO));

    users.create_user(named("ada")).await.unwrap();
}

/// One core and a limited queue.
async fn with_a_queue_of(waiting: usize, kind: StoreKind) -> (Database, Bench, Hasher) {
    let database = Database::create(kind).await;
    let store = Store::new(database.migrated::<Migrator>().await);
    let hasher = Hasher::new(Limits {
        at_a_time: 1,
        waiting,
    });
    let clock = TestClock::at(NOW_MS);
    let bench = Bench::on(store, hasher.clone(), clock).await;
    bench.users.create_user(named("ada")).await.unwrap();
    (database, bench, hasher)
}

async fn log_in(bench: &Bench, password: &str) -> Result<(), Status> {
    let request = AuthenticateRequest {
        email: "ada@example.com".to_owned(),
        password: password.to_owned(),
        ..AuthenticateRequest::default()
    };
    let answer = bench.users.authenticate(from("198.51.100.9", request));
    answer.await.map(drop)
}

async fn counted(bench: &Bench) -> i64 {
    let failures = "SELECT CAST(coalesce(sum(failures), 0) AS bigint) FROM login_attempt";
    testkit::value(&bench.db, failures).await
}

#[rstest]
#[tokio::test]
async fn a_login_refused_by_a_full_queue_does_not_count(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] kind: StoreKind,
) {
    let (_database, bench, hasher) = with_a_queue_of(0, kind).await;
    let busy = hasher.turn(Priority::Login).await.unwrap();
    // More than the limit of an account or address.
    for _ in 0..12 {
        let refused = log_in(&bench, PASSWORD).await.unwrap_err();
        assert_eq!(reason(&refused), "TOO_MANY_PASSWORDS");
    }
    assert_eq!(counted(&bench).await, 0);
    drop(busy);
    log_in(&bench, PASSWORD).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_login_cancelled_in_the_queue_does_not_count(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] kind: StoreKind,
) {
    let (_database, bench, hasher) = with_a_queue_of(100, kind).await;
    let busy = hasher.turn(Priority::Login).await.unwrap();
    for _ in 0..12 {
        let mut waiting = Box::pin(log_in(&bench, PASSWORD));
        tokio::select! {
            answered = &mut waiting => panic!("it must not be answered yet: {answered:?}"),
            () = eventually_is("it is counted", 1, async || counted(&bench).await) => {}
        }
        drop(waiting);
        eventually_is("it is taken back", 0, async || counted(&bench).await).await;
    }
    drop(busy);
    log_in(&bench, PASSWORD).await.unwrap();
    let refused = log_in(&bench, "a guess").await.unwrap_err();
    assert_eq!(reason(&refused), "CREDENTIALS_INVALID");
    assert_eq!(counted(&bench).await, 1);
}

#[rstest]
#[tokio::test]
async fn hashing_holds_neither_a_connection_nor_the_right_to_write(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] kind: StoreKind,
) {
    let database = Database::create(kind).await;
    database.migrated::<Migrator>().await;
    let mut config = database.config();
    config.pool_max = 1;
    let db = store::connect(&config, "test").await.unwrap();
    let store = Store::new(db);
    let hasher = Hasher::new(Limits {
        at_a_time: 1,
        waiting: 100,
    });
    let clock = TestClock::at(NOW_MS);
    let users = Bench::on(store.clone(), hasher.clone(), clock).await.users;

    let password = || Password::parse(SecretString::from("correct horse battery")).unwrap();
    let before = join_all((0..20).map(|_| hasher.hash(password(), Priority::Registration)));
    let registered = AtomicBool::new(false);
    let registering = async {
        users.create_user(named("ada")).await.unwrap();
        registered.store(true, Ordering::SeqCst);
    };
    let writing = async {
        // The only connection is free: the registration still waits for its hash.
        let transaction = store.begin().await.unwrap();
        assert!(!registered.load(Ordering::SeqCst));
        transaction.rollback().await.unwrap();
    };
    tokio::join!(before, registering, writing);
    // The user, and the mail about the address.
    assert_eq!(testkit::outbox(store.connection()).await.len(), 2);
}

#[rstest]
#[tokio::test]
async fn overdue_events_stop_registrations_but_not_reads(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let mut user = fixture.create(ada()).await.unwrap();
    let fixture = fixture.restart_with_overdue_events().await;
    // A change is accepted until the service has seen an event that waits.
    let refused = eventually("commands are refused", async || {
        let update = UpdateUserRequest {
            user: Some(user.clone()),
            ..UpdateUserRequest::default()
        };
        let update = fixture.by(&user.user_id, update);
        match fixture.client().update_user(update).await {
            Ok(answer) => {
                user = answer.into_inner().user.unwrap();
                Err(user.etag.clone())
            }
            Err(refused) => Ok(refused),
        }
    })
    .await;
    assert_eq!(reason(&refused), "OUTBOX_OVER_BUDGET");
    let refused = fixture
        .create(named("grace").into_inner())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason(&refused), "OUTBOX_OVER_BUDGET");
    assert!(refused.get_error_details().retry_info().is_some());

    let user_id = user.user_id.clone();
    let request = fixture.by(&user.user_id, GetUserRequest { user_id });
    let shown = fixture.client().get_user(request).await;
    assert_eq!(shown.unwrap().into_inner().user, Some(user));
    fixture.stop().await;
}
