//! PostgreSQL and RabbitMQ for the tests: their sources and their shutdown.
//!
//! Dropping `Servers` stops what it started. After a kill -9, the next start cleans up with the ledger.

mod account;
mod amqp;
pub(crate) mod apt;
mod choice;
pub(crate) mod docker;
mod folder;
mod ledger;
pub(crate) mod own;
mod pgwire;
mod postgres;
mod private;
mod programs;
mod rabbitmq;
mod ready;

use std::env;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use self::choice::Choice;
use self::docker::Container;
use self::ledger::Ledger;
use self::postgres::Disk;
use self::private::Private;
use crate::process;
use crate::stop::{Stop, Stopped};

pub(crate) const POSTGRES_URL: &str = "ANGARIUM_TEST_POSTGRES_URL";
pub(crate) const AMQP_URL: &str = "ANGARIUM_TEST_AMQP_URL";
/// A command line that runs rabbitmqctl on that broker, for what AMQP cannot do.
pub(crate) const RABBITMQCTL: &str = "ANGARIUM_TEST_RABBITMQCTL";
/// A command line that starts a private server: see [`own`].
const OWN_SERVER: &str = "ANGARIUM_TEST_OWN_SERVER";
/// A command line that prepares the example clients: see [`clients`](crate::clients).
const CLIENTS: &str = "ANGARIUM_TEST_CLIENTS";
/// A command line that builds programs such as grpcurl: see [`tools`](crate::tools).
pub(crate) const TOOLS: &str = "ANGARIUM_TEST_TOOLS";

/// The source of each server. Chosen before anything starts, so that a missing source fails immediately.
pub(crate) struct Plan {
    postgres: Choice,
    rabbitmq: Choice,
}

impl Plan {
    pub(crate) fn make() -> Result<Self> {
        let machine = choice::Machine::default();
        let postgres = choice::choose(|choice| match choice {
            Choice::Given => given(POSTGRES_URL).is_some(),
            Choice::Installed => postgres::installed().is_some(),
            Choice::Docker => machine.has_docker(),
            Choice::Apt => apt::is_possible(),
        });
        let rabbitmq = choice::choose(|choice| match choice {
            Choice::Given => given(AMQP_URL).is_some(),
            Choice::Installed => rabbitmq::installed().is_some(),
            Choice::Docker => machine.has_docker(),
            Choice::Apt => apt::is_possible(),
        });
        Ok(Self {
            postgres: postgres.with_context(|| choice::none("PostgreSQL", POSTGRES_URL))?,
            rabbitmq: rabbitmq.with_context(|| choice::none("RabbitMQ", AMQP_URL))?,
        })
    }

    fn packages(&self) -> Vec<&'static str> {
        let wanted = [
            (self.postgres, postgres::PACKAGE),
            (self.rabbitmq, rabbitmq::PACKAGE),
        ];
        let missing = wanted
            .into_iter()
            .filter(|(choice, _)| *choice == Choice::Apt);
        let mut missing: Vec<_> = missing.map(|(_, package)| package).collect();
        // Tests that need it are skipped without it, so it is not installed on its own.
        if self.postgres == Choice::Apt {
            missing.push(postgres::POOLER);
        }
        missing
    }
}

/// A running server with its URL.
pub(crate) struct Running {
    url: String,
    /// For the user: product, version, source and address, without a password.
    description: String,
    control: Option<String>,
    owned: Owned,
}

/// The resource behind a server. Dropping it stops the server.
enum Owned {
    Nothing,
    Private(Box<Private>),
    Container(Container),
}

impl Running {
    fn check(&self) -> Result<()> {
        let alive = match &self.owned {
            Owned::Nothing => Ok(()),
            Owned::Private(private) => private.check(),
            Owned::Container(container) => container.check(),
        };
        alive.with_context(|| self.description.clone())
    }
}

pub(crate) struct Servers {
    postgres: Running,
    rabbitmq: Running,
    own_server: String,
    clients: String,
    tools: String,
    _ledger: Ledger,
}

impl Servers {
    /// Starts both at the same time. If one fails, the other is stopped.
    pub(crate) fn start(plan: &Plan, stop: &Stop) -> Result<Self> {
        let ledger = Ledger::open()?;
        let packages = plan.packages();
        if !packages.is_empty() {
            apt::install(&packages)?;
            stop.check()?;
        }
        let (postgres, rabbitmq) = thread::scope(|scope| {
            let postgres = scope.spawn(|| {
                let started = start_postgres(plan.postgres, &ledger, stop);
                announce(started, stop)
            });
            let rabbitmq = announce(start_rabbitmq(plan.rabbitmq, &ledger, stop), stop);
            let postgres = postgres
                .join()
                .unwrap_or_else(|_| Err(anyhow!("starting PostgreSQL panicked")));
            (postgres, rabbitmq)
        });
        let (postgres, rabbitmq) = match (postgres, rabbitmq) {
            (Ok(postgres), Ok(rabbitmq)) => (postgres, rabbitmq),
            // Report the failure that stopped the other start.
            (Err(error), Err(other)) if error.is::<Stopped>() => return Err(other),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        Ok(Self {
            postgres,
            rabbitmq,
            own_server: ourselves("own")?,
            clients: ourselves("clients")?,
            tools: ourselves("tools")?,
            _ledger: ledger,
        })
    }

    pub(crate) fn environment(&self) -> Vec<(&'static str, &str)> {
        let mut environment = vec![
            (POSTGRES_URL, self.postgres.url.as_str()),
            (AMQP_URL, &self.rabbitmq.url),
            (OWN_SERVER, &self.own_server),
            (CLIENTS, &self.clients),
            (TOOLS, &self.tools),
        ];
        if let Some(control) = &self.rabbitmq.control {
            environment.push((RABBITMQCTL, control));
        }
        environment
    }
}

/// `cargo xtask servers`: runs both servers until a signal.
pub(crate) fn keep(stop: &Stop) -> Result<ExitCode> {
    let servers = Servers::start(&Plan::make()?, stop)?;
    for (name, server) in [
        (POSTGRES_URL, &servers.postgres),
        (AMQP_URL, &servers.rabbitmq),
    ] {
        match server.owned {
            // The URL is the user's, with their password, so do not print it.
            Owned::Nothing => eprintln!("xtask: {name} is set already"),
            _ => println!("export {name}='{}'", server.url),
        }
    }
    if let Some(control) = &servers.rabbitmq.control {
        println!("export {RABBITMQCTL}='{control}'");
    }
    println!("export {OWN_SERVER}='{}'", servers.own_server);
    println!("export {CLIENTS}='{}'", servers.clients);
    println!("export {TOOLS}='{}'", servers.tools);
    eprintln!("xtask: both servers run until Ctrl-C");
    let mut rounds = 0_u32;
    while !stop.requested() {
        thread::sleep(process::POLL);
        rounds = rounds.wrapping_add(1);
        // About every two seconds, because a query to Docker costs a process.
        if rounds.is_multiple_of(64) {
            servers.postgres.check()?;
            servers.rabbitmq.check()?;
        }
    }
    eprintln!("xtask: stopping the servers");
    Ok(ExitCode::SUCCESS)
}

/// For a program that starts its own servers.
pub(crate) fn own_server() -> Result<(&'static str, String)> {
    Ok((OWN_SERVER, ourselves("own")?))
}

/// The path of this program. If it was rebuilt while it runs, Linux reports a deleted file.
pub(crate) fn ourselves(task: &str) -> Result<String> {
    let program = env::current_exe().context("cannot find this program's own file")?;
    let program = program.to_string_lossy();
    Ok(format!("{} {task}", program.trim_end_matches(" (deleted)")))
}

fn start_postgres(choice: Choice, ledger: &Ledger, stop: &Stop) -> Result<Running> {
    match (choice, given(POSTGRES_URL)) {
        (Choice::Given, Some(url)) => postgres::given(&url),
        (Choice::Docker, _) => postgres::container(ledger, stop),
        _ => postgres::private(Disk::DoesNotWait, ledger, stop),
    }
}

fn start_rabbitmq(choice: Choice, ledger: &Ledger, stop: &Stop) -> Result<Running> {
    match (choice, given(AMQP_URL)) {
        (Choice::Given, Some(url)) => rabbitmq::given(&url),
        (Choice::Docker, _) => rabbitmq::container(ledger, stop),
        _ => rabbitmq::private(ledger, stop),
    }
}

fn announce(started: Result<Running>, stop: &Stop) -> Result<Running> {
    match &started {
        Ok(running) => eprintln!("xtask: {}", running.description),
        Err(_) => stop.request(),
    }
    started
}

/// A URL in the environment; an empty one counts as unset.
#[expect(
    clippy::disallowed_methods,
    reason = "documented variables; a URL on a command line would show its password"
)]
fn given(name: &str) -> Option<String> {
    env::var(name).ok().filter(|url| !url.trim().is_empty())
}

fn unusable(variable: &str) -> String {
    format!("{variable} is set but cannot be used (correct it, or unset it to start a server)")
}

/// How long a server may take to answer: slow on a busy machine, but not hanging.
const START_LIMIT: Duration = Duration::from_secs(120);
