//! The commands of the producing service: deposits. Each writes its state and its event in one transaction; its name is its op.
//!
//! The process prints `try` before and `ok` after a command, so its reader knows what was acknowledged when the process died.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use load::Load;
use messaging::{BeginError, Cause, Store, Transaction, outbox};
use sea_orm::DbErr;
use tokio::task::JoinSet;

use super::stopped::Place;
use crate::deposit::Deposited;
use crate::tables;

/// The deadline that a client sets for a call.
const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct Command {
    pub(crate) op: String,
    pub(crate) account: String,
}

/// The commands of a run. The same name gives the same commands, so a second process repeats them.
pub(crate) fn plan(run: &str, accounts: u32, commands: u32) -> Vec<Command> {
    let seed = run.bytes().fold(17_u64, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(byte.into())
    });
    let mut random = fastrand::Rng::with_seed(seed);
    let command = |number| Command {
        op: format!("{run}-{number}"),
        account: account(run, random.u32(..accounts.max(1))),
    };
    (0..commands).map(command).collect()
}

pub(crate) fn account(run: &str, number: u32) -> String {
    format!("{run}-account-{number}")
}

/// Does all commands with this many writers, and repeats each until it is done.
pub(crate) async fn run(store: &Store, commands: &[Command], writers: usize) -> Result<()> {
    let mut running = JoinSet::new();
    let load = Load::closed().calls(commands.len().try_into()?);
    let commands: Arc<[Command]> = commands.into();
    for _ in 0..writers.max(1) {
        let (store, commands, mut calls) = (store.clone(), Arc::clone(&commands), load.caller());
        running.spawn(async move {
            while let Some(number) = calls.next().await.map(|call| call.number as usize) {
                let command = &commands[number];
                if number % 5 == 4 {
                    // A failed rollback is fine: the end of the session undoes the transaction too.
                    if let Err(error) = refused(&store, command).await {
                        eprintln!("{}: {error}", command.op);
                    }
                }
                until_done(&store, command).await;
            }
        });
    }
    while let Some(writer) = running.join_next().await {
        writer?;
    }
    Ok(())
}

/// Sends the same op until it is acknowledged, as a caller does.
pub(crate) async fn until_done(store: &Store, command: &Command) {
    let op = &command.op;
    println!("try {op}");
    loop {
        let begun = Instant::now();
        let answer = tokio::time::timeout(DEADLINE, deposit(store, command)).await;
        let took = begun.elapsed().as_millis();
        match answer {
            Ok(Ok(())) => break println!("ok {op} {took}"),
            Ok(Err(error)) => eprintln!("{op}: {error}"),
            Err(_) => eprintln!("{op}: no answer within {DEADLINE:?}"),
        }
        println!("fail {op} {took}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn deposit(store: &Store, command: &Command) -> Result<(), BeginError> {
    let transaction = store.begin_command().await?;
    let op = || [command.op.as_str().into()];
    let done = tables::rows(&transaction, "SELECT op FROM deposit WHERE op = $1", op()).await?;
    if !done.is_empty() {
        return Ok(());
    }
    change(&transaction, command).await?;
    transaction.commit().await?;
    switches::point("committed");
    Ok(())
}

pub(crate) async fn change(transaction: &Transaction, command: &Command) -> Result<(), DbErr> {
    let account = command.account.as_str();
    let versions = tables::rows(
        transaction,
        "INSERT INTO account (id, version) VALUES ($1, 1)
         ON CONFLICT (id) DO UPDATE SET version = account.version + 1 RETURNING version",
        [account.into()],
    )
    .await?;
    let version: i64 = match versions.first() {
        Some(row) => row.try_get("", "version")?,
        None => return Err(DbErr::RecordNotInserted),
    };
    tables::execute(
        transaction,
        "INSERT INTO deposit (op, account, version) VALUES ($1, $2, $3)",
        [command.op.as_str().into(), account.into(), version.into()],
    )
    .await?;
    switches::point("stated");
    Place::Command.pass();
    enqueue(transaction, command, version).await
}

/// A command that writes everything and then rolls back. Nothing of it may become visible.
async fn refused(store: &Store, command: &Command) -> Result<()> {
    let command = Command {
        op: format!("{}-refused", command.op),
        account: format!("{}-refused", command.op),
    };
    if switches::broken("publish-before-commit") {
        let early = store.begin().await?;
        enqueue(&early, &command, 1).await?;
        early.commit().await?;
        return Ok(());
    }
    let transaction = store.begin().await?;
    change(&transaction, &command).await?;
    Ok(transaction.rollback().await?)
}

async fn enqueue(transaction: &Transaction, command: &Command, version: i64) -> Result<(), DbErr> {
    let event = Deposited {
        account: command.account.clone(),
        op: command.op.clone(),
        ..Deposited::default()
    };
    let cause = Cause::call(command.op.clone());
    outbox::enqueue(transaction, &event, version, &cause)?;
    Ok(())
}
