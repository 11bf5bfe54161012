//! The PostgreSQL and the RabbitMQ that the tests run on: where they come from, and their end.
//!
//! A `Servers` ends what it started when it is dropped. What a kill -9 left is ended at the next
//! start, from the ledger.

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
/// A command line that starts a server of the caller's own: see [`own`].
const OWN_SERVER: &str = "ANGARIUM_TEST_OWN_SERVER";
/// A command line that makes the examples in other languages ready: see [`clients`](crate::clients).
const CLIENTS: &str = "ANGARIUM_TEST_CLIENTS";

/// Which way each server is taken; made before anything starts, so that a machine without a way
/// is told at once.
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
        // Its tests are left out where it is not there, so it is no reason to install anything.
        if self.postgres == Choice::Apt {
            missing.push(postgres::POOLER);
        }
        missing
    }
}

/// A server that answers, under a URL that a test can use.
pub(crate) struct Running {
    url: String,
    /// What the user reads: product, version, origin and address, without a password.
    description: String,
    control: Option<String>,
    owned: Owned,
}

/// What has to be ended; its drop does it.
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
    _ledger: Ledger,
}

impl Servers {
    /// Starts both at the same time; where one fails, the other is ended again.
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
                .unwrap_or_else(|_| Err(anyhow!("starting PostgreSQL ended in a panic")));
            (postgres, rabbitmq)
        });
        let (postgres, rabbitmq) = match (postgres, rabbitmq) {
            (Ok(postgres), Ok(rabbitmq)) => (postgres, rabbitmq),
            // The one that failed first stopped the other.
            (Err(error), Err(other)) if error.is::<Stopped>() => return Err(other),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        Ok(Self {
            postgres,
            rabbitmq,
            own_server: ourselves("own")?,
            clients: ourselves("clients")?,
            _ledger: ledger,
        })
    }

    pub(crate) fn environment(&self) -> Vec<(&'static str, &str)> {
        let mut environment = vec![
            (POSTGRES_URL, self.postgres.url.as_str()),
            (AMQP_URL, &self.rabbitmq.url),
            (OWN_SERVER, &self.own_server),
            (CLIENTS, &self.clients),
        ];
        if let Some(control) = &self.rabbitmq.control {
            environment.push((RABBITMQCTL, control));
        }
        environment
    }
}

/// `cargo xtask servers`: both servers, until a signal.
pub(crate) fn keep(stop: &Stop) -> Result<ExitCode> {
    let servers = Servers::start(&Plan::make()?, stop)?;
    for (name, server) in [
        (POSTGRES_URL, &servers.postgres),
        (AMQP_URL, &servers.rabbitmq),
    ] {
        match server.owned {
            // The user's own password is not ours to print.
            Owned::Nothing => eprintln!("xtask: {name} is set already"),
            _ => println!("export {name}='{}'", server.url),
        }
    }
    if let Some(control) = &servers.rabbitmq.control {
        println!("export {RABBITMQCTL}='{control}'");
    }
    println!("export {OWN_SERVER}='{}'", servers.own_server);
    println!("export {CLIENTS}='{}'", servers.clients);
    eprintln!("xtask: both run until Ctrl-C");
    let mut rounds = 0_u32;
    while !stop.requested() {
        thread::sleep(process::POLL);
        rounds = rounds.wrapping_add(1);
        // About every two seconds: to ask Docker costs a process.
        if rounds.is_multiple_of(64) {
            servers.postgres.check()?;
            servers.rabbitmq.check()?;
        }
    }
    eprintln!("xtask: ending the servers");
    Ok(ExitCode::SUCCESS)
}

/// For a program that starts servers of its own.
pub(crate) fn own_server() -> Result<(&'static str, String)> {
    Ok((OWN_SERVER, ourselves("own")?))
}

/// This program itself, which may be built anew while it runs: then Linux names a file that is gone.
fn ourselves(task: &str) -> Result<String> {
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

/// A URL in the environment; an empty one counts as none.
#[expect(
    clippy::disallowed_methods,
    reason = "the variables are the promise, and a URL on a command line would show its password"
)]
fn given(name: &str) -> Option<String> {
    env::var(name).ok().filter(|url| !url.trim().is_empty())
}

fn unusable(variable: &str) -> String {
    format!("{variable} is set but not usable (correct it, or unset it to have a server started)")
}

/// How long a server may take to answer: a busy machine is normal, a hanging one is not.
const START_LIMIT: Duration = Duration::from_secs(120);
