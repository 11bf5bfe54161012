//! PgBouncer between the services and PostgreSQL, with its default settings.
#![expect(
    clippy::print_stderr,
    reason = "the reader of a run must see which tests were left out"
)]

use std::time::Duration;

use testkit::{Database, PgBouncer, StoreKind};

use crate::process::{Process, command};
use crate::sudden_death::both_mails;

/// Three services share PgBouncer's default of 20 sessions per user and database. Each takes two more, for its relay
/// and LISTEN.
const POOL_MAX: &str = "4";

async fn before(database: &Database, pool_mode: &str) -> Option<PgBouncer> {
    let pooler = PgBouncer::before(database.url(), pool_mode).await;
    if pooler.is_none() {
        eprintln!("not tried: pgbouncer is not installed (Debian's package: pgbouncer)");
    }
    pooler
}

#[tokio::test]
async fn behind_pgbouncer_in_session_mode_events_have_effects() {
    let database = Database::create(StoreKind::Postgres).await;
    let Some(pooler) = before(&database, "session").await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path());
    command
        .env("DATABASE_URL", pooler.url())
        .env("DATABASE_POOL_MAX", POOL_MAX);
    let process = Process::start(&mut command);
    let account = process.register("ada@example.com").await.unwrap();
    both_mails(&process, &account).await;
    assert_eq!(process.interrupt().code(), Some(0));
}

#[tokio::test]
async fn a_pooler_that_lends_sessions_is_exit_code_78() {
    let database = Database::create(StoreKind::Postgres).await;
    let Some(pooler) = before(&database, "transaction").await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path());
    command.arg("serve").env("DATABASE_URL", pooler.url());
    let ending = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(60), ending).await;
    let output = output.unwrap().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("pool_mode = session"), "{said}");
}
