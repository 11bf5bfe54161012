//! Two replicas of each service that consumes: events keep their order and have one effect each, also while a replica comes
//! and while one goes.

use anyhow::{Result, ensure};
use scenarios::Caller;
use scenarios::patience::{PATIENCE, eventually};

use crate::Admin;
use crate::containers::Containers;
use crate::ledger::Verdict;
use crate::load::{Load, Worker};
use crate::settled;
use crate::views::Views;

const USERS: usize = 6;

/// Calls of the load with one replica, with two, and with one again.
const CALLS: usize = 150;

const QUEUES: [&str; 2] = ["notifications_queue", "orders_queue"];

pub(crate) async fn run(
    caller: &Caller,
    admin: &Admin,
    containers: &Containers,
) -> Result<Verdict> {
    let token = admin.token(caller).await?;
    let mut workers = Vec::new();
    for number in 0..USERS {
        let email = format!("replicas-{number}@example.com");
        workers.push(Worker::register(caller, &token, &email).await?);
    }
    let users = workers
        .iter()
        .map(|worker| worker.user_id.clone())
        .collect();
    let views = Views::watch(caller, token.clone(), users);
    let mut load = Load::start(workers);
    for replicas in [2, 1] {
        scale(containers, replicas).await?;
        println!("replicas: {replicas} of order-service and notification-service");
        load.goes_on(CALLS).await?;
    }
    let mut workers = load.end().await?;
    let mut verdict = Verdict::default();
    for worker in &mut workers {
        let inversions = views.inversions(&worker.user_id);
        verdict += settled::judge(worker, &token, inversions).await?;
    }
    drop(views);
    ensure!(verdict.passes(), "{verdict}");
    one_mail_each(&workers).await?;
    Ok(verdict)
}

async fn scale(containers: &Containers, replicas: usize) -> Result<()> {
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

/// The mails as their recipients have them: for every step of an order one. Nothing has died, so none came twice.
async fn one_mail_each(workers: &[Worker]) -> Result<()> {
    for worker in workers {
        let orders = worker.caller.orders_of(&worker.token).await?;
        let mails = worker.caller.mailbox.mails(&worker.email).await?;
        for order in orders {
            let steps = usize::try_from(order.state)?;
            let about = mails
                .iter()
                .filter(|mail| mail.text.contains(&order.order_id));
            let about = about.count();
            ensure!(
                about == steps,
                "{about} mails of the {steps} steps of order {}",
                order.order_id
            );
        }
    }
    Ok(())
}
