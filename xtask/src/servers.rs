//! PostgreSQL and RabbitMQ for the tests: by URL, or as private instances of the installed programs.
//!
//! As root on Debian and Ubuntu, missing programs are installed first. Dropping `Servers` ends what it started.

use std::env;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use processes::{Kind, POLL, Server, Stop, Stopped, apt};
use url::Url;

const POSTGRES_URL: &str = "ANGARIUM_TEST_POSTGRES_URL";
const AMQP_URL: &str = "ANGARIUM_TEST_AMQP_URL";
/// A command line that runs rabbitmqctl on that broker, for what AMQP cannot do.
const RABBITMQCTL: &str = "ANGARIUM_TEST_RABBITMQCTL";
/// A command line that prepares the example clients.
const CLIENTS: &str = "ANGARIUM_TEST_CLIENTS";
/// A command line that builds programs such as grpcurl.
pub(crate) const TOOLS: &str = "ANGARIUM_TEST_TOOLS";

/// Debian's packages. Tests that need PgBouncer are skipped without it, so it is not installed on its own.
const POSTGRES_PACKAGES: [&str; 2] = ["postgresql", "pgbouncer"];
const RABBITMQ_PACKAGES: [&str; 1] = ["rabbitmq-server"];

pub(crate) struct Servers {
    /// `None` where the environment names a server.
    postgres: Option<Server>,
    rabbitmq: Option<Server>,
}

impl Servers {
    /// Starts both at the same time. If one fails, the other is stopped.
    pub(crate) fn start(stop: &Stop) -> Result<Self> {
        let (postgres, rabbitmq) = (given(POSTGRES_URL), given(AMQP_URL));
        if let Some(url) = &postgres {
            check(POSTGRES_URL, url, 5432, postgres_is_ready)?;
        }
        if let Some(url) = &rabbitmq {
            check(AMQP_URL, url, 5672, rabbitmq_is_ready)?;
        }
        let mut missing = Vec::new();
        if postgres.is_none() && Kind::Postgres.programs().is_none() {
            missing.extend(POSTGRES_PACKAGES);
        }
        if rabbitmq.is_none() && Kind::RabbitMq.programs().is_none() {
            missing.extend(RABBITMQ_PACKAGES);
        }
        if !missing.is_empty() {
            install(&missing)?;
            stop.check()?;
        }

        let start = |kind, given: Option<String>| match given {
            Some(_) => Ok(None),
            None => announced(Server::start(kind, stop), stop).map(Some),
        };
        let (postgres, rabbitmq) = thread::scope(|scope| {
            let postgres = scope.spawn(|| start(Kind::Postgres, postgres));
            let rabbitmq = start(Kind::RabbitMq, rabbitmq);
            let panicked = |_| Err(anyhow!("starting PostgreSQL panicked"));
            (postgres.join().unwrap_or_else(panicked), rabbitmq)
        });
        match (postgres, rabbitmq) {
            (Ok(postgres), Ok(rabbitmq)) => Ok(Self { postgres, rabbitmq }),
            // Report the failure that stopped the other start.
            (Err(error), Err(other)) if error.is::<Stopped>() => Err(other),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// The variables of the tests, but for those that are set already.
    pub(crate) fn environment(&self) -> Result<Vec<(&'static str, String)>> {
        let postgres = self.postgres.as_ref().map(Server::url);
        let rabbitmq = self.rabbitmq.as_ref().map(Server::url);
        let control = self.rabbitmq.as_ref().and_then(Server::rabbitmqctl);
        let mut variables = Vec::new();
        for (name, value) in [
            (POSTGRES_URL, postgres),
            (AMQP_URL, rabbitmq),
            (RABBITMQCTL, control),
        ] {
            variables.extend(value.map(|value| (name, value.to_owned())));
        }
        variables.push((CLIENTS, ourselves("clients")?));
        variables.push((TOOLS, ourselves("tools")?));
        Ok(variables)
    }
}

/// `cargo xtask servers`: runs both servers until a signal.
pub(crate) fn keep(stop: &Stop) -> Result<ExitCode> {
    let mut servers = Servers::start(stop)?;
    for (name, value) in servers.environment()? {
        println!("export {name}='{value}'");
    }
    eprintln!("xtask: both servers run until Ctrl-C");
    while !stop.requested() {
        thread::sleep(POLL);
        for server in [&mut servers.postgres, &mut servers.rabbitmq] {
            server.as_mut().map_or(Ok(()), Server::check)?;
        }
    }
    eprintln!("xtask: stopping the servers");
    Ok(ExitCode::SUCCESS)
}

/// A command line for this program. If it was rebuilt while it runs, Linux reports a deleted file.
pub(crate) fn ourselves(task: &str) -> Result<String> {
    let program = env::current_exe().context("cannot find this program's own file")?;
    let program = program.to_string_lossy();
    Ok(format!("{} {task}", program.trim_end_matches(" (deleted)")))
}

fn announced(started: Result<Server>, stop: &Stop) -> Result<Server> {
    match &started {
        Ok(server) => eprintln!("xtask: {}", server.description()),
        Err(_) => stop.request(),
    }
    started
}

fn install(packages: &[&str]) -> Result<()> {
    if apt::is_possible() {
        return apt::install(packages);
    }
    bail!(
        "the tests need {}, which is not installed. Install it (private instances are started, never the system's), \
         set {POSTGRES_URL} and {AMQP_URL} to the URLs of running servers, or run as root on Debian or Ubuntu, where it is \
         installed with apt-get",
        packages.join(" and ")
    )
}

/// A URL in the environment; an empty one counts as unset.
#[expect(
    clippy::disallowed_methods,
    reason = "documented variables; a URL on a command line would show its password"
)]
fn given(name: &str) -> Option<String> {
    env::var(name).ok().filter(|url| !url.trim().is_empty())
}

/// Fails early if the server of the environment is not there. The text has no password.
fn check(name: &str, url: &str, port: u16, ready: fn(&str, u16) -> Result<bool>) -> Result<()> {
    let unusable =
        || format!("{name} is set but cannot be used: correct it, or unset it to start a server");
    let url = Url::parse(url).with_context(unusable)?;
    let host = url.host_str().unwrap_or("localhost");
    let host = host.trim_matches(['[', ']']);
    let port = url.port().unwrap_or(port);
    if !ready(host, port).with_context(unusable)? {
        return Err(anyhow!("no server is ready at {host}:{port}")).with_context(unusable);
    }
    eprintln!("xtask: {name}: {host}:{port}");
    Ok(())
}

fn postgres_is_ready(host: &str, port: u16) -> Result<bool> {
    let Some(programs) = Kind::Postgres.programs() else {
        return Ok(listens(host, port));
    };
    let mut ask = Command::new(programs.join("pg_isready"));
    ask.args(["--quiet", "--host", host, "--port", &port.to_string()]);
    Ok(ask.status()?.success())
}

fn rabbitmq_is_ready(host: &str, port: u16) -> Result<bool> {
    let Some(control) = given(RABBITMQCTL) else {
        return Ok(listens(host, port));
    };
    let mut words = control.split_whitespace();
    let mut ask = Command::new(words.next().unwrap_or_default());
    ask.args(words).arg("await_startup");
    let asked = ask.output();
    let asked = asked.with_context(|| format!("{RABBITMQCTL} cannot be run: {control}"))?;
    Ok(asked.status.success())
}

fn listens(host: &str, port: u16) -> bool {
    let addresses = (host, port).to_socket_addrs().into_iter().flatten();
    let limit = Duration::from_secs(10);
    addresses
        .into_iter()
        .any(|address| TcpStream::connect_timeout(&address, limit).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_about_a_given_server_does_not_show_its_password() {
        for url in [
            "amqp://me:secret@127.0.0.1:1/",
            "amqp://me:secret@host:port",
        ] {
            let error = check(AMQP_URL, url, 5672, |host, port| Ok(listens(host, port))).err();
            let text = error.map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(
                text.contains(AMQP_URL) && !text.contains("secret"),
                "{text}"
            );
        }
    }
}
