//! The handlers of the tests: each writes a row per effect, without a key that would hide a second one.

use event::Event as _;
use messaging::{Delivered, HandlerError, Subscriptions, Transaction, outbox};
use opentelemetry::trace::TraceContextExt as _;
use sea_orm::{ConnectionTrait, DbErr, Statement, Value};
use sea_orm_migration::prelude::*;
use store::sql;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::events::{Changed, Echoed, Failure};

pub(crate) const QUEUE: &str = "accounts_queue";

pub(crate) fn each_on_its_own() -> Subscriptions {
    Subscriptions::new(QUEUE).on::<Changed>(change)
}

pub(crate) fn in_order() -> Subscriptions {
    Subscriptions::new(QUEUE).in_order::<Changed>(change)
}

/// The effect comes first, so that a failure has something to undo.
pub(crate) async fn change(
    transaction: &Transaction,
    event: Changed,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    record(transaction, &event, delivered).await?;
    if event.echo {
        let echoed = Echoed {
            echo: event.aggregate_id().to_owned(),
        };
        let version = delivered.envelope.aggregate_version.unwrap_or(1);
        outbox::enqueue(transaction, &echoed, version, &delivered.cause())?;
    }
    if delivered.attempt > event.failures {
        return Ok(());
    }
    match event.failure() {
        Failure::Retry => Err(HandlerError::retry("not yet")),
        Failure::Reject => Err(HandlerError::reject("not ever")),
        Failure::Panic => panic!("on purpose"),
        Failure::Hang => std::future::pending().await,
        Failure::Swallow => {
            let nowhere = execute(transaction, "INSERT INTO nowhere VALUES (1)", []).await;
            assert!(nowhere.is_err());
            Ok(())
        }
    }
}

async fn record(
    transaction: &Transaction,
    event: &Changed,
    delivered: &Delivered,
) -> Result<(), DbErr> {
    let envelope = &delivered.envelope;
    let context = tracing::Span::current().context();
    let trace_id = context.span().span_context().trace_id().to_string();
    let values = [
        envelope.id.to_string().into(),
        event.account.as_str().into(),
        envelope.aggregate_version.into(),
        event.note.as_str().into(),
        i64::from(delivered.attempt).into(),
        envelope.correlation_id.as_str().into(),
        trace_id.into(),
    ];
    let inserting =
        "INSERT INTO effect (event_id, account, version, note, attempt, correlation_id, trace_id)
                     VALUES ($1, $2, $3, $4, $5, $6, $7)";
    execute(transaction, inserting, values).await
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) event_id: String,
    pub(crate) account: String,
    pub(crate) version: Option<i64>,
    pub(crate) attempt: i64,
    pub(crate) correlation_id: String,
    pub(crate) trace_id: String,
}

pub(crate) async fn effects(db: &store::Database) -> Vec<Effect> {
    let selecting = "SELECT event_id, account, version, attempt, correlation_id, trace_id FROM effect ORDER BY position";
    let statement = Statement::from_string(db.get_database_backend(), selecting);
    let rows = db.query_all_raw(statement).await.unwrap();
    let effect = |row: &sea_orm::QueryResult| Effect {
        event_id: row.try_get("", "event_id").unwrap(),
        account: row.try_get("", "account").unwrap(),
        version: row.try_get("", "version").unwrap(),
        attempt: row.try_get("", "attempt").unwrap(),
        correlation_id: row.try_get("", "correlation_id").unwrap(),
        trace_id: row.try_get("", "trace_id").unwrap(),
    };
    rows.iter().map(effect).collect()
}

pub(crate) async fn execute(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<(), DbErr> {
    sql::execute(db, sql, values).await.map(|_| ())
}

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations = messaging::migrations();
        migrations.push(Box::new(CreateEffect));
        migrations
    }
}

struct CreateEffect;

impl MigrationName for CreateEffect {
    fn name(&self) -> &str {
        "create_effect"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CreateEffect {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let position = match manager.get_database_backend() {
            sea_orm::DbBackend::Sqlite => "integer PRIMARY KEY AUTOINCREMENT",
            _ => "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        };
        let table = format!(
            "CREATE TABLE effect (position {position}, event_id text NOT NULL, account text NOT NULL, version bigint,
             note text NOT NULL, attempt bigint NOT NULL, correlation_id text NOT NULL, trace_id text NOT NULL)"
        );
        let db = manager.get_connection();
        db.execute_unprepared(&table).await.map(|_| ())
    }
}
