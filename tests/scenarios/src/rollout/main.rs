//! Replaces every replica of every service with another release under load, and rolls back. Meanwhile both releases
//! share databases and broker.
//!
//! Nothing may be lost, duplicated or reordered, and no process may fail. The old release is an older commit. `cargo xtask
//! rollout` starts this program, with servers.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its purpose is to print a verdict"
)]

mod releases;
mod service;

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use scenarios::workload::{Admin, Verdict, Workload};
use scenarios::{Caller, Mailbox};
use tempfile::TempDir;
use testkit::{Operator, VirtualHost, amqp_url};
use tokio::task::LocalSet;

use crate::releases::Built;
use crate::service::{Release, Service};

const NAMES: [&str; 3] = ["user-service", "order-service", "notification-service"];
const REPLICAS: usize = 2;
const USERS: usize = 6;
const ADMIN: &str = "admin@example.com";

/// The first commit with a schema and events that all later commits must support.
const FIRST: &str = "c1c50e9";

#[derive(Parser)]
#[command(name = "cargo xtask rollout", about)]
struct Args {
    /// The commit of the old release
    #[arg(long, value_name = "COMMIT", default_value = FIRST)]
    from: String,
    /// Calls after each replaced replica
    #[arg(long, value_name = "N", default_value_t = 30)]
    calls: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match LocalSet::new().run_until(run(Args::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rollout: FAIL {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let (old, new) = match releases::build(&args.from)? {
        Built::Both { old, new } => (old, new),
        Built::NoHistory(reason) => {
            println!("rollout: skipped, because it needs the repository's history: {reason}");
            return Ok(());
        }
    };
    let [old, new] = [("old", old), ("new", new)].map(|(name, folder)| Release { name, folder });
    println!("rollout: {}", replace([old, new], args.calls).await?);
    Ok(())
}

async fn replace([old, new]: [Release; 2], calls: usize) -> Result<Verdict> {
    let mails = TempDir::new()?;
    let virtual_host = VirtualHost::create(&Operator::of_test_run(), &amqp_url()).await;
    let environment = vec![
        ("AMQP_URL", virtual_host.url().to_string()),
        ("MAIL_DIR", mails.path().display().to_string()),
        ("ADMIN_EMAILS", ADMIN.to_owned()),
    ];

    let mut services = Vec::new();
    for name in NAMES {
        services.push(Service::start(name, &old, REPLICAS, &environment).await?);
    }
    for service in &mut services {
        service.serving().await?;
    }
    let [users, orders, notifications] = services.as_slice() else {
        anyhow::bail!("there are {} services, not {}", services.len(), NAMES.len());
    };
    let mailbox = Mailbox::Folder(mails.path().to_owned());
    let channels = [users, orders, notifications].map(Service::channel);
    let caller = Caller::over(channels, mailbox);
    let admin = Admin::register(&caller, ADMIN.to_owned()).await;
    let admin = admin.context("registering the admin")?;
    let mut load = Workload::start(&caller, &admin, "rollout", USERS).await?;
    load.goes_on(calls).await?;

    for release in [&new, &old] {
        for service in &mut services {
            for replica in 0..REPLICAS {
                service.replace(replica, release).await?;
                println!(
                    "rollout: {} {} runs the {} release",
                    service.name(),
                    replica + 1,
                    release.name
                );
                let went_on = load.goes_on(calls).await;
                went_on.with_context(|| {
                    format!("{} runs the {} release", service.name(), release.name)
                })?;
            }
        }
    }
    let verdict = load.end(false).await?;
    for service in services {
        service.stop().await?;
    }
    ensure!(verdict.passes(), "{verdict}");
    Ok(verdict)
}
