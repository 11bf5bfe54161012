//! Logins, by account and by client address: who is wrong waits, and longer each time.
//!
//! An attempt counts from its beginning, so that many at once are not one; it is taken back where nobody came to judge it, and
//! forgiven where it was right. What is left are those that were wrong.

use messaging::Transaction;
use sea_orm::DbErr;

use super::{LOGINS, STEP_MS, Throttle, ThrottleError, Wait, wait};
use crate::store::{attempts, buckets};

/// From this failure on one waits.
const FREE_FAILURES: i64 = 5;
const FIRST_WAIT_MS: i64 = 1_000;
const LONGEST_WAIT_MS: i64 = 15 * 60 * 1_000;
/// Failures that are older are forgiven.
const MEMORY_MS: i64 = 24 * 3600 * 1_000;
/// Whoever logs in from anywhere shares this counter.
const ANYWHERE: &str = "";

/// The logins of one account that have failed, or are being tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    pub failures: i64,
    pub blocked_until_ms: i64,
    pub last_at_ms: i64,
}

impl Attempts {
    /// Counts one more, as a failure until it succeeds: so many at once are not one.
    pub fn begin(&mut self, now_ms: i64) -> Result<(), Wait> {
        // A longer wait than the failures cause was written while the clock was ahead.
        let longest_ms = wait_after_ms(self.failures) + STEP_MS;
        let left_ms = self.blocked_until_ms - now_ms;
        if 0 < left_ms && left_ms <= longest_ms {
            return Err(wait(left_ms));
        }
        if self.last_at_ms + MEMORY_MS < now_ms {
            self.failures = 0;
        }
        self.failures += 1;
        self.last_at_ms = now_ms;
        if self.failures >= FREE_FAILURES {
            self.blocked_until_ms = now_ms + wait_after_ms(self.failures);
        }
        Ok(())
    }

    /// Takes back one that was not judged; `begun` is what it had made of the counter.
    pub fn take_back(&mut self, begun: Self) {
        self.failures = (self.failures - 1).max(0);
        // A wait that somebody else has begun since stays theirs.
        if self.blocked_until_ms == begun.blocked_until_ms {
            self.blocked_until_ms = 0;
        }
    }
}

/// The wait after this many failures.
fn wait_after_ms(failures: i64) -> i64 {
    if failures < FREE_FAILURES {
        return 0;
    }
    // After ten doublings the wait has its maximum.
    let doublings = (failures - FREE_FAILURES).min(10);
    (FIRST_WAIT_MS << doublings).min(LONGEST_WAIT_MS)
}

/// A login that is being tried.
pub struct Login {
    account: String,
    /// The bucket of the client address; `None` where the login has a code.
    bucket: Option<String>,
    /// The client address, which is known once the login is right.
    address: String,
    counted_at: String,
    begun: Attempts,
}

impl Login {
    /// Whether the account knows the client address from a login before.
    pub fn is_from_known_address(&self) -> bool {
        self.counted_at != ANYWHERE
    }
}

impl Throttle {
    /// Counts a login of `account` (the key of an e-mail address) from `address`.
    ///
    /// A client address from which somebody has logged in to the account before has a counter of its own, so that whoever
    /// tries from elsewhere cannot keep its user out. So has a login that comes with a code of a mail to the account, and no others at
    /// its client address hold it up either: it guesses at this one account only.
    ///
    /// # Errors
    /// [`Wait`] where there were too many.
    pub async fn begin_login(
        &self,
        account: &str,
        address: &str,
        has_code: bool,
    ) -> Result<Login, ThrottleError> {
        let now_ms = self.clock.now_ms();
        let account = self.digest(account);
        let bucket_of = (!has_code).then(|| self.bucket(LOGINS, address));
        let address = self.digest(address);
        let transaction = self.store.begin().await?;
        if let Some(bucket_of) = &bucket_of {
            let mut bucket = buckets::lock(&transaction, bucket_of).await?;
            bucket.take(LOGINS, now_ms)?;
            buckets::write(&transaction, bucket_of, bucket).await?;
        }
        let is_known = has_code || attempts::exists(&transaction, &account, &address).await?;
        let counted_at = if is_known { &address } else { ANYWHERE }.to_owned();
        let mut counter = attempts::lock(&transaction, &account, &counted_at).await?;
        counter.begin(now_ms)?;
        attempts::write(&transaction, &account, &counted_at, counter).await?;
        transaction.commit().await?;
        Ok(Login {
            account,
            bucket: bucket_of,
            address,
            counted_at,
            begun: counter,
        })
    }

    /// The login was right: it was no failure, and its address is known from now on.
    pub async fn succeeded(&self, login: Login) -> Result<(), DbErr> {
        let transaction = self.store.begin().await?;
        give_back(&transaction, &login).await?;
        self.forgive_in(&transaction, &login.account, &login.address)
            .await?;
        transaction.commit().await
    }

    /// A code of a mail has proved that the caller is the user of `account`: failures so far are forgiven, and the client address
    /// is known from now on, so others who go on guessing do not hold up the next login there.
    pub async fn proved(
        &self,
        transaction: &Transaction,
        account: &str,
        address: &str,
    ) -> Result<(), DbErr> {
        let (account, address) = (self.digest(account), self.digest(address));
        self.forgive_in(transaction, &account, &address).await
    }

    async fn forgive_in(
        &self,
        transaction: &Transaction,
        account: &str,
        address: &str,
    ) -> Result<(), DbErr> {
        let forgiven = Attempts {
            last_at_ms: self.clock.now_ms(),
            ..Attempts::default()
        };
        for place in [address, ANYWHERE] {
            attempts::lock(transaction, account, place).await?;
            attempts::write(transaction, account, place, forgiven).await?;
        }
        Ok(())
    }

    /// The login was not judged, so it was no attempt.
    pub async fn take_back(&self, login: Login) -> Result<(), DbErr> {
        let transaction = self.store.begin().await?;
        give_back(&transaction, &login).await?;
        let place = &login.counted_at;
        let mut counter = attempts::lock(&transaction, &login.account, place).await?;
        counter.take_back(login.begun);
        attempts::write(&transaction, &login.account, place, counter).await?;
        transaction.commit().await
    }
}

/// Gives one back to the client address.
async fn give_back(transaction: &Transaction, login: &Login) -> Result<(), DbErr> {
    let Some(bucket_of) = &login.bucket else {
        return Ok(());
    };
    let mut bucket = buckets::lock(transaction, bucket_of).await?;
    bucket.give(LOGINS);
    buckets::write(transaction, bucket_of, bucket).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn from_the_fifth_failure_on_the_wait_doubles_up_to_a_quarter_of_an_hour() {
        let (mut attempts, mut now) = (Attempts::default(), NOW);
        for _ in 0..5 {
            attempts.begin(now).unwrap();
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            let Wait(left) = attempts.begin(now).unwrap_err();
            waits.push(left.as_secs());
            now += i64::try_from(left.as_millis()).unwrap();
            attempts.begin(now).unwrap();
        }
        let expected = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900];
        assert_eq!(waits, expected);
        // A refusal counts as none, and a day later all is forgiven.
        let failures = attempts.failures;
        assert!(attempts.begin(now).is_err());
        assert_eq!(attempts.failures, failures);
        attempts.begin(now + MEMORY_MS + 1).unwrap();
        assert_eq!(attempts.failures, 1);
    }

    #[test]
    fn a_clock_that_was_ahead_blocks_nobody_for_longer_than_failures_do() {
        let ahead = NOW + MEMORY_MS;
        let mut attempts = Attempts::default();
        for _ in 0..5 {
            attempts.begin(ahead).unwrap();
        }
        attempts.begin(NOW).unwrap();
        assert_eq!(attempts.failures, 6, "nothing is forgiven");
        assert_eq!(attempts.begin(NOW), Err(wait(2_000)));
        attempts.begin(NOW + 2_000).unwrap();
    }

    #[test]
    fn what_is_taken_back_leaves_what_others_have_counted() {
        let mut attempts = Attempts::default();
        for _ in 0..4 {
            attempts.begin(NOW).unwrap();
        }
        attempts.begin(NOW).unwrap();
        let begun = attempts;
        assert!(attempts.begin(NOW).is_err());
        attempts.take_back(begun);
        assert_eq!((attempts.failures, attempts.blocked_until_ms), (4, 0));

        attempts.begin(NOW).unwrap();
        let first = attempts;
        attempts.begin(NOW + 1_000).unwrap();
        attempts.take_back(first);
        assert_eq!(attempts.failures, 5);
        assert!(
            attempts.begin(NOW + 1_001).is_err(),
            "the wait of the second"
        );
    }
}
