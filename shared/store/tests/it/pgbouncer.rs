//! PgBouncer with its defaults: session mode works, and every other mode is refused at the start.
#![expect(
    clippy::print_stderr,
    reason = "the reader of a run must see which tests were left out"
)]

use std::time::Duration;

use futures::future::join_all;
use rstest::rstest;
use store::{DatabaseConfig, DatabaseError, Transaction};
use testkit::{Database, PgBouncer, StoreKind};

use crate::sqlite::{Migrator, count, insert};

async fn before(database: &Database, pool_mode: &str) -> Option<(PgBouncer, DatabaseConfig)> {
    let Some(pooler) = PgBouncer::before(database.url(), pool_mode).await else {
        eprintln!("not tried: pgbouncer is not installed (Debian's package: pgbouncer)");
        return None;
    };
    let config = DatabaseConfig {
        patience: Duration::from_secs(10),
        ..DatabaseConfig::new(pooler.url())
    };
    Some((pooler, config.with_schema("things_service")))
}

#[tokio::test]
async fn behind_pgbouncer_in_session_mode_all_works() {
    let database = Database::create(StoreKind::Postgres).await;
    let Some((_pooler, config)) = before(&database, "session").await else {
        return;
    };
    let db = store::connect(&config, "things-service").await.unwrap();
    store::migrate::<Migrator>(&db).await.unwrap();
    let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let inserting = names.iter().map(async |name| {
        let transaction = Transaction::begin(&db).await?;
        insert(&transaction, name).await?;
        transaction.commit().await
    });
    for inserted in join_all(inserting).await {
        inserted.unwrap();
    }
    assert_eq!(count(&db).await, 20);
    db.close().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_pooler_that_lends_sessions_is_refused_at_once(
    #[values("transaction", "statement")] pool_mode: &str,
    #[values(false, true)] busy: bool,
) {
    let database = Database::create(StoreKind::Postgres).await;
    let Some((pooler, config)) = before(&database, pool_mode).await else {
        return;
    };
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..if busy { 8 } else { 0 } {
        others.spawn(use_up(pooler.url().to_owned()));
    }
    for _ in 0..5 {
        let error = store::connect(&config, "test").await.unwrap_err();
        assert!(matches!(error, DatabaseError::Unfit { .. }), "{error:?}");
        assert!(error.is_misconfiguration());
        let said = error.to_string();
        assert!(said.contains("pool_mode = session"), "{said}");
    }
}

async fn use_up(url: String) {
    use sea_orm::sqlx::{Connection as _, Executor as _, PgConnection};

    let options: sea_orm::sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let options = options.extra_float_digits(None);
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    loop {
        connection.execute("SELECT 1").await.unwrap();
    }
}
