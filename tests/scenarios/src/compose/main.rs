//! Tests the containers of docker-compose.yml from outside: scenarios, restarts of each part under load, health,
//! replicas. `cargo xtask compose-test` starts this program, which starts and removes them.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its purpose is to print verdicts"
)]

mod containers;
mod health;
mod project;
mod replicas;
mod restarts;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use scenarios::workload::Admin;
use scenarios::{Caller, Mailbox, account, ordering};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use crate::containers::Containers;
use crate::health::Service;
use crate::project::{ADMIN, Project};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match LocalSet::new().run_until(run()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compose: FAIL {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The project is removed in every case, also after Ctrl-C.
async fn run() -> Result<()> {
    // Before the start, so that no signal is lost meanwhile.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let project = Project::start()?;
    let tested = tokio::select! {
        tested = test(&project) => tested,
        _ = interrupt.recv() => Err(anyhow!("interrupted")),
    };
    if tested.is_err() {
        project.keep_logs();
    }
    tested
}

/// What a browser sends once it was given the user and the password in `secret`.
fn login(secret: &Path) -> Result<String> {
    let text = fs::read_to_string(secret)?;
    let mut words = text.split_whitespace();
    let mut after = |word: &str| {
        words.find(|found| *found == word);
        words.next()
    };
    let (user, password) = (after("user"), after("insecure-password"));
    let (user, password) = user.zip(password).context("no user in the secret")?;
    let encoded = BASE64.encode(format!("{user}:{password}"));
    Ok(format!("Basic {encoded}"))
}

async fn test(project: &Project) -> Result<()> {
    let [users, orders, notifications, mails] = project.addresses;
    let login = login(&project.mail_page())?;
    let caller = Caller::new(users, orders, notifications, Mailbox::MailDev(mails, login))?;
    let containers = Containers::new(project);

    let admin = Admin::register(&caller, ADMIN.to_owned())
        .await
        .context("the admin")?;
    account::register_verify_log_in_order_reset_and_delete(
        &caller,
        "ada@example.com",
        "mallory@example.com",
    )
    .await
    .context("the life of an account")?;
    println!("account: pass");

    caller.register("grace@example.com", "Grace Hopper").await?;
    let grace = caller
        .log_in("grace@example.com", scenarios::caller::PASSWORD)
        .await?;
    let token = &admin.token(&caller).await?;
    ordering::one_order_is_shipped_and_one_is_cancelled(&caller, &grace.access_token, token)
        .await
        .context("the life of orders")?;
    println!("orders: pass");

    let services = [
        Service::new("user-service", "angarium.user.v1.UserService", users)?,
        Service::new("order-service", "angarium.order.v1.OrderService", orders)?,
        Service::new(
            "notification-service",
            "angarium.notification.v1.NotificationService",
            notifications,
        )?,
    ];
    health::run(&services, &containers)
        .await
        .context("health")?;
    println!("health: pass");

    let verdict = restarts::run(&caller, &admin, &containers)
        .await
        .context("restarts")?;
    println!("restarts: {verdict}");
    let verdict = replicas::run(&caller, &admin, &containers)
        .await
        .context("replicas")?;
    println!("replicas: {verdict}");
    Ok(())
}
