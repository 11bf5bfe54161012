//! A workload process that runs while a run breaks the things around it. It is never restarted.

use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinSet;

/// Added to the process's own patience: after that it hangs.
const HANGS: Duration = Duration::from_secs(60);

pub(crate) struct LoadProcess {
    child: Child,
    /// The load goes on while this is open.
    stdin: Option<ChildStdin>,
    heard: Arc<Mutex<Heard>>,
    reading: JoinSet<std::io::Result<()>>,
    log: NamedTempFile,
}

#[derive(Default)]
struct Heard {
    said: String,
    answers: Vec<Answer>,
}

/// The answer to one call.
#[derive(Clone, Copy)]
pub(crate) struct Answer {
    at: Instant,
    accepted: bool,
    took: Duration,
}

impl LoadProcess {
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let log = NamedTempFile::new()?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.reopen()?);
        let mut child = command.spawn().context("cannot start the load")?;
        let stdout = child.stdout.take().context("it is piped")?;
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let mut reading = JoinSet::new();
        let hearing = Arc::clone(&heard);
        reading.spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Some(line) = lines.next_line().await? {
                let mut heard = hearing.lock().unwrap_or_else(PoisonError::into_inner);
                heard.answers.extend(answer(&line));
                heard.said.push_str(&line);
                heard.said.push('\n');
            }
            Ok(())
        });
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            heard,
            reading,
            log,
        })
    }

    /// The answers since then.
    pub(crate) fn answers(&self, since: Instant) -> Vec<Answer> {
        let heard = self.heard();
        let recent = heard.answers.iter().filter(|answer| answer.at >= since);
        recent.copied().collect()
    }

    /// Waits for the first answer.
    pub(crate) async fn first_answer(&self) -> Result<()> {
        let answered = async {
            while self.heard().answers.is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(HANGS, answered)
            .await
            .context("no call of the load was answered in time")
    }

    /// Kills the process, and returns all that it has printed.
    pub(crate) async fn kill(mut self) -> Result<String> {
        self.check()?;
        self.child.kill().await?;
        self.all_said().await
    }

    /// The id of the running process.
    pub(crate) fn process(&self) -> Result<u32> {
        self.child.id().context("the load has ended")
    }

    /// Fails if the process has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!(
                "the load has ended ({status}): {}",
                self.logged()?.trim_end()
            ),
        }
    }

    /// How many log lines say that something starts over and contain `what`.
    pub(crate) fn starts_over(&self, what: &str) -> Result<usize> {
        let logged = self.logged()?;
        let lines = logged.lines().filter(|line| line.contains("starts over"));
        Ok(lines.filter(|line| line.contains(what)).count())
    }

    fn logged(&self) -> Result<String> {
        let bytes = std::fs::read(self.log.path())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Ends the load, waits until the system is quiet, and returns all that it has printed.
    pub(crate) async fn end(mut self, patience: u64) -> Result<String> {
        self.check()?;
        drop(self.stdin.take());
        let limit = Duration::from_secs(patience) + HANGS;
        let status = tokio::time::timeout(limit, self.child.wait()).await;
        let status = status.context("the load did not end in time")??;
        if status.code().is_none_or(|code| code == 1) {
            let log = self.logged()?;
            bail!("the load ended with {status}: {log}");
        }
        self.all_said().await
    }

    async fn all_said(&mut self) -> Result<String> {
        while let Some(read) = self.reading.join_next().await {
            read??;
        }
        Ok(std::mem::take(&mut self.heard().said))
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many of a thousand calls were accepted, and the number of calls.
pub(crate) fn accepted_of_1000(answers: &[Answer]) -> (f64, usize) {
    let accepted = answers.iter().filter(|answer| answer.accepted).count();
    let of = answers.len().max(1);
    (accepted as f64 * 1000.0 / of as f64, answers.len())
}

/// The slowest refusal, and the number of refusals.
pub(crate) fn slowest_refusal(answers: &[Answer]) -> (Duration, usize) {
    let refused = answers.iter().filter(|answer| !answer.accepted);
    let took = refused.clone().map(|answer| answer.took).max();
    (took.unwrap_or_default(), refused.count())
}

/// How many refusals came within the limit.
pub(crate) fn refused_within(answers: &[Answer], limit: Duration) -> usize {
    let refused = answers.iter().filter(|answer| !answer.accepted);
    refused.filter(|answer| answer.took <= limit).count()
}

fn answer(line: &str) -> Option<Answer> {
    let mut words = line.split(' ');
    let accepted = match words.next()? {
        "ok" => true,
        "fail" => false,
        _ => return None,
    };
    let millis = words.nth(1)?.parse().ok()?;
    Some(Answer {
        at: Instant::now(),
        accepted,
        took: Duration::from_millis(millis),
    })
}
