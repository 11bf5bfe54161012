//! Transactions commit whole or not at all, also if their caller ignores a failure or cancels a statement.

use std::time::Duration;

use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use store::{Class, Transaction, sql};
use testkit::{Database, Proxy, StoreKind};
use tokio::time::timeout;

use crate::sqlite::{Migrator, count, insert};

#[rstest]
#[tokio::test]
async fn a_commit_after_an_ignored_failure_keeps_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] kind: StoreKind,
) {
    let database = Database::create(kind).await;
    let db = database.migrated::<Migrator>().await;
    let transaction = Transaction::begin(&db).await.unwrap();
    insert(&transaction, "a").await.unwrap();
    insert(&transaction, "a").await.unwrap_err();
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(store::class(&error), Class::AfterFailure, "{error}");
    assert_eq!(count(&db).await, 0);
    insert(&db, "b").await.unwrap();
    assert_eq!(count(&database.connect().await).await, 1);
}

/// A success must not hide the other's failure, in either order.
#[rstest]
#[tokio::test]
async fn of_two_statements_at_once_each_counts(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] kind: StoreKind,
) {
    let database = Database::create(kind).await;
    let db = database.migrated::<Migrator>().await;
    let transaction = Transaction::begin(&db).await.unwrap();
    let (a, b) = tokio::join!(insert(&transaction, "a"), insert(&transaction, "b"));
    a.and(b).unwrap();
    transaction.commit().await.unwrap();
    let transaction = Transaction::begin(&db).await.unwrap();
    let (c, taken) = tokio::join!(insert(&transaction, "c"), insert(&transaction, "a"));
    assert!(c.is_ok() && taken.is_err());
    transaction.commit().await.unwrap_err();
    assert_eq!(count(&db).await, 2);
}

#[rstest]
#[tokio::test]
async fn a_dropped_transaction_is_undone_before_its_session_is_used(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] kind: StoreKind,
) {
    let database = Database::create(kind).await;
    database.migrated::<Migrator>().await;
    let db = database.with_connections(1).await;
    for _ in 0..20 {
        let transaction = Transaction::begin(&db).await.unwrap();
        insert(&transaction, "a").await.unwrap();
        drop(transaction);
        assert_eq!(count(&db).await, 0);
    }
}

/// The server may have executed the statement, so the caller must not commit half of its work.
#[tokio::test]
async fn a_commit_after_a_cancelled_statement_keeps_nothing() {
    let database = Database::create(StoreKind::Postgres).await;
    let beside = database.migrated::<Migrator>().await;
    let proxy = Proxy::before(database.url()).await;
    let db = database.connect_by(proxy.url(), 1).await;
    let transaction = Transaction::begin(&db).await.unwrap();
    insert(&transaction, "a").await.unwrap();
    let pause = Duration::from_millis(50);
    proxy.delay(pause, Duration::ZERO);
    let given_up = timeout(pause, insert(&transaction, "b")).await;
    assert!(given_up.is_err(), "the statement was not cancelled");
    proxy.delay(Duration::ZERO, Duration::ZERO);
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(store::class(&error), Class::AfterFailure, "{error}");
    assert_eq!(count(&beside).await, 0);
}

#[tokio::test]
async fn sessions_that_the_server_ended_fail_few_calls() {
    const SESSIONS: u32 = 4;
    let database = Database::create(StoreKind::Postgres).await;
    let beside = database.migrated::<Migrator>().await;
    let db = database.with_connections(SESSIONS).await;
    let asking = (0..SESSIONS).map(|_| db.execute_unprepared("SELECT pg_sleep(0.1)"));
    for asked in futures::future::join_all(asking).await {
        asked.unwrap();
    }
    let ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sql::query_all(&beside, ending, []).await.unwrap();
    let mut failed = 0;
    for number in 0..20 {
        if let Err(error) = insert(&db, &number.to_string()).await {
            assert!(store::is_unavailable(&error), "{error}");
            failed += 1;
        }
    }
    assert!(failed <= 1, "{failed} calls failed");
}
