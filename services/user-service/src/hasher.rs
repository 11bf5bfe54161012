//! Hashing passwords, and verifying them, within bounds.
//!
//! Hashing takes 19 MiB and some 20 ms of a core on purpose. It runs beside the async runtime, on as many threads as there are
//! cores, and whoever would wait too long is refused at once: a burst of registrations costs neither the memory nor the
//! deadline of everybody else.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::password::{Attempt, Password, PasswordHash};

// OWASP's choice for Argon2id: the least memory that it recommends with two passes.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Verified where there is no user, so that a login takes as long: our costs, and a hash that is nobody's.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$YW5nYXJpdW0tbm9ib2R5cw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

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

/// How much hashing there is at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub at_a_time: usize,
    /// How many may wait for their turn besides.
    pub waiting: usize,
}

impl Limits {
    /// One for each core, and a queue that takes about two seconds on whatever machine.
    pub fn of_this_machine() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self {
            at_a_time: cores,
            waiting: 64 * cores,
        }
    }
}

/// Hashes passwords within its limits. Clones share them.
#[derive(Clone)]
pub struct Hasher {
    /// Held from the first word to the last; none left means that the queue is full.
    places: Arc<Semaphore>,
    /// Held while a core is busy. It is fair: first come, first served.
    turns: Arc<Semaphore>,
}

impl Hasher {
    pub fn new(limits: Limits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.at_a_time + limits.waiting)),
            turns: Arc::new(Semaphore::new(limits.at_a_time)),
        }
    }

    /// Hashes `password` with a new salt. Dropping the future before its turn gives up its place in the queue.
    ///
    /// # Errors
    /// [`HashError::Busy`] at once where the queue is full.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, HashError> {
        let turn = self.turn().await?;
        turn.work(move || hash(password.expose())).await
    }

    /// Waits until it is one's turn. Dropping the future gives up the place in the queue, and has cost nothing.
    ///
    /// # Errors
    /// [`HashError::Busy`] at once where the queue is full.
    pub async fn turn(&self) -> Result<Turn, HashError> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| HashError::Busy)?;
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(failed)?;
        Ok(Turn {
            _place: place,
            _turn: turn,
        })
    }
}

/// The right to a core for one hash.
pub struct Turn {
    _place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
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
        self.work(move || verify(&attempt, hash.as_ref())).await
    }

    async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let hashing = tokio::task::spawn_blocking(move || {
            // Given back by this thread: a caller that goes away does not free the core that still works for it.
            let _held = self;
            work()
        });
        hashing.await.map_err(failed)?
    }
}

fn hash(password: &str) -> Result<PasswordHash, HashError> {
    let hash = argon2()?
        .hash_password(password.as_bytes())
        .map_err(failed)?;
    Ok(PasswordHash::stored(hash.to_string()))
}

fn verify(attempt: &Attempt, hash: Option<&PasswordHash>) -> Result<Verdict, HashError> {
    let known = hash.map_or(NOBODYS, PasswordHash::expose);
    let parsed = phc::PasswordHash::new(known).map_err(failed)?;
    let given = attempt.expose().as_bytes();
    match argon2()?.verify_password(given, &parsed) {
        Ok(()) if hash.is_some() => {}
        Ok(()) | Err(argon2::password_hash::Error::PasswordInvalid) => return Ok(Verdict::Wrong),
        Err(error) => return Err(failed(error)),
    }
    let is_of_today = known.starts_with(&format!(
        "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$"
    ));
    let rehashed = if is_of_today {
        None
    } else {
        Some(self::hash(attempt.expose())?)
    };
    Ok(Verdict::Right { rehashed })
}

fn argon2() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> HashError {
    HashError::Failed(cause.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::InvalidPassword;

    fn parse(text: &str) -> Result<Password, InvalidPassword> {
        Password::parse(text.into())
    }

    fn matches(hash: &PasswordHash, text: &str) -> bool {
        let verified = Argon2::default().verify_password(text.as_bytes(), hash.expose());
        verified.is_ok()
    }

    #[tokio::test]
    async fn a_password_is_the_same_one_on_another_keyboard() {
        let hasher = Hasher::new(Limits::of_this_machine());
        let hash = hasher.hash(parse("cafe\u{301} ｎｏｉｒ").unwrap()).await;
        assert!(matches(&hash.unwrap(), "caf\u{e9} noir"));
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_with_our_costs_and_a_salt_of_its_own() {
        let hasher = Hasher::new(Limits::of_this_machine());
        let one = hasher.hash(parse("correct horse").unwrap()).await.unwrap();
        let other = hasher.hash(parse("correct horse").unwrap()).await.unwrap();
        for hash in [&one, &other] {
            assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
            assert!(matches(hash, "correct horse"));
            assert!(!matches(hash, "correct horsf"));
        }
        assert_ne!(one.expose(), other.expose());
    }

    async fn verdict(text: &str, hash: Option<PasswordHash>) -> Verdict {
        let hasher = Hasher::new(Limits::of_this_machine());
        let attempt = Attempt::new(text.into());
        let turn = hasher.turn().await.unwrap();
        turn.verify(attempt, hash).await.unwrap()
    }

    #[tokio::test]
    async fn the_right_password_is_right_in_any_form_and_every_other_is_wrong() {
        let hasher = Hasher::new(Limits::of_this_machine());
        let hash = hasher
            .hash(parse("cafe\u{301} noir").unwrap())
            .await
            .unwrap();
        let known = || Some(PasswordHash::stored(hash.expose().to_owned()));
        let right = verdict("caf\u{e9} noir", known()).await;
        assert!(matches!(right, Verdict::Right { rehashed: None }));
        for wrong in ["cafe noir", "", "caf\u{e9} noir "] {
            assert!(matches!(verdict(wrong, known()).await, Verdict::Wrong));
        }
        assert!(matches!(
            verdict("caf\u{e9} noir", None).await,
            Verdict::Wrong
        ));
    }

    #[tokio::test]
    async fn a_hash_of_other_costs_is_made_anew_at_the_next_login() {
        let weak = Params::new(8_192, 1, 1, None).unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, weak);
        let hash = weak.hash_password(b"correct horse").unwrap().to_string();
        let Verdict::Right { rehashed } =
            verdict("correct horse", Some(PasswordHash::stored(hash))).await
        else {
            panic!("it is the right one");
        };
        let rehashed = rehashed.unwrap();
        assert!(
            rehashed
                .expose()
                .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
        );
        assert!(matches(&rehashed, "correct horse"));
    }

    #[tokio::test]
    async fn a_hash_that_cannot_be_read_is_a_fault_and_no_wrong_password() {
        let hasher = Hasher::new(Limits::of_this_machine());
        let broken = PasswordHash::stored("$argon2id$v=19$".to_owned());
        let turn = hasher.turn().await.unwrap();
        let failed = turn.verify(Attempt::new("x".into()), Some(broken)).await;
        assert!(matches!(failed, Err(HashError::Failed(_))));
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_refused_at_once_and_the_others_are_served() {
        let hasher = Hasher::new(Limits {
            at_a_time: 1,
            waiting: 1,
        });
        let hash = || hasher.hash(parse("correct horse").unwrap());
        // Polled in this order, so the third finds one at work and one waiting.
        let (first, second, third) = tokio::join!(hash(), hash(), hash());
        assert!(first.is_ok() && second.is_ok());
        assert!(matches!(third, Err(HashError::Busy)));
        assert!(hash().await.is_ok(), "the queue is empty again");
    }

    #[tokio::test]
    async fn who_goes_away_leaves_the_queue() {
        let hasher = Hasher::new(Limits {
            at_a_time: 1,
            waiting: 1,
        });
        let hash = || hasher.hash(parse("correct horse").unwrap());
        let gone = async {
            let mut waiting = Box::pin(hash());
            assert!(futures::poll!(&mut waiting).is_pending());
        };
        let (first, (), third) = tokio::join!(hash(), gone, hash());
        assert!(first.is_ok() && third.is_ok());
    }

    #[tokio::test]
    async fn who_goes_away_while_it_is_hashed_keeps_the_core_until_it_is_free() {
        let hasher = Hasher::new(Limits {
            at_a_time: 1,
            waiting: 0,
        });
        let hash = || hasher.hash(parse("correct horse").unwrap());
        let mut begun = Box::pin(hash());
        assert!(futures::poll!(&mut begun).is_pending());
        drop(begun);
        assert!(matches!(hash().await, Err(HashError::Busy)));
        while let Err(HashError::Busy) = hash().await {
            tokio::task::yield_now().await;
        }
    }
}
