//! Brings a schema up to date, also where several replicas start at once: one migrates, the others wait and then find
//! nothing left to do.
//!
//! Everything happens in one transaction, so that a migration that fails, or a process that is killed, leaves the schema
//! as it was.
//!
//! An older release starts on the schema of a newer one: it logs the migrations that it does not know and leaves them alone. It
//! refuses to start only if the name of such a migration requires a newer release.

use backon::{ExponentialBuilder, Retryable};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use sea_orm_migration::{MigrationTrait, MigratorTrait, async_trait, seaql_migrations};
use std::marker::PhantomData;
use std::time::Duration;

use crate::connect::DatabaseError;
use crate::database::Database;
use crate::errors::is_unavailable;

/// How long to wait for a replica that migrates; its statements may rewrite whole tables.
const PATIENCE: Duration = Duration::from_secs(60);
/// Waits for at most [`PATIENCE`], for the other replica and for every table.
/// The statements themselves may take as long as they need.
const LOCK: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'; \
    SELECT pg_advisory_xact_lock(7020658420253753346)";

/// In a migration's name, this stands before the name of the migration that a release must have to use the schema.
const REQUIRES: &str = "_requires_";

/// Applies the migrations of `M` that are missing.
///
/// # Errors
/// [`DatabaseError::Migration`]: a migration failed, or another replica did not finish within a minute.
/// [`DatabaseError::SchemaTooNew`]: a newer release has changed the schema so that this one cannot use it.
pub async fn migrate<M: MigratorTrait>(db: &Database) -> Result<(), DatabaseError> {
    let attempt = || async { migrate_once::<M>(db).await };
    attempt
        .retry(backoff())
        .when(is_unavailable)
        .notify(|error, pause| {
            tracing::info!("the migrations have to wait ({error}), trying again in {pause:?}");
        })
        .await
        .map_err(DatabaseError::Migration)?
        .map_err(DatabaseError::SchemaTooNew)
}

async fn migrate_once<M: MigratorTrait>(db: &Database) -> Result<Result<(), String>, DbErr> {
    let transaction = begin(db).await?;
    let unknown = unknown::<M>(&transaction).await?;
    if let Some(too_new) = too_new::<M>(&unknown) {
        transaction.rollback().await?;
        return Ok(Err(too_new));
    }
    if !unknown.is_empty() {
        tracing::warn!(
            migrations = unknown.join(", "),
            "the schema is of a newer release; this one goes on with it"
        );
    }
    Known::<M>::up(&transaction, None).await?;
    transaction.commit().await.map(Ok)
}

/// The migrations that were applied and are not of `M`.
async fn unknown<M: MigratorTrait>(
    transaction: &DatabaseTransaction,
) -> Result<Vec<String>, DbErr> {
    let applied = M::get_migration_models(transaction).await?;
    let names = applied.into_iter().map(|migration| migration.version);
    Ok(names.filter(|name| !has::<M>(name)).collect())
}

/// Why a release with the migrations `M` cannot use a schema with the migrations `unknown`.
fn too_new<M: MigratorTrait>(unknown: &[String]) -> Option<String> {
    unknown.iter().find_map(|name| {
        let (_, required) = name.rsplit_once(REQUIRES)?;
        let mut own = M::migrations().into_iter();
        let knows = own.any(|migration| migration.name().starts_with(required));
        (!knows).then(|| {
            format!(
                "its migration `{name}` requires a release that has the migration `{required}`, and this one has not. \
                 What to do: start a newer release, or restore the database from before that migration"
            )
        })
    })
}

fn has<M: MigratorTrait>(name: &str) -> bool {
    let mut own = M::migrations().into_iter();
    own.any(|migration| migration.name() == name)
}

/// `M` on a schema that may have more migrations, because sea-orm refuses a schema with a migration that it does not know.
struct Known<M>(PhantomData<M>);

#[async_trait::async_trait]
impl<M: MigratorTrait> MigratorTrait for Known<M> {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        M::migrations()
    }

    async fn get_migration_models<C: ConnectionTrait>(
        db: &C,
    ) -> Result<Vec<seaql_migrations::Model>, DbErr> {
        let mut applied = M::get_migration_models(db).await?;
        applied.retain(|migration| has::<M>(&migration.version));
        Ok(applied)
    }
}

/// A transaction that no other replica can be in.
#[expect(
    clippy::disallowed_methods,
    reason = "its statements have no time limit, and only the end of the process cancels it"
)]
async fn begin(db: &Database) -> Result<DatabaseTransaction, DbErr> {
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
