//! Child processes, each in its own process group.
//!
//! Ctrl-C in a terminal signals only the foreground group. The children do not get it, so xtask controls the order of
//! the shutdown. Dropping a `Group` ends all of its processes.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::stop::{Stop, Stopped};

/// The poll interval of waits: short for people, long for a processor.
pub(crate) const POLL: Duration = Duration::from_millis(30);

/// How long a child may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Runs a child with our stdout and stderr to its end. A requested stop interrupts it; a second request or a time-out
/// kills it.
pub(crate) fn run(command: &mut Command, stop: &Stop) -> Result<ExitStatus> {
    stop.check()?;
    let mut group = Group::spawn(command.stdin(Stdio::null()))?;
    let mut interrupted: Option<Instant> = None;
    while !group.has_ended()? {
        match interrupted {
            None if stop.requested() => {
                group.signal(Signal::INT);
                interrupted = Some(Instant::now());
            }
            Some(at) if stop.insisted() || at.elapsed() > GRACE => break,
            _ => thread::sleep(POLL),
        }
    }
    let status = group.finish()?;
    if interrupted.is_some() {
        return Err(Stopped.into());
    }
    Ok(status)
}

/// The output of a short-lived program.
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// The standard output, or an error with the program's stderr.
    pub(crate) fn success(self, program: &str) -> Result<String> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        let said = format!("{}{}", self.stderr, self.stdout);
        bail!("{program} failed ({}): {}", self.status, said.trim());
    }
}

/// Runs a program to its end within `limit`. A stop does not interrupt it, because clean-up depends on it.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<Output> {
    // Files, not pipes: a grandchild that keeps a pipe open would hang the reader.
    let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?);
    let mut group = Group::spawn(command)?;
    let started = Instant::now();
    while !group.has_ended()? {
        if started.elapsed() > limit {
            bail!("{} did not end within {limit:?}", name(command));
        }
        thread::sleep(POLL);
    }
    Ok(Output {
        status: group.finish()?,
        stdout: text(stdout)?,
        stderr: text(stderr)?,
    })
}

/// A child and its descendants, as long as they stay in the process group.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Child,
    name: String,
    finished: bool,
}

impl Group {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let name = name(command);
        let leader = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            leader,
            name,
            finished: false,
        })
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.leader)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Checks without reaping: until `finish`, the system cannot reuse the id.
    pub(crate) fn has_ended(&self) -> Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            match rustix::process::waitid(WaitId::Pid(self.pid()), options) {
                Ok(status) => return Ok(status.is_some()),
                Err(Errno::INTR) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot wait for {}", self.name));
                }
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // Fails only if no process is left.
        let _ = rustix::process::kill_process_group(self.pid(), signal);
    }

    /// Signals only the leader, on which the others depend.
    pub(crate) fn signal_leader(&self, signal: Signal) {
        let _ = rustix::process::kill_process(self.pid(), signal);
    }

    /// Kills the rest of the group, whether or not its leader has ended.
    pub(crate) fn finish(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::KILL);
        self.finished = true;
        self.leader
            .wait()
            .with_context(|| format!("cannot wait for {}", self.name))
    }

    /// Asks the leader to quit immediately, and kills the rest. SIGQUIT is PostgreSQL's immediate shutdown, in which it
    /// removes its shared memory; the data is discarded anyway.
    pub(crate) fn quit(&mut self) {
        self.signal_leader(Signal::QUIT);
        let asked = Instant::now();
        while !self.has_ended().unwrap_or(true) && asked.elapsed() < GRACE {
            thread::sleep(POLL);
        }
        let _ = self.finish();
        // A killed process is not gone yet. The wait has a limit, because a zombie that no process reaps stays listed
        // forever.
        let killed = Instant::now();
        while rustix::process::test_kill_process_group(self.pid()).is_ok()
            && killed.elapsed() < Duration::from_secs(1)
        {
            thread::sleep(POLL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.finished {
            let _ = self.finish();
        }
    }
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn text(mut file: File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failed_program_is_reported_with_its_own_words() -> Result<()> {
        let failed = output(&mut shell("echo no such thing >&2; exit 3"), GRACE)?;
        let error = failed.success("sh").err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| text.contains("no such thing")));
        Ok(())
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_at_the_limit() {
        let result = output(&mut shell("sleep 600"), Duration::from_millis(50));
        assert!(result.is_err_and(|error| error.to_string().contains("did not end")));
    }

    #[test]
    fn the_exit_code_is_handed_on() -> Result<()> {
        let status = run(&mut shell("exit 7"), &Stop::default())?;
        assert_eq!(status.code(), Some(7));
        Ok(())
    }

    #[test]
    fn nothing_starts_once_a_stop_is_requested() {
        let stop = Stop::default();
        stop.request();
        let result = run(&mut shell("exit 0"), &stop);
        assert!(result.is_err_and(|error| error.is::<Stopped>()));
    }

    #[test]
    fn a_finished_group_leaves_no_grandchild() -> Result<()> {
        let mut group = Group::spawn(&mut shell("sleep 600 & wait"))?;
        let pid = group.pid();
        group.finish()?;
        // The killed grandchild stays in the group until its new parent has reaped it.
        let started = Instant::now();
        while rustix::process::test_kill_process_group(pid).is_ok() {
            assert!(started.elapsed() < GRACE, "a process is left in the group");
            thread::sleep(POLL);
        }
        Ok(())
    }
}
