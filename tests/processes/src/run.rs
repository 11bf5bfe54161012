//! Runs a program to its end.

use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::Signal;

use crate::group::{Group, POLL};
use crate::guard::Guard;
use crate::stop::{Stop, Stopped};

/// How long a child may take to end before it is killed: Docker Compose removes containers meanwhile.
const GRACE: Duration = Duration::from_secs(120);

/// Runs a child with our stdout and stderr. A requested stop interrupts it; a second request or a time-out kills it.
///
/// # Errors
/// If the child cannot be started, or is interrupted: then the error is [`Stopped`].
pub fn run(command: &mut Command, stop: &Stop) -> Result<ExitStatus> {
    stop.check()?;
    let mut guard = Guard::new("INT", None)?;
    let mut group = Group::spawn(command.stdin(Stdio::null()))?;
    guard.watch(&group)?;
    let mut interrupted: Option<Instant> = None;
    let ended = loop {
        if let Some(status) = group.ended()? {
            break Some(status);
        }
        match interrupted {
            None if stop.requested() => {
                group.signal(Signal::INT);
                interrupted = Some(Instant::now());
            }
            Some(at) if stop.insisted() || at.elapsed() > GRACE => break None,
            _ => thread::sleep(POLL),
        }
    };
    drop(group);
    guard.release()?;
    match ended {
        Some(status) if interrupted.is_none() => Ok(status),
        _ => Err(Stopped.into()),
    }
}

/// The output of a short-lived program.
///
/// # Errors
/// If it cannot be started or fails, with what it printed.
pub fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => bail!("cannot start {name}: {error}"),
    };
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{name} failed ({}): {stderr}{stdout}", output.status);
    }
    Ok(stdout)
}

/// A program's exit code; a killed one has none.
pub fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
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
    fn a_failed_program_is_reported_with_its_own_words() {
        let failed = output(&mut shell("echo no such thing >&2; exit 3")).err();
        assert!(failed.is_some_and(|error| error.to_string().contains("no such thing")));
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
    fn a_stop_interrupts_the_child() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("started");
        let stop = Stop::default();
        let result = thread::scope(|scope| {
            let child = scope.spawn(|| run(shell("touch \"$0\"; sleep 600").arg(&file), &stop));
            while !file.exists() {
                thread::sleep(POLL);
            }
            stop.request();
            child.join()
        });
        assert!(result.is_ok_and(|result| result.is_err_and(|error| error.is::<Stopped>())));
        Ok(())
    }
}
