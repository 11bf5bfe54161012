//! The settings that an OK answer depends on: of live connections of the pool that services use, of a PostgreSQL with its default
//! settings, and of a broker with the queues that the services declare.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use sea_orm::TransactionTrait as _;
use testkit::{Database, OwnServer, ServerKind, StoreKind};

use crate::tables;

mod on_broker;

/// Checked at the same time, so that they are different connections.
const CONNECTIONS: usize = 4;

/// The result.
#[derive(Default)]
pub(crate) struct Found {
    /// One line for each wrong setting.
    pub(crate) wrong: Vec<String>,
    /// Servers that were not checked.
    pub(crate) left_out: BTreeSet<&'static str>,
}

pub(crate) async fn run() -> Result<Found> {
    let Found {
        mut wrong,
        mut left_out,
    } = Found::default();
    let sqlite = Database::create(StoreKind::Sqlite).await;
    let db = sqlite.connect().await;
    for (setting, right) in [
        ("journal_mode", &["wal"][..]),
        ("synchronous", &["2"]),
        ("foreign_keys", &["1"]),
    ] {
        wrong.extend(
            check(&db, &format!("PRAGMA {setting}"), |value| {
                right.contains(&value)
            })
            .await?,
        );
    }
    let long = |value: &str| value.parse().is_ok_and(|millis: u64| millis >= 5000);
    wrong.extend(check(&db, "PRAGMA busy_timeout", long).await?);

    // `fsync` and `full_page_writes` may be off in the server of the tests.
    let postgres = Database::create(StoreKind::Postgres).await;
    let db = postgres.connect().await;
    wrong.extend(check(&db, "SHOW synchronous_commit", |value| value != "off").await?);
    match OwnServer::start(ServerKind::Postgres).await {
        Ok(server) => {
            let database = Database::create_on(server.url()).await;
            let db = database.connect().await;
            for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
                wrong.extend(check(&db, &format!("SHOW {setting}"), |value| value == "on").await?);
            }
            db.close().await?;
        }
        Err(reason) => {
            println!("durability: no PostgreSQL with default settings was checked ({reason})");
            left_out.insert("PostgreSQL with default settings");
        }
    }
    match on_broker::check().await? {
        Some(on_broker) => wrong.extend(on_broker),
        None => drop(left_out.insert("a broker")),
    }
    Ok(Found { wrong, left_out })
}

#[expect(
    clippy::disallowed_methods,
    reason = "`store::Transaction` lets one transaction at a time write on SQLite"
)]
async fn check(
    db: &store::Database,
    question: &str,
    is_right: impl Fn(&str) -> bool,
) -> Result<Vec<String>> {
    let mut held = Vec::new();
    let mut wrong = Vec::new();
    for connection in 1..=CONNECTIONS {
        let transaction = db.begin().await?;
        let rows = tables::rows(&transaction, question, []).await?;
        let row = rows.first().context("a setting has a value")?;
        let value = row
            .try_get_by_index::<String>(0)
            .or_else(|_| {
                row.try_get_by_index::<i64>(0)
                    .map(|number| number.to_string())
            })
            .or_else(|_| {
                row.try_get_by_index::<i32>(0)
                    .map(|number| number.to_string())
            })?;
        if !is_right(&value) {
            wrong.push(format!("connection {connection}: {question} is {value}"));
        }
        held.push(transaction);
    }
    Ok(wrong)
}
