//! Brings a schema up to date, also where several replicas start at once: one migrates, the others wait and then find
//! nothing left to do.
//!
//! Everything happens in one transaction, so that a migration that fails, or a process that is killed, leaves the schema
//! as it was.

use backon::{ExponentialBuilder, Retryable};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use std::time::Duration;

use super::{DatabaseError, is_unavailable};

/// How long to wait for a replica that migrates; its statements may rewrite whole tables.
const PATIENCE: Duration = Duration::from_secs(60);
/// Waits for at most [`PATIENCE`], for the other replica and for every table.
/// The statements themselves may take as long as they need.
const LOCK: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'; \
    SELECT pg_advisory_xact_lock(7020658420253753346)";

/// Applies the migrations of `M` that are missing.
///
/// # Errors
/// [`DatabaseError::Migration`]: a migration failed, or another replica did not finish within a minute.
pub async fn migrate<M: MigratorTrait>(db: &DatabaseConnection) -> Result<(), DatabaseError> {
    let attempt = || async { migrate_once::<M>(db).await };
    attempt
        .retry(backoff())
        .when(is_unavailable)
        .notify(|error, pause| {
            tracing::info!("the migrations have to wait ({error}), trying again in {pause:?}");
        })
        .await
        .map_err(DatabaseError::Migration)
}

async fn migrate_once<M: MigratorTrait>(db: &DatabaseConnection) -> Result<(), DbErr> {
    let transaction = begin(db).await?;
    M::up(&transaction, None).await?;
    transaction.commit().await
}

/// A transaction that nobody else can be in.
async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    // On SQLite the write lock is taken now, where it waits, and not in the middle, where it fails.
    let transaction = db
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        })
        .await?;
    if transaction.get_database_backend() == DbBackend::Postgres {
        transaction.execute_unprepared(LOCK).await?;
    }
    Ok(transaction)
}

fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(1))
        .with_total_delay(Some(PATIENCE))
        .without_max_times()
        .with_jitter()
}
