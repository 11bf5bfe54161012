//! Restarts each part and kills most of them, under load: nothing is lost, no other part restarts, and the load
//! continues.

use anyhow::{Context as _, Result, ensure};
use scenarios::Caller;
use scenarios::workload::{Admin, Verdict, Workload};

use crate::containers::Containers;

const USERS: usize = 4;

/// Calls of the load before and after each fault.
const CALLS: usize = 20;

/// Parts of a call or event flow, and one that only accepts mails.
const PARTS: [&str; 7] = [
    "rabbitmq",
    "postgres",
    "user-service",
    "order-service",
    "notification-service",
    "gateway",
    "maildev",
];

pub(crate) async fn run(
    caller: &Caller,
    admin: &Admin,
    containers: &Containers<'_>,
) -> Result<Verdict> {
    let mut load = Workload::start(caller, admin, "restarts", USERS).await?;
    for part in PARTS {
        load.goes_on(CALLS).await?;
        println!("restarts: {part} is restarted");
        let others = containers.starts_besides(part).await?;
        containers.compose(&["restart", part]).await?;
        recovered(&mut load, containers, part, &others).await?;
    }
    for part in PARTS {
        println!("restarts: {part} is killed");
        let others = containers.starts_besides(part).await?;
        containers.compose(&["kill", part]).await?;
        containers.compose(&["start", part]).await?;
        recovered(&mut load, containers, part, &others).await?;
    }
    load.end(true).await
}

type Starts = std::collections::BTreeMap<String, String>;

async fn recovered(
    load: &mut Workload,
    containers: &Containers<'_>,
    part: &str,
    others: &Starts,
) -> Result<()> {
    let why = || format!("after the end of {part}");
    containers.all_healthy().await.with_context(why)?;
    let now = containers.starts_besides(part).await?;
    ensure!(
        now == *others,
        "the restart of {part} restarted others: {others:?}, then {now:?}"
    );
    load.goes_on(CALLS).await.with_context(why)
}
