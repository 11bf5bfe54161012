//! How often somebody may try: logins by account and by client address, registrations and mails. Pure, but for [`Throttle`].
//!
//! The counters are rows, so a restart forgets none and replicas share them. Accounts and addresses stand there as digests under
//! the deployment's key, and an account that does not exist has a counter like any other: nothing here tells them apart.

use std::sync::Arc;
use std::time::Duration;

use messaging::{Store, Transaction};
use runtime::Clock;
use runtime::sealed::{DigestKey, MasterKey};
use sea_orm::DbErr;

use crate::store::{attempts, buckets};

mod logins;

pub use logins::{Attempts, Login};

/// Some at once, then one each interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Keeps the counters of different limits apart.
    pub name: &'static str,
    pub at_once: i64,
    pub then_each_ms: i64,
}

/// Logins that fail, by client address.
pub const LOGINS: Limit = Limit {
    name: "login",
    at_once: 10,
    then_each_ms: 6_000,
};
/// Registrations, by client address.
pub const REGISTRATIONS: Limit = Limit {
    name: "registration",
    at_once: 100,
    then_each_ms: 36_000,
};
/// Codes that are tried and resets that are asked for, by client address.
pub const CODES: Limit = Limit {
    name: "code",
    at_once: 20,
    then_each_ms: 30_000,
};
/// Mails by which an address is verified, by the mailbox of that address, whoever has it written to: the one of its registration,
/// and three more.
pub const MAILS: Limit = Limit {
    name: "mail",
    at_once: 4,
    then_each_ms: 3600 * 1_000,
};
/// Addresses that an account moves to, by account.
pub const MOVES: Limit = Limit {
    name: "move",
    at_once: 3,
    then_each_ms: 3600 * 1_000,
};
/// Mails with the code of a reset, by the mailbox of the address that was named, whether or not somebody has it. Apart from [`MAILS`], of which
/// only who is registered has any: what is left here must tell nothing.
pub const RESETS: Limit = Limit {
    name: "reset",
    at_once: 3,
    then_each_ms: 3600 * 1_000,
};

/// The caller has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts, the next one may be made in {0:?}")]
pub struct Wait(pub Duration);

/// Why an attempt may not be made.
#[derive(Debug, thiserror::Error)]
pub enum ThrottleError {
    #[error(transparent)]
    Wait(#[from] Wait),
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// A token bucket, as the time at which it is full again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    pub full_at_ms: i64,
}

impl Bucket {
    /// Takes one.
    pub fn take(&mut self, limit: Limit, now_ms: i64) -> Result<(), Wait> {
        let empty_ms = limit.at_once * limit.then_each_ms;
        // No limit makes a bucket emptier than empty, so the clock was ahead. Allow one now, and then one per interval.
        let was_full_at_ms = match self.full_at_ms <= now_ms + empty_ms + STEP_MS {
            true => self.full_at_ms.max(now_ms),
            false => now_ms + empty_ms - limit.then_each_ms,
        };
        let full_at_ms = was_full_at_ms + limit.then_each_ms;
        let wait_ms = full_at_ms - now_ms - empty_ms;
        if wait_ms > 0 {
            return Err(wait(wait_ms));
        }
        self.full_at_ms = full_at_ms;
        Ok(())
    }

    /// Gives one back.
    pub fn give(&mut self, limit: Limit) {
        self.full_at_ms -= limit.then_each_ms;
    }
}

/// The counters of a deployment.
#[derive(Clone)]
pub struct Throttle {
    store: Store,
    clock: Arc<dyn Clock>,
    digests: DigestKey,
}

impl Throttle {
    pub fn new(store: Store, secret_key: &MasterKey, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            digests: secret_key.digest_key("throttling"),
        }
    }

    /// What stands for an account or an address in tables and logs.
    pub fn digest(&self, subject: &str) -> String {
        self.digests.digest(subject)
    }

    /// Takes one from the bucket of `subject`.
    ///
    /// # Errors
    /// [`Wait`] where it is empty.
    pub async fn take(&self, limit: Limit, subject: &str) -> Result<(), ThrottleError> {
        let transaction = self.store.begin().await?;
        self.take_in(&transaction, limit, subject).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// As [`take`](Self::take), in the transaction of what is counted. Others who take from the same bucket wait from here on, so
    /// it comes last.
    ///
    /// # Errors
    /// [`Wait`] where it is empty.
    pub async fn take_in(
        &self,
        transaction: &Transaction,
        limit: Limit,
        subject: &str,
    ) -> Result<(), ThrottleError> {
        let subject = self.bucket(limit, subject);
        let mut bucket = buckets::lock(transaction, &subject).await?;
        bucket.take(limit, self.clock.now_ms())?;
        buckets::write(transaction, &subject, bucket).await?;
        Ok(())
    }

    /// Whether there is one to take. For what is expensive and comes before it.
    ///
    /// # Errors
    /// [`Wait`] where it is empty.
    pub async fn check(&self, limit: Limit, subject: &str) -> Result<(), ThrottleError> {
        let subject = self.bucket(limit, subject);
        let mut bucket = buckets::read(self.store.connection(), &subject).await?;
        Ok(bucket.take(limit, self.clock.now_ms())?)
    }

    /// Forgets what can decide nothing any more. Returns how many rows that were.
    pub async fn clean_up(&self) -> Result<u64, DbErr> {
        let transaction = self.store.begin().await?;
        let now_ms = self.clock.now_ms();
        let emptiest_ms = now_ms + FULL_AFTER.at_once * FULL_AFTER.then_each_ms;
        buckets::bring_back(&transaction, emptiest_ms).await?;
        attempts::bring_back(&transaction, now_ms).await?;
        let buckets = buckets::delete_full(&transaction, now_ms).await?;
        let attempts = attempts::delete_older(&transaction, now_ms - KNOWN_FOR_MS).await?;
        transaction.commit().await?;
        Ok(buckets + attempts)
    }

    fn bucket(&self, limit: Limit, subject: &str) -> String {
        self.digest(&format!("{} {subject}", limit.name))
    }
}

/// A clock that is set back by at most this much does not shorten any wait. Beyond it, earlier times are ignored, so that no wait
/// is longer than its limit.
const STEP_MS: i64 = 60 * 1_000;
/// The limit that makes a bucket emptiest.
const FULL_AFTER: Limit = MAILS;
/// How long the address of a login is known.
const KNOWN_FOR_MS: i64 = 90 * 24 * 3600 * 1_000;

fn wait(ms: i64) -> Wait {
    Wait(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn a_clock_that_was_ahead_makes_nobody_wait_for_it() {
        for limit in [LOGINS, REGISTRATIONS, CODES, MAILS, MOVES, RESETS] {
            assert!(
                limit.at_once * limit.then_each_ms <= FULL_AFTER.at_once * FULL_AFTER.then_each_ms
            );
            let mut bucket = Bucket::default();
            bucket.take(limit, NOW + 24 * 3600 * 1_000).unwrap();
            // The clock is right again.
            bucket.take(limit, NOW).unwrap();
            let wait = bucket.take(limit, NOW).unwrap_err();
            assert_eq!(wait, super::wait(limit.then_each_ms), "{limit:?}");
            bucket.take(limit, NOW + limit.then_each_ms).unwrap();
        }
    }

    #[test]
    fn a_small_step_back_forgives_nothing() {
        let mut bucket = Bucket::default();
        for _ in 0..10 {
            bucket.take(LOGINS, NOW).unwrap();
        }
        assert_eq!(bucket.take(LOGINS, NOW - STEP_MS), Err(wait(66_000)));
    }

    #[test]
    fn a_bucket_gives_so_many_at_once_and_then_one_each_interval() {
        let mut bucket = Bucket::default();
        for _ in 0..10 {
            bucket.take(LOGINS, NOW).unwrap();
        }
        assert_eq!(bucket.take(LOGINS, NOW), Err(wait(6_000)));
        assert_eq!(bucket.take(LOGINS, NOW + 5_999), Err(wait(1)));
        bucket.take(LOGINS, NOW + 6_000).unwrap();
        assert!(bucket.take(LOGINS, NOW + 6_000).is_err());
        bucket.give(LOGINS);
        bucket.take(LOGINS, NOW + 6_000).unwrap();
        // It does not save up more than it holds.
        let much_later = NOW + 1_000_000_000;
        for _ in 0..10 {
            bucket.take(LOGINS, much_later).unwrap();
        }
        assert!(bucket.take(LOGINS, much_later).is_err());
    }
}
