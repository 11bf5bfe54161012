//! `cargo xtask own`: one private server under control of its caller, for fault runs that kill servers.
//!
//! It prints `up URL`, and for RabbitMQ `control COMMAND`. Then it executes each line of its input and answers it:
//! `kill` and `stop` with `down`, `start` with `up URL`. The end of the input ends the server.

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;

use anyhow::{Result, bail};

use super::ledger::Ledger;
use super::{Owned, Running, postgres, rabbitmq};
use crate::stop::Stop;

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Product {
    Postgres,
    Rabbitmq,
}

pub(crate) fn run(product: Product, stop: &Stop) -> Result<ExitCode> {
    let ledger = Ledger::open()?;
    let mut running = match product {
        // With durable settings.
        Product::Postgres => postgres::private(postgres::Disk::Waits, &ledger, stop)?,
        Product::Rabbitmq => rabbitmq::private(&ledger, stop)?,
    };
    if let Some(control) = &running.control {
        say(&format!("control {control}"))?;
    }
    say(&format!("up {}", running.url))?;
    for line in std::io::stdin().lock().lines() {
        stop.check()?;
        obey(&line?, &mut running, &ledger, stop)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn obey(line: &str, running: &mut Running, ledger: &Ledger, stop: &Stop) -> Result<()> {
    let Owned::Private(server) = &mut running.owned else {
        bail!(
            "{} was not started by this program, so it cannot be stopped",
            running.description
        );
    };
    match line {
        "kill" => server.kill()?,
        "stop" => server.stop()?,
        "start" => {
            server.start_again(ledger, stop)?;
            return say(&format!("up {}", running.url));
        }
        other => bail!("{other:?} is not one of kill, stop and start"),
    }
    say("down")
}

/// Flushes, because stdout is a pipe.
fn say(line: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}
