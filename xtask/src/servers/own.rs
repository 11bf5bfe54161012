//! `cargo xtask own`: one private server that obeys whoever started it, for the runs of `faults` that end servers.
//!
//! It says `up URL`, and for RabbitMQ `control COMMAND`. Then each line of its input is done, and answered: `kill` and `stop` with
//! `down`, `start` with `up URL`. Where its input ends, for whatever reason, the server does too.

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
        // With the settings of a server that keeps what it has promised.
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
        bail!("{} is not ours to end", running.description);
    };
    match line {
        "kill" => server.kill()?,
        "stop" => server.stop()?,
        "start" => {
            server.start_again(ledger, stop)?;
            return say(&format!("up {}", running.url));
        }
        other => bail!("{other:?} is none of kill, stop and start"),
    }
    say("down")
}

/// To a pipe, so not a moment later than now.
fn say(line: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}
