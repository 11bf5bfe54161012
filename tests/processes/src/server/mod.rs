//! A private PostgreSQL or RabbitMQ: its own folder, port and password. It can be killed, stopped and started again.
//!
//! Two servers never meet, also not those of two runs, and a server of the system is never touched.

mod folder;
mod postgres;
mod rabbitmq;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;

use crate::group::{Group, POLL};
use crate::stop::Stop;
use folder::Folder;

/// How long a server may take to answer: slow on a busy machine, but not hanging.
const START_LIMIT: Duration = Duration::from_secs(300);

/// For an orderly shutdown: a broker transfers its queues first.
const STOP_LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Commits do not wait for the disk. Every other setting that a test could notice is PostgreSQL's default.
    Postgres,
    /// With its default settings, for tests that kill it.
    DurablePostgres,
    RabbitMq,
}

impl Kind {
    /// The folder of its programs, if they are installed.
    pub fn programs(self) -> Option<PathBuf> {
        match self {
            Self::Postgres | Self::DurablePostgres => postgres::installed(),
            Self::RabbitMq => rabbitmq::installed().map(|programs| programs.folder),
        }
    }
}

/// A running server. Dropping it ends the server and removes its folder.
pub struct Server {
    url: String,
    /// For a person: product and place, without the password.
    description: String,
    rabbitmqctl: Option<String>,
    command: Command,
    /// Succeeds once the server is up.
    ready: Command,
    group: Option<Group>,
    folder: Folder,
}

impl Server {
    /// # Errors
    /// If its programs are not installed, or it does not start.
    pub fn start(kind: Kind, stop: &Stop) -> Result<Self> {
        let mut tries = 1..=3;
        loop {
            let server = match kind {
                Kind::Postgres => postgres::prepared(postgres::NO_WAITS, stop)?,
                Kind::DurablePostgres => postgres::prepared(&[], stop)?,
                Kind::RabbitMq => rabbitmq::prepared()?,
            };
            match server.started(stop) {
                // Another process took the port that was free a moment ago.
                Err(error) if lost_its_port(&error) && tries.next().is_some() => {}
                result => return result,
            }
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn description(&self) -> &str {
        &self.description
    }

    /// A command line that runs rabbitmqctl on this broker.
    pub fn rabbitmqctl(&self) -> Option<&str> {
        self.rabbitmqctl.as_deref()
    }

    /// Kills it, like a power cut.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&mut self) -> Result<()> {
        drop(self.group.take().context("the server does not run")?);
        self.folder.guard.release()
    }

    /// Stops it in order.
    ///
    /// # Errors
    /// If it does not run, or does not end.
    pub fn stop(&mut self) -> Result<()> {
        let group = self.group.as_mut().context("the server does not run")?;
        group.signal_leader(Signal::TERM);
        let asked = Instant::now();
        while group.ended()?.is_none() {
            let name = &group.name;
            ensure!(
                asked.elapsed() < STOP_LIMIT,
                "{name} does not end within {STOP_LIMIT:?}"
            );
            thread::sleep(POLL);
        }
        self.kill()
    }

    /// Starts a killed or stopped server in its folder, and waits until it answers.
    ///
    /// # Errors
    /// If it does not answer in time.
    pub fn start_again(&mut self, stop: &Stop) -> Result<()> {
        let began = Instant::now();
        // Children of the killed server may still exist for a moment and block the new one.
        while let Err(error) = self.run(stop) {
            if began.elapsed() > START_LIMIT || stop.requested() {
                return Err(error);
            }
            self.kill()?;
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// # Errors
    /// If it has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        let ended = self.group.as_mut().map(Group::ended).transpose()?.flatten();
        match ended {
            Some(status) => bail!("{} has ended ({status})", self.description),
            None => Ok(()),
        }
    }

    fn started(mut self, stop: &Stop) -> Result<Self> {
        self.run(stop).with_context(|| {
            let (what, log) = (&self.description, self.folder.log_tail());
            format!("{what} does not start; its log ends with:\n{log}\n")
        })?;
        Ok(self)
    }

    fn run(&mut self, stop: &Stop) -> Result<()> {
        let group = self.group.insert(Group::spawn(&mut self.command)?);
        self.folder.guard.watch(group)?;
        let began = Instant::now();
        let mut asking = Group::spawn(&mut self.ready)?;
        loop {
            if let Some(answer) = asking.ended()? {
                if answer.success() {
                    return Ok(());
                }
                asking = Group::spawn(&mut self.ready)?;
            }
            stop.check()?;
            self.check()?;
            ensure!(
                began.elapsed() < START_LIMIT,
                "it does not answer within {START_LIMIT:?}"
            );
            thread::sleep(POLL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.folder.guard.act();
        if let Some(mut group) = self.group.take() {
            group.wait();
        }
    }
}

/// Ports that are free at this moment, all different.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    let mut held = Vec::with_capacity(N);
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn lost_its_port(error: &anyhow::Error) -> bool {
    let error = format!("{error:#}").to_lowercase();
    error.contains("already in use") || error.contains("eaddrinuse")
}

/// Without an input and without a word.
fn quiet(mut command: Command) -> Command {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_different() -> Result<()> {
        let [one, two, three] = free_ports::<3>()?;
        assert!(one != two && two != three && one != three);
        Ok(())
    }

    /// A shell script that counts its starts.
    fn server() -> Result<Server> {
        let folder = Folder::create()?;
        let script = "echo again >> started; trap 'exit 0' TERM; sleep 600 & wait";
        let mut command = folder.command("sh")?;
        command.args(["-c", script]);
        let mut ready = folder.command("test")?;
        ready.args(["-f", "started"]);
        Ok(Server {
            url: String::new(),
            description: "a script".to_owned(),
            rabbitmqctl: None,
            command,
            ready,
            group: None,
            folder,
        })
    }

    #[test]
    fn a_server_is_killed_stopped_and_started_again_in_its_folder() -> Result<()> {
        let stop = Stop::default();
        let mut server = server()?.started(&stop)?;
        let path = server.folder.path().to_owned();
        server.kill()?;
        server.start_again(&stop)?;
        server.check()?;
        server.stop()?;
        ensure!(server.stop().is_err(), "nothing runs");
        server.start_again(&stop)?;
        let starts = std::fs::read_to_string(path.join("started"))?;
        assert_eq!(starts.lines().count(), 3);
        drop(server);
        ensure!(!path.exists());
        Ok(())
    }

    #[test]
    fn a_server_that_ends_is_not_waited_for() -> Result<()> {
        let mut server = server()?;
        server.command = server.folder.command("sh")?;
        server.command.args(["-c", "echo no space left; exit 1"]);
        server.ready = server.folder.command("false")?;
        let error = server.started(&Stop::default()).err();
        let text = error.map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(text.contains("no space left") && text.contains("has ended"));
        Ok(())
    }
}
