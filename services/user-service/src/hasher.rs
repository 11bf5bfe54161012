//! Hashes and verifies passwords, within limits.
//!
//! A hash intentionally takes 19 MiB and some 20 ms of a core, outside the async runtime. The number of concurrent
//! hashes fits the cores and the memory limit; each reuses a block of memory. Each [`Priority`] has its own queue, and
//! a full queue refuses immediately: a burst of registrations costs neither memory nor other users' logins.

use crate::password::{Attempt, Password, PasswordHash};

mod algorithm;
mod limits;
mod memory_limit;
mod turns;
mod verdict;

pub use limits::{Limits, Priority};
use turns::{Slot, Turns};
use verdict::failed;
pub use verdict::{HashError, Verdict};

/// Clones share the limits.
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

    /// With a new salt. Dropping the future before its turn leaves the queue.
    ///
    /// # Errors
    /// [`HashError::Busy`] immediately if the queue is full.
    pub async fn hash(
        &self,
        password: Password,
        priority: Priority,
    ) -> Result<PasswordHash, HashError> {
        let turn = self.turn(priority).await?;
        turn.work(move |slot| algorithm::hash(password.expose(), slot.memory()))
            .await
    }

    /// Dropping the future leaves the queue, at no cost.
    ///
    /// # Errors
    /// [`HashError::Busy`] immediately if the queue is full.
    pub async fn turn(&self, priority: Priority) -> Result<Turn, HashError> {
        let slot = self.turns.take(priority).await?;
        Ok(Turn { slot })
    }

    /// Allocated so far.
    pub fn blocks(&self) -> usize {
        self.turns.blocks()
    }
}

/// A core and a block of memory for one hash.
pub struct Turn {
    slot: Slot,
}

impl Turn {
    /// Whether `attempt` is the password of `hash`. Without a hash it takes as long and is wrong.
    ///
    /// # Errors
    /// If the hash cannot be read.
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
            // This thread returns it: a caller that leaves does not free the core.
            let mut held = self.slot;
            work(&mut held)
        });
        hashing.await.map_err(failed)?
    }
}

#[cfg(test)]
mod tests;
