//! A private server: its folder and its process groups, stopped in order on drop.
//!
//! It can also be stopped and started again in the same folder, for fault runs.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use super::folder::Folder;
use super::ledger::Ledger;
use super::{START_LIMIT, ready};
use crate::process::{self, Group};
use crate::stop::Stop;

/// For an orderly shutdown: a broker transfers its queues first.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Asks the server whether it is up; returns its version if known.
type Probe = Box<dyn Fn() -> Result<String> + Send + Sync>;

pub(crate) struct Private {
    /// The processes that the server needs, then the server.
    groups: Vec<Group>,
    server: Option<(Command, Probe)>,
    // Declared last, so that it is removed after the processes that write into it.
    folder: Folder,
}

impl Private {
    pub(crate) fn new(folder: Folder) -> Self {
        Self {
            groups: Vec::new(),
            server: None,
            folder,
        }
    }

    pub(crate) fn spawn(&mut self, command: &mut Command, ledger: &Ledger) -> Result<()> {
        let group = Group::spawn(command)?;
        ledger.process(&group)?;
        self.groups.push(group);
        Ok(())
    }

    /// Starts the server after the processes that it needs. Returns its version after it answers.
    pub(crate) fn serve(
        &mut self,
        mut command: Command,
        probe: Probe,
        ledger: &Ledger,
        stop: &Stop,
    ) -> Result<String> {
        self.spawn(&mut command, ledger)?;
        let answer = ready::wait(START_LIMIT, stop, || self.check(), &probe)?;
        self.server = Some((command, probe));
        Ok(answer)
    }

    /// Kills the server, like a power cut. The processes that it needs continue.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.take_server()?.finish()?;
        Ok(())
    }

    /// Stops the server in order.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let mut server = self.take_server()?;
        server.signal_leader(Signal::TERM);
        let asked = Instant::now();
        while !server.has_ended()? {
            if asked.elapsed() > STOP_LIMIT {
                bail!("{} does not end within {STOP_LIMIT:?}", server.name());
            }
            thread::sleep(process::POLL);
        }
        server.finish()?;
        Ok(())
    }

    /// Starts a killed or stopped server again, in the same folder.
    pub(crate) fn start_again(&mut self, ledger: &Ledger, stop: &Stop) -> Result<()> {
        let (mut command, probe) = self.server.take().context("there was a server")?;
        let begun = Instant::now();
        loop {
            self.spawn(&mut command, ledger)?;
            match ready::wait(START_LIMIT, stop, || self.check(), &probe) {
                Ok(_) => break,
                // Children of the killed server may still exist for a moment and block the new one.
                Err(_) if begun.elapsed() < START_LIMIT && !stop.requested() => self.kill()?,
                Err(error) => return Err(error),
            }
            thread::sleep(process::POLL);
        }
        self.server = Some((command, probe));
        Ok(())
    }

    pub(crate) fn check(&self) -> Result<()> {
        for group in &self.groups {
            if group.has_ended()? {
                bail!("{} has ended by itself", group.name());
            }
        }
        Ok(())
    }

    pub(crate) fn log_tail(&self) -> String {
        self.folder.log_tail()
    }

    fn take_server(&mut self) -> Result<Group> {
        self.groups.pop().context("the server runs")
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.groups.iter_mut().rev().for_each(Group::quit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_killed_stopped_and_restarted_in_its_folder() -> Result<()> {
        let (ledger, stop) = (Ledger::open()?, Stop::default());
        let mut private = Private::new(Folder::create(&ledger, None)?);
        let file = private.folder.file("started");
        let mut server = Command::new("sh");
        let script = "echo again >> \"$0\"; exec sleep 600";
        server.args(["-c", script]).arg(&file);
        let starts = move || match std::fs::read_to_string(&file)?.lines().count() {
            0 => bail!("not yet"),
            starts => Ok(starts.to_string()),
        };
        let first = private.serve(server, Box::new(starts), &ledger, &stop)?;
        assert_eq!(first, "1");
        private.kill()?;
        private.start_again(&ledger, &stop)?;
        private.check()?;
        private.stop()?;
        assert!(private.stop().is_err(), "nothing runs");
        private.start_again(&ledger, &stop)
    }
}
