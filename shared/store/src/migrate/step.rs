//! One migration, under a lock that only one replica holds.
//!
//! Guarantee: a migration waits at most [`LOCK_WAIT`] for a table in use, because all later statements on that table
//! queue behind it. Then it gives up and is retried.

use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnection, PgPoolOptions};
use sea_orm::sqlx::{AssertSqlSafe, Executor as _};
use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, DbErr, SqliteTransactionMode, SqlxPostgresConnector,
    TransactionOptions, TransactionTrait as _,
};
use sea_orm_migration::MigratorTrait;

use super::known::{Known, missing, too_new, unknown};
use crate::database::Database;
use crate::sql;

const LOCK_WAIT: &str = "2s";
/// The same in every replica.
const LOCK: i64 = 7_020_658_420_253_753_346;
const CONNECT: Duration = Duration::from_secs(10);

pub(super) enum Step {
    /// More may be missing.
    Applied(Vec<String>),
    Complete,
    Busy,
    /// This release cannot use the newer schema.
    TooNew(String),
}

/// On SQLite all of them, because nothing waits for it there.
pub(super) async fn next<M: MigratorTrait>(db: &Database) -> Result<Step, DbErr> {
    let transaction = begin(db).await?;
    if !sql::is_sqlite(&transaction) && !is_locked(&transaction).await? {
        return Ok(Step::Busy);
    }
    if let Some(too_new) = too_new::<M>(&unknown::<M>(&transaction).await?) {
        return Ok(Step::TooNew(too_new));
    }
    let missing = missing::<M>(&transaction).await?;
    let Some(name) = missing.first().cloned() else {
        return Ok(Step::Complete);
    };
    if sql::is_sqlite(&transaction) {
        Known::<M>::up(&transaction, None).await?;
        transaction.commit().await?;
        return Ok(Step::Applied(missing));
    }
    if is_outside_of_transactions::<M>(&name) {
        transaction.rollback().await?;
        return outside_of_transactions::<M>(db, name).await;
    }
    Known::<M>::up(&transaction, Some(1)).await?;
    transaction.commit().await?;
    Ok(Step::Applied(vec![name]))
}

/// Without a time limit, because its statements may rewrite whole tables.
#[expect(
    clippy::disallowed_methods,
    reason = "no statement has a time limit, and only the end of the process cancels it"
)]
async fn begin(db: &Database) -> Result<DatabaseTransaction, DbErr> {
    // On SQLite, take the write lock now, where it waits; later it fails.
    let transaction = db
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        })
        .await?;
    if !sql::is_sqlite(&transaction) {
        let limits =
            format!("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '{LOCK_WAIT}'");
        transaction.execute_unprepared(&limits).await?;
    }
    Ok(transaction)
}

async fn is_locked(transaction: &DatabaseTransaction) -> Result<bool, DbErr> {
    let locking = "SELECT pg_try_advisory_xact_lock($1) AS locked";
    let row = sql::query_one(transaction, locking, [LOCK.into()]).await?;
    row.map_or(Ok(false), |row| row.try_get("", "locked"))
}

fn is_outside_of_transactions<M: MigratorTrait>(name: &str) -> bool {
    let mut own = M::migrations().into_iter();
    own.any(|migration| migration.name() == name && migration.use_transaction() == Some(false))
}

/// For `CREATE INDEX CONCURRENTLY` and the like, which block no other statement: on a separate session without limits,
/// which holds the lock.
async fn outside_of_transactions<M: MigratorTrait>(
    db: &Database,
    name: String,
) -> Result<Step, DbErr> {
    let pool = db.get_postgres_connection_pool();
    let schema = sql::query_one(db, "SELECT current_schema() AS name", []).await?;
    let schema: String = schema.map_or(Ok("public".to_owned()), |row| row.try_get("", "name"))?;
    let settings = format!(
        "SET statement_timeout = 0; SET search_path = {}",
        quoted(&schema)
    );
    let own = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECT)
        .after_connect(move |session: &mut PgConnection, _| {
            let settings = settings.clone();
            Box::pin(async move {
                session.execute(AssertSqlSafe(settings)).await?;
                Ok(())
            })
        })
        .connect_lazy_with((*pool.connect_options()).clone());
    let own = SqlxPostgresConnector::from_sqlx_postgres_pool(own);
    let applied = locked_on::<M>(&own, &name).await;
    // The end of the session releases the lock.
    own.close().await?;
    applied.map(|applied| match applied {
        true => Step::Applied(vec![name]),
        false => Step::Busy,
    })
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn locked_on<M: MigratorTrait>(
    session: &sea_orm::DatabaseConnection,
    name: &str,
) -> Result<bool, DbErr> {
    let locking = "SELECT pg_try_advisory_lock($1) AS locked";
    let row = sql::query_one(session, locking, [LOCK.into()]).await?;
    let is_locked = row.map_or(Ok(false), |row| row.try_get::<bool>("", "locked"))?;
    // Another replica may have applied it.
    if !is_locked || missing::<M>(session).await?.first().map(String::as_str) != Some(name) {
        return Ok(false);
    }
    Known::<M>::up(session, Some(1)).await?;
    Ok(true)
}
