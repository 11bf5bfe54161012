//! A child and its descendants, as long as they stay in its process group.
//!
//! Ctrl-C in a terminal signals only the foreground group, so the children do not get it, and their owner decides the order of the
//! shutdown. Dropping a group kills what is left of it.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};

/// The poll interval of waits: short for people, long for a processor.
pub const POLL: Duration = Duration::from_millis(30);

#[derive(Debug)]
pub(crate) struct Group {
    leader: Child,
    pub(crate) name: String,
}

impl Group {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let leader = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { leader, name })
    }

    pub(crate) fn id(&self) -> u32 {
        self.leader.id()
    }

    /// The exit status of the leader, once it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let ended = self.leader.try_wait();
        ended.with_context(|| format!("cannot wait for {}", self.name))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // Fails only if no process is left.
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.leader), signal);
    }

    /// Signals only the leader, on which the others depend.
    pub(crate) fn signal_leader(&self, signal: Signal) {
        let _ = rustix::process::kill_process(Pid::from_child(&self.leader), signal);
    }

    /// Waits for the leader.
    pub(crate) fn wait(&mut self) {
        let _ = self.leader.wait();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }
}
