//! Tests the containers of docker-compose.yml from outside: scenarios, restarts of each part under load, health,
//! replicas. `cargo xtask compose-test` starts and removes them.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its purpose is to print verdicts"
)]

mod containers;
mod health;
mod replicas;
mod restarts;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Parser;
use scenarios::workload::Admin;
use scenarios::{Caller, Mailbox, account, ordering};
use tokio::task::LocalSet;

use crate::containers::Containers;
use crate::health::Service;

#[derive(Parser)]
struct Args {
    #[arg(long)]
    users: SocketAddr,
    #[arg(long)]
    orders: SocketAddr,
    #[arg(long)]
    notifications: SocketAddr,
    /// The address of MailDev's web page
    #[arg(long)]
    mails: SocketAddr,
    /// The secret with the password of that page
    #[arg(long)]
    mail_page: PathBuf,
    /// The address in ADMIN_EMAILS
    #[arg(long)]
    admin: String,
    /// The command line of `docker compose` for the containers
    #[arg(last = true, required = true)]
    compose: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match LocalSet::new().run_until(run(Args::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compose: FAIL {error:#}");
            ExitCode::FAILURE
        }
    }
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

async fn run(args: Args) -> Result<()> {
    let login = login(&args.mail_page)?;
    let mailbox = Mailbox::MailDev(args.mails, login);
    let caller = Caller::new(args.users, args.orders, args.notifications, mailbox)?;
    let containers = Containers::new(args.compose);

    let admin = Admin::register(&caller, args.admin)
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
        Service::new("user-service", "angarium.user.v1.UserService", args.users)?,
        Service::new(
            "order-service",
            "angarium.order.v1.OrderService",
            args.orders,
        )?,
        Service::new(
            "notification-service",
            "angarium.notification.v1.NotificationService",
            args.notifications,
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
