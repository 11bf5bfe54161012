//! Hashing passwords, and verifying them, within bounds.
//!
//! Hashing takes 19 MiB and some 20 ms of a core on purpose. It runs beside the async runtime. The number of hashes at a time fits
//! the cores and the memory limit; each has a block of memory that is made once and used again. Each [`Priority`] has a queue of
//! its own, and who finds it full is refused at once: a burst of registrations costs neither the memory nor the logins of others.

use std::num::NonZero;
use std::thread::available_parallelism;

use crate::password::{Attempt, Password, PasswordHash};

mod algorithm;
mod memory_limit;
mod turns;

use algorithm::BLOCK_BYTES;
use turns::{Slot, Turns};

/// What became of an attempt.
#[derive(Debug)]
pub enum Verdict {
    Wrong,
    Right {
        /// The same password as it would be hashed today, where the hash has other costs.
        rehashed: Option<PasswordHash>,
    },
}

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    #[error("too many passwords wait to be hashed")]
    Busy,
    #[error("a password could not be hashed: {0}")]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl HashError {
    /// What was to be done ended without an answer.
    pub fn broken(cause: tokio::task::JoinError) -> Self {
        Self::Failed(cause.into())
    }
}

/// Who is served first. A login has the same priority whether or not its address is registered, so the wait reveals nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// The caller has a token or a code, or logs in from an address that the account knows.
    Known,
    /// Any other login.
    Login,
    Registration,
}

/// How much hashing there is at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub at_a_time: usize,
    /// How many of each priority may wait for their turn besides.
    pub waiting: usize,
}

impl Limits {
    /// One for each core, as long as all of them take at most half of the memory limit; and queues that take about two seconds
    /// each on any machine.
    pub fn of_this_machine() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self::fitting(cores, memory_limit::of_this_process())
    }

    fn fitting(cores: usize, memory_limit: Option<u64>) -> Self {
        let fitting = memory_limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit / 2 / BLOCK_BYTES).unwrap_or(usize::MAX)
        });
        let at_a_time = cores.min(fitting).max(1);
        Self {
            at_a_time,
            waiting: 64 * at_a_time,
        }
    }
}

/// Hashes passwords within its limits. Clones share them.
#[derive(Clone)]
pub struct Hasher {
    turns: Turns,
}

impl Hasher {
    pub fn new(limits: Limits) -> Self {
        Self {
            turns: Turns::new(limits),
        }
    }

    /// Hashes `password` with a new salt. Dropping the future before its turn gives up its place in the queue.
    ///
    /// # Errors
    /// [`HashError::Busy`] at once where the queue is full.
    pub async fn hash(
        &self,
        password: Password,
        priority: Priority,
    ) -> Result<PasswordHash, HashError> {
        let turn = self.turn(priority).await?;
        turn.work(move |slot| algorithm::hash(password.expose(), slot.memory()))
            .await
    }

    /// Waits until it is one's turn. Dropping the future gives up the place in the queue, and has cost nothing.
    ///
    /// # Errors
    /// [`HashError::Busy`] at once where the queue is full.
    pub async fn turn(&self, priority: Priority) -> Result<Turn, HashError> {
        let slot = self.turns.take(priority).await?;
        Ok(Turn { slot })
    }

    /// How many blocks of memory were made until now.
    pub fn blocks(&self) -> usize {
        self.turns.blocks()
    }
}

/// The right to a core and a block of memory for one hash.
pub struct Turn {
    slot: Slot,
}

impl Turn {
    /// Whether `attempt` is the password of `hash`. Where there is none it takes as long, and is wrong.
    ///
    /// # Errors
    /// Where the hash cannot be read.
    pub async fn verify(
        self,
        attempt: Attempt,
        hash: Option<PasswordHash>,
    ) -> Result<Verdict, HashError> {
        self.work(move |slot| algorithm::verify(&attempt, hash.as_ref(), slot.memory()))
            .await
    }

    async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce(&mut Slot) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let hashing = tokio::task::spawn_blocking(move || {
            // Given back by this thread: a caller that goes away does not free the core that still works for it.
            let mut held = self.slot;
            work(&mut held)
        });
        hashing.await.map_err(failed)?
    }
}

fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> HashError {
    HashError::Failed(cause.into())
}

#[cfg(test)]
mod tests;
