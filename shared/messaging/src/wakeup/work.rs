//! The loop of every worker on due rows: ask, take, run, pause.
//!
//! Guarantee: while the database is unavailable, the pauses grow. After the stop it takes nothing more, and returns
//! when its tasks have ended. A task that panics ends no other.

use std::pin::pin;
use std::time::Duration;

use sea_orm::DbErr;
use store::end_soon;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::Wakeup;
use crate::reconnect::Reconnect;
use crate::waits::Waits;

/// For what remains to be recorded at a stop.
const AT_THE_END: Duration = Duration::from_secs(1);
/// While another worker has the due work.
const PAUSE: Duration = Duration::from_millis(100);

/// A worker that takes due rows and handles them in tasks side by side.
#[expect(
    async_fn_in_trait,
    reason = "whether a worker can be spawned is known where it is run"
)]
pub trait Work {
    /// The result of a task.
    type Done: Send + 'static;
    /// Why rows cannot be taken.
    type Error;

    /// Leases due rows, as far as there is room, and starts a task for each. Returns the time until more are due, if
    /// known.
    async fn take_up(
        &mut self,
        wakeup: &Wakeup,
        tasks: &mut JoinSet<Self::Done>,
    ) -> Result<Option<Duration>, Self::Error>;

    /// Returns whether there may be rows to take now.
    fn ended(&mut self, ended: Result<Self::Done, JoinError>) -> bool;

    /// Rows are taken again after a pause.
    fn failed(&mut self, error: Self::Error);

    /// After the stop, when all tasks have ended. It is dropped if the database does not answer.
    async fn stopped(&mut self) {}
}

impl Wakeup {
    /// Runs `work` until `stop`, then until its tasks have ended.
    pub async fn run(self, work: impl Work, stop: &CancellationToken) {
        self.run_with(Reconnect::default(), work, stop).await;
    }

    /// As [`run`](Self::run), but health reports its waits for the database.
    pub(crate) async fn run_reported(
        self,
        waits: &Waits,
        work: impl Work,
        stop: &CancellationToken,
    ) {
        self.run_with(Reconnect::to(waits), work, stop).await;
    }

    /// Repeats `step` while work is due and it returns `true`, until `stop`. If it finds nothing although work is due,
    /// other workers have it, and a retry follows shortly. Errors go to `failed`; a retry follows after a pause.
    pub async fn work<S, E>(
        self,
        stop: &CancellationToken,
        step: impl Fn() -> S,
        failed: impl Fn(E),
    ) where
        S: Future<Output = Result<bool, E>>,
        E: From<DbErr>,
    {
        let steps = Steps { stop, step, failed };
        self.run(steps, stop).await;
    }

    async fn run_with<W: Work>(
        mut self,
        mut reconnect: Reconnect,
        mut work: W,
        stop: &CancellationToken,
    ) {
        let mut tasks = JoinSet::new();
        while !stop.is_cancelled() {
            let taking = work.take_up(&self, &mut tasks);
            match end_soon(stop, taking).await {
                None => break,
                Some(Ok(known)) => {
                    reconnect.reset();
                    let rest = self.rest(known, &mut work, &mut tasks);
                    let _ = stop.run_until_cancelled(rest).await;
                }
                Some(Err(error)) => {
                    work.failed(error);
                    reconnect.pause(stop).await;
                }
            }
        }
        while let Some(ended) = tasks.join_next().await {
            work.ended(ended);
        }
        let _ = tokio::time::timeout(AT_THE_END, work.stopped()).await;
    }

    async fn rest<W: Work>(
        &mut self,
        known: Option<Duration>,
        work: &mut W,
        tasks: &mut JoinSet<W::Done>,
    ) {
        // It remembers what the poll has found.
        let mut sleep = pin!(self.sleep(known));
        loop {
            tokio::select! {
                Some(ended) = tasks.join_next() => {
                    let mut is_more = work.ended(ended);
                    while let Some(ended) = tasks.try_join_next() {
                        is_more |= work.ended(ended);
                    }
                    if is_more {
                        return;
                    }
                }
                _ = &mut sleep => return,
            }
        }
    }
}

struct Steps<'a, S, F> {
    stop: &'a CancellationToken,
    step: S,
    failed: F,
}

impl<S, T, F, E> Work for Steps<'_, S, F>
where
    S: Fn() -> T,
    T: Future<Output = Result<bool, E>>,
    F: Fn(E),
    E: From<DbErr>,
{
    type Done = ();
    type Error = E;

    async fn take_up(
        &mut self,
        wakeup: &Wakeup,
        _: &mut JoinSet<()>,
    ) -> Result<Option<Duration>, E> {
        loop {
            let known = wakeup.ask().await?;
            if known != Some(Duration::ZERO) {
                return Ok(known);
            }
            if self.stop.is_cancelled() || !(self.step)().await? {
                return Ok(Some(PAUSE));
            }
            while !self.stop.is_cancelled() && (self.step)().await? {}
        }
    }

    fn ended(&mut self, _: Result<(), JoinError>) -> bool {
        false
    }

    fn failed(&mut self, error: E) {
        (self.failed)(error);
    }
}
