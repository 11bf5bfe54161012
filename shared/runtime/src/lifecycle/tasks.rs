//! Background tasks: each has a name, and its end is either requested or a failure.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures::FutureExt;
use tokio::task::{Id, JoinSet};

use super::Shutdown;

/// An aborted task ends at its next await; a task without one must not keep the process alive.
const ABORT_PATIENCE: Duration = Duration::from_secs(2);

/// The background tasks of one service.
#[derive(Debug)]
pub struct Tasks {
    shutdown: Shutdown,
    running: JoinSet<anyhow::Result<()>>,
    names: BTreeMap<Id, String>,
}

impl Tasks {
    /// `shutdown` stops them, and a failed task triggers it.
    pub fn new(shutdown: &Shutdown) -> Self {
        Self {
            shutdown: shutdown.clone(),
            running: JoinSet::new(),
            names: BTreeMap::new(),
        }
    }

    /// Starts `task` as `name`. It must run until `shutdown.soft` and then return `Ok`. Otherwise everything is stopped
    /// immediately, and [`Tasks::join`] returns the cause.
    pub fn spawn<F>(&mut self, name: &str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let shutdown = self.shutdown.clone();
        let label = name.to_owned();
        let handle = self.running.spawn(async move {
            let result = watched(&label, &shutdown, task).await;
            if result.is_err() {
                shutdown.trigger();
            }
            result
        });
        self.names.insert(handle.id(), name.to_owned());
    }

    /// Waits until every task has ended. After `shutdown.hard`, the rest is aborted.
    ///
    /// # Errors
    /// The first task that failed, panicked, ended unasked or was aborted, by name. Further ones are logged.
    pub async fn join(mut self) -> anyhow::Result<()> {
        let mut failures = Vec::new();
        loop {
            let ended = tokio::select! {
                biased;
                ended = self.running.join_next_with_id() => ended,
                () = self.shutdown.hard.cancelled() => break,
            };
            match ended {
                None => return first_of(failures),
                Some(Ok((id, result))) => {
                    self.names.remove(&id);
                    failures.extend(result.err());
                }
                // Only an abort: inside the task, a panic becomes an error.
                Some(Err(lost)) => {
                    let name = self.names.remove(&lost.id()).unwrap_or_default();
                    failures.push(anyhow!(lost).context(format!("task `{name}` was lost")));
                }
            }
        }
        failures.extend(self.abort().await);
        first_of(failures)
    }

    async fn abort(&mut self) -> Vec<anyhow::Error> {
        let mut failures = Vec::new();
        self.running.abort_all();
        let gather = async {
            while let Some(ended) = self.running.join_next_with_id().await {
                // A task may have ended before the abort.
                if let Ok((id, result)) = ended {
                    self.names.remove(&id);
                    failures.extend(result.err());
                }
            }
        };
        let _ = tokio::time::timeout(ABORT_PATIENCE, gather).await;
        for name in self.names.values() {
            failures.push(anyhow!(
                "task `{name}` did not end within the grace period and was aborted"
            ));
        }
        failures
    }
}

async fn watched<F>(name: &str, shutdown: &Shutdown, task: F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    match AssertUnwindSafe(task).catch_unwind().await {
        Ok(Ok(())) if shutdown.soft.is_cancelled() => Ok(()),
        Ok(Ok(())) => Err(anyhow!("task `{name}` ended unexpectedly")),
        Ok(failed @ Err(_)) => failed.with_context(|| format!("task `{name}` failed")),
        Err(_) => Err(anyhow!("task `{name}` panicked")),
    }
}

/// A process ends for one reason; consequences are only logged.
fn first_of(failures: Vec<anyhow::Error>) -> anyhow::Result<()> {
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else {
        return Ok(());
    };
    for further in failures {
        tracing::error!("{further:#}");
    }
    Err(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks() -> (Shutdown, Tasks) {
        let shutdown = Shutdown::new(Duration::from_secs(600));
        let tasks = Tasks::new(&shutdown);
        (shutdown, tasks)
    }

    async fn until_soft(shutdown: Shutdown) -> anyhow::Result<()> {
        shutdown.soft.cancelled().await;
        Ok(())
    }

    #[tokio::test]
    async fn tasks_that_end_when_asked_are_a_clean_end() {
        let (shutdown, mut tasks) = tasks();
        tasks.spawn("relay", until_soft(shutdown.clone()));
        tasks.spawn("consumer", until_soft(shutdown.clone()));
        shutdown.trigger();
        tasks.join().await.unwrap();
    }

    #[tokio::test]
    async fn no_tasks_are_a_clean_end() {
        let (_shutdown, tasks) = tasks();
        tasks.join().await.unwrap();
    }

    #[tokio::test]
    async fn a_task_that_ends_early_ends_everything_and_is_named() {
        let (shutdown, mut tasks) = tasks();
        tasks.spawn("relay", async { Ok(()) });
        tasks.spawn("consumer", until_soft(shutdown.clone()));
        let error = tasks.join().await.unwrap_err();
        assert_eq!(error.to_string(), "task `relay` ended unexpectedly");
        assert!(shutdown.soft.is_cancelled());
    }

    #[tokio::test]
    async fn shutdown_begins_when_a_task_fails_not_when_it_is_joined() {
        let (shutdown, mut tasks) = tasks();
        tasks.spawn("relay", async { Err(anyhow!("the broker said no")) });
        shutdown.soft.cancelled().await;
        let error = tasks.join().await.unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "task `relay` failed: the broker said no"
        );
    }

    #[tokio::test]
    async fn a_panicking_task_is_a_failure_and_is_named() {
        let (shutdown, mut tasks) = tasks();
        tasks.spawn("consumer", async { panic!("a bug") });
        let error = tasks.join().await.unwrap_err();
        assert_eq!(error.to_string(), "task `consumer` panicked");
        assert!(shutdown.soft.is_cancelled());
    }

    #[tokio::test]
    async fn a_failure_while_ending_is_still_a_failure() {
        let (shutdown, mut tasks) = tasks();
        let token = shutdown.soft.clone();
        tasks.spawn("relay", async move {
            token.cancelled().await;
            Err(anyhow!("the last pass failed"))
        });
        shutdown.trigger();
        assert!(tasks.join().await.is_err());
    }

    #[tokio::test]
    async fn what_is_left_after_the_grace_is_aborted_and_named() {
        let (shutdown, mut tasks) = tasks();
        tasks.spawn("stuck", std::future::pending());
        tasks.spawn("good", until_soft(shutdown.clone()));
        shutdown.trigger_hard();
        let error = tasks.join().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "task `stuck` did not end within the grace period and was aborted"
        );
    }
}
