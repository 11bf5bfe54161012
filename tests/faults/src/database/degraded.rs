//! A database that runs and cannot be used: one with all connections waiting for a lock, and one that is read-only, as after a
//! failover to a server that was not promoted. Calls are refused in time, and everything goes on afterwards.

use std::time::{Duration, Instant};

use anyhow::Result;
use sea_orm::ConnectionTrait as _;
use testkit::{BrokerKind, StoreKind};

use super::end_all_sessions;
use super::killed_server::FAST;
use crate::broker::RECOVERY;
use crate::checker::Verdict;
use crate::fixture::Fixture;
use crate::load_process::{self, LoadProcess};
use crate::watch::{Recovery, Watch};

/// A call with a connection waits until the deadline of its caller; plus a margin for a busy machine.
const SLOW: Duration = Duration::from_secs(12);
/// More writers than connections of a pool.
const WRITERS: &str = "24";

pub(super) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let span = Duration::from_secs(if quick { 4 } else { 30 });
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (run, text) = (format!("{seed}-degraded"), patience.to_string());
    let args = ["--rate", "50", "--writers", WRITERS, "--accounts", "20"];
    let mut load = fixture.load(&run, &[&args[..], &["--patience", &text]].concat())?;
    let mut watch = Watch::over(&fixture, "database").await?;
    let mut longest = Recovery::none();
    watch.recovers(&mut load, RECOVERY, &mut longest).await?;
    exhausted(span, &mut load, &mut watch).await?;
    read_only(span, &mut load, &mut watch).await?;
    fixture.end(load, patience).await?;
    let verdict = fixture.verdict(&run, true).await?;
    let verdict = watch.close(verdict).await?;
    println!("database degraded: {verdict}");
    Ok(verdict)
}

/// All connections of the pool wait for a lock, and further calls wait for a connection.
async fn exhausted(span: Duration, load: &mut LoadProcess, watch: &mut Watch) -> Result<()> {
    let (begun, mut longest) = (Instant::now(), Recovery::none());
    let held_up = ::store::Transaction::begin(&watch.producer).await?;
    held_up
        .execute_unprepared("LOCK TABLE deposit IN ACCESS EXCLUSIVE MODE")
        .await?;
    tokio::time::sleep(span).await;
    held_up.rollback().await?;
    watch.recovers(load, RECOVERY, &mut longest).await?;
    let answers = load.answers(begun);
    let soon = load_process::refused_within(&answers, FAST);
    let (slowest, refused) = load_process::slowest_refusal(&answers);
    watch.judge(
        soon > 0 && slowest <= SLOW,
        &format!(
            "all connections waited for {span:?}: {refused} calls were refused, {soon} of them within {FAST:?}, the slowest after {slowest:.1?}"
        ),
    );
    watch.recovered("the lock is free", longest);
    Ok(())
}

async fn read_only(span: Duration, load: &mut LoadProcess, watch: &mut Watch) -> Result<()> {
    let (begun, mut longest) = (Instant::now(), Recovery::none());
    for database in [&watch.producer, &watch.consumer] {
        set_read_only(database, "on").await?;
    }
    tokio::time::sleep(span).await;
    for database in [&watch.producer, &watch.consumer] {
        set_read_only(database, "off").await?;
    }
    watch.recovers(load, RECOVERY, &mut longest).await?;
    let (slowest, refused) = load_process::slowest_refusal(&load.answers(begun));
    watch.judge(
        refused > 0 && slowest <= FAST,
        &format!(
            "read-only for {span:?}: {refused} calls were refused, the slowest after {slowest:.1?}"
        ),
    );
    watch.recovered("writable again", longest);
    Ok(())
}

/// Changes the setting for new sessions, and ends the open ones.
async fn set_read_only(database: &store::Database, value: &str) -> Result<()> {
    let set = format!(
        "DO $$ BEGIN
             EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {value}', current_database());
         END $$"
    );
    // This session may itself be read-only.
    let setting = ::store::Transaction::begin(database).await?;
    setting
        .execute_unprepared("SET TRANSACTION READ WRITE")
        .await?;
    setting.execute_unprepared(&set).await?;
    setting.commit().await?;
    end_all_sessions(database).await?;
    Ok(())
}
