//! Brings a schema up to date, or waits for an operator.
//!
//! Of several replicas one migrates and the others wait. Each migration has its own transaction, so a failed one leaves
//! the schema unchanged. No migration waits longer than two seconds for a table, so commands go on. An older release
//! starts on a newer schema, unless the name of a migration requires a newer release.

use std::time::Duration;

use sea_orm::DbErr;
use sea_orm_migration::MigratorTrait;
use tokio::time::Instant;

use crate::config::{DatabaseConfig, Migrate};
use crate::connect::connect;
use crate::database::Database;
use crate::database_error::DatabaseError;
use crate::errors::is_transient;

mod known;
mod step;

use step::Step;

const PATIENCE: Duration = Duration::from_secs(60);
/// For an operator's command: a backup may use all tables for long.
const PATIENCE_OF_OPERATORS: Duration = Duration::from_secs(3600);
/// Other transactions get their turn at the tables.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_secs(1);

/// Ensures that the schema has what `M` needs: migrates, waits, or only checks, by `config`.
///
/// # Errors
/// [`DatabaseError::Migration`]: a migration failed, or could not start within a minute.
/// [`DatabaseError::SchemaMissing`], [`DatabaseError::SchemaOutdated`]: the operator has not migrated.
/// [`DatabaseError::SchemaTooNew`]: a newer release has changed the schema.
pub async fn ready_schema<M: MigratorTrait>(
    db: &Database,
    config: &DatabaseConfig,
) -> Result<(), DatabaseError> {
    match config.migrate {
        Migrate::Auto => migrate::<M>(db).await,
        Migrate::Off => wait_for_schema::<M>(db, config.patience).await,
        Migrate::Check => {
            let missing = check::<M>(db).await?;
            if missing.is_empty() {
                return Ok(());
            }
            Err(DatabaseError::SchemaOutdated(missing.join(", ")))
        }
    }
}

/// Applies the missing migrations of `M`.
///
/// # Errors
/// [`DatabaseError::Migration`]: a migration failed, or could not start within a minute.
/// [`DatabaseError::SchemaTooNew`]: a newer release has changed the schema.
pub async fn migrate<M: MigratorTrait>(db: &Database) -> Result<(), DatabaseError> {
    apply::<M>(db, PATIENCE).await.map(|_| ())
}

/// The operator's command: connects, applies the missing migrations of `M`, and returns their names. It retries for up
/// to an hour, because a backup may use all tables for long.
///
/// # Errors
/// As [`migrate`] and [`connect`].
pub async fn migrate_at<M: MigratorTrait>(
    config: &DatabaseConfig,
    application_name: &str,
) -> Result<Vec<String>, DatabaseError> {
    let db = connect(config, application_name).await?;
    let applied = apply::<M>(&db, PATIENCE_OF_OPERATORS).await?;
    db.close().await.map_err(DatabaseError::Migration)?;
    Ok(applied)
}

async fn apply<M: MigratorTrait>(
    db: &Database,
    patience: Duration,
) -> Result<Vec<String>, DatabaseError> {
    let (end, mut applied, mut pause) = (Instant::now() + patience, Vec::new(), SHORTEST_PAUSE);
    warn_of_newer::<M>(db).await?;
    loop {
        let why = match step::next::<M>(db).await {
            Ok(Step::Complete) => return Ok(applied),
            Ok(Step::TooNew(too_new)) => return Err(DatabaseError::SchemaTooNew(too_new)),
            Ok(Step::Applied(names)) => {
                tracing::info!(migrations = names.join(", "), "applied");
                applied.extend(names);
                pause = SHORTEST_PAUSE;
                continue;
            }
            Ok(Step::Busy) => DbErr::Custom("another replica migrates".to_owned()),
            Err(error) if is_transient(&error) => error,
            Err(error) => return Err(DatabaseError::Migration(error)),
        };
        if Instant::now() > end {
            return Err(DatabaseError::Migration(why));
        }
        tracing::info!(reason = %why, "the migrations must wait, retrying");
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

async fn warn_of_newer<M: MigratorTrait>(db: &Database) -> Result<(), DatabaseError> {
    let unknown = known::unknown::<M>(db).await;
    let unknown = unknown.map_err(DatabaseError::Migration)?;
    if !unknown.is_empty() {
        tracing::warn!(
            migrations = unknown.join(", "),
            "the schema is from a newer release; this release can use it"
        );
    }
    Ok(())
}

async fn wait_for_schema<M: MigratorTrait>(
    db: &Database,
    patience: Duration,
) -> Result<(), DatabaseError> {
    let (end, mut is_logged) = (Instant::now() + patience, false);
    loop {
        let missing = check::<M>(db).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(", ");
        if Instant::now() > end {
            return Err(DatabaseError::SchemaMissing { missing, patience });
        }
        if !is_logged {
            tracing::warn!(missing, "waiting for the schema: run the command `migrate`");
            is_logged = true;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn check<M: MigratorTrait>(db: &Database) -> Result<Vec<String>, DatabaseError> {
    let unknown = known::unknown::<M>(db).await;
    let unknown = unknown.map_err(DatabaseError::Migration)?;
    if let Some(too_new) = known::too_new::<M>(&unknown) {
        return Err(DatabaseError::SchemaTooNew(too_new));
    }
    warn_of_newer::<M>(db).await?;
    let missing = known::missing::<M>(db).await;
    missing.map_err(DatabaseError::Migration)
}
