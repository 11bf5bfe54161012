//! Each part is restarted, and most are killed, under load: nothing is lost, nothing else is restarted, and the load goes on.

use anyhow::{Context as _, Result, ensure};
use scenarios::Caller;
use scenarios::workload::{Admin, Verdict, Workload};

use crate::containers::Containers;

const USERS: usize = 4;

/// Calls of the load before each fault and after it.
const CALLS: usize = 20;

/// What takes part in a call or an event, and what only takes mails.
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
    containers: &Containers,
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
    containers: &Containers,
    part: &str,
    others: &Starts,
) -> Result<()> {
    let why = || format!("after the end of {part}");
    containers.all_healthy().await.with_context(why)?;
    let now = containers.starts_besides(part).await?;
    ensure!(
        now == *others,
        "with {part} others were restarted: {others:?}, then {now:?}"
    );
    load.goes_on(CALLS).await.with_context(why)
}
