//! Tests that the cost of a checkpoint is independent of the history, the inbox and the list of missing events: each
//! statement finds its rows by an index, on both stores.

use rstest::rstest;
use sea_orm::{ConnectionTrait as _, Value};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use serde_json::json;
use store::sql;
use testkit::{Database, StoreKind};

use super::{CheckpointPace, compared, forgetting, receiving, taking, watch};

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        crate::migrations()
    }
}

const MANY: i64 = 200_000;

const NUMBERS: &str = "
WITH RECURSIVE numbers (i) AS (SELECT CAST($1 AS bigint) UNION ALL SELECT i + 1 FROM numbers WHERE i < $2) ";
const ID: &str = "{uuid ('00000000-0000-0000-0000-' || (100000000000 + i))}";

async fn filled(database: &Database) -> store::Database {
    let db = database.migrated::<Migrator>().await;
    let bytes = match database.kind() {
        StoreKind::Postgres => "bytea",
        StoreKind::Sqlite => "blob",
    };
    for rows in [
        format!(
            "INSERT INTO angarium_outbox_history
                 (sequence, event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type, aggregate_id,
                  aggregate_version, payload, correlation_id, created_at, published_at)
             {NUMBERS} SELECT i, {ID}, 'user_events', 'user.created', false, 'Created', 'user', '' || i, 1, CAST('' AS {bytes}), '',
                  {{time of i}}, {{time of i}} FROM numbers"
        ),
        format!(
            "INSERT INTO angarium_checkpoint
                 (number, checkpoint_id, after_position, last_position, stamp, taken_at, confirmed_at)
             {NUMBERS} SELECT i, {ID}, i, i, i, {{time of i}}, {{time of i}} FROM numbers"
        ),
        format!(
            "INSERT INTO angarium_inbox (consumer, event_id, state, received_at, settled_at)
             {NUMBERS} SELECT 'queue', {ID}, 'done', {{time of i}}, {{time of i}} FROM numbers"
        ),
        format!(
            "INSERT INTO angarium_missing
                 (consumer, event_id, source, exchange, event_type, routing_key, number, listed_at, due_at)
             {NUMBERS} SELECT 'queue', {ID}, 'users', 'user_events', 'Created', 'user.created', 1, {{time of i}},
                 {{time + i}} FROM numbers"
        ),
    ] {
        let range = [Value::from(1_i64), MANY.into()];
        sql::execute(&db, &rows, range).await.unwrap();
    }
    sql::execute(&db, "ANALYZE", []).await.unwrap();
    db
}

async fn plan(db: &store::Database, statement: &str, values: Vec<Value>) -> String {
    let (explain, column) = match db.get_database_backend() {
        sea_orm::DbBackend::Postgres => ("EXPLAIN", "QUERY PLAN"),
        _ => ("EXPLAIN QUERY PLAN", "detail"),
    };
    let rows = sql::query_all(db, &format!("{explain} {statement}"), values).await;
    let rows = rows.unwrap_or_else(|error| panic!("{statement}: {error}"));
    let steps = rows.iter().map(|row| row.try_get("", column).unwrap());
    steps.collect::<Vec<String>>().join("\n")
}

/// Small tables may be read whole.
fn scans(plan: &str) -> Vec<&str> {
    let is_small = |step: &&str| {
        ["_stream", "_gap", "angarium_relay_lease"]
            .iter()
            .any(|table| step.contains(table))
    };
    let is_scan = |step: &&str| {
        step.contains("Seq Scan on angarium_")
            || step.contains("SCAN angarium_") && !step.contains("USING")
    };
    let steps = plan.lines().filter(is_scan);
    steps.filter(|step| !is_small(step)).collect()
}

#[rstest]
#[tokio::test]
async fn no_statement_about_checkpoints_reads_a_whole_table(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] kind: StoreKind,
) {
    let database = Database::create(kind).await;
    let db = filled(&database).await;
    let pace = CheckpointPace::default();
    let listed = (1..=1000).map(|i| {
        let id = format!("00000000-0000-0000-0000-{}", 100_000_000_000_i64 + i);
        let row = json!({"event_id": id, "event_type": "Created", "routing_key": "user.created"});
        row.as_object().cloned().unwrap()
    });
    let compare = vec![
        "queue".into(),
        "users".into(),
        "user_events".into(),
        7_i64.into(),
        60_000_i64.into(),
        sql::list(listed),
    ];
    let some = || vec!["queue".into(), 200_i64.into()];
    let id = "00000000-0000-0000-0000-000000000000";
    for (name, statement, values) in [
        ("when one is due", taking::due_in_ms(&pace), vec![]),
        ("a claim", taking::claiming(), vec![]),
        ("a checkpoint", taking::taking(&pace), vec![id.into()]),
        (
            "its events",
            taking::LISTED.to_owned(),
            vec![1000_i64.into(), 2000_i64.into()],
        ),
        ("the comparison", receiving::COMPARE.to_owned(), compare),
        ("when to compare", compared::due_in_ms("queue"), vec![]),
        ("what has arrived", compared::ARRIVED.to_owned(), some()),
        (
            "what is missing",
            compared::MISSING.to_owned(),
            [some(), vec![30_000_i64.into()]].concat(),
        ),
        ("whether all is there", watch::question("queue"), vec![]),
        (
            "old ones",
            forgetting::CHECKPOINTS.to_owned(),
            vec![1000_i64.into(), 1000_i64.into()],
        ),
    ] {
        let plan = plan(&db, &statement, values).await;
        assert_eq!(scans(&plan), [""; 0], "{name}: {plan}");
    }
}
