//! Hashing passwords, and verifying them, within bounds.
//!
//! Hashing takes 19 MiB and some 20 ms of a core on purpose. It runs beside the async runtime. The number of hashes at a time fits
//! the cores and the memory limit; each has a block of memory that is made once and used again. Each [`Priority`] has a queue of
//! its own, and who finds it full is refused at once: a burst of registrations costs neither the memory nor the logins of others.

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

#[cfg(test)]
mod tests;
