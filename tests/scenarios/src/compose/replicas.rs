//! Two replicas of each consuming service: events keep their order and have one effect each, also while a replica joins
//! or leaves.

use anyhow::Result;
use scenarios::Caller;
use scenarios::patience::{PATIENCE, eventually};
use scenarios::workload::{Admin, Verdict, Workload};

use crate::containers::Containers;

const USERS: usize = 6;

/// Calls of the load with one replica, with two, and with one again.
const CALLS: usize = 150;

const QUEUES: [&str; 2] = ["notifications_queue", "orders_queue"];

pub(crate) async fn run(
    caller: &Caller,
    admin: &Admin,
    containers: &Containers<'_>,
) -> Result<Verdict> {
    let mut load = Workload::start(caller, admin, "replicas", USERS).await?;
    for replicas in [2, 1] {
        scale(containers, replicas).await?;
        println!("replicas: {replicas} of order-service and notification-service");
        load.goes_on(CALLS).await?;
    }
    load.end(false).await
}

async fn scale(containers: &Containers<'_>, replicas: usize) -> Result<()> {
    let [orders, notifications] =
        ["order-service", "notification-service"].map(|service| format!("{service}={replicas}"));
    let up = [
        "up",
        "--detach",
        "--wait",
        "--no-recreate",
        "--scale",
        &orders,
        "--scale",
        &notifications,
    ];
    containers.compose(&up).await?;
    let expected = QUEUES.map(|queue| format!("{queue}\t{replicas}"));
    eventually("every replica consumes", PATIENCE, async || {
        let list = [
            "exec",
            "--no-TTY",
            "rabbitmq",
            "rabbitmqctl",
            "--quiet",
            "list_queues",
            "name",
            "consumers",
        ];
        let seen = containers
            .compose(&list)
            .await
            .map_err(|error| format!("{error:#}"))?;
        let all = expected
            .iter()
            .all(|line| seen.lines().any(|seen| seen == line));
        if all { Ok(()) } else { Err(seen) }
    })
    .await
}
