//! A token bucket per limit and subject. Pure.

use std::time::Duration;

/// A burst, then one per interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Separates the counters of different limits.
    pub name: &'static str,
    pub at_once: i64,
    pub then_each_ms: i64,
}

/// Failed logins, by client address.
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
/// Code attempts and reset requests, by client address.
pub const CODES: Limit = Limit {
    name: "code",
    at_once: 20,
    then_each_ms: 30_000,
};
/// By mailbox, for all callers together: the mail of the registration and three more.
pub const MAILS: Limit = Limit {
    name: "mail",
    at_once: 4,
    then_each_ms: 3600 * 1_000,
};
/// Changes of the address, by account.
pub const MOVES: Limit = Limit {
    name: "move",
    at_once: 3,
    then_each_ms: 3600 * 1_000,
};
/// By the mailbox of the given address, whether or not it has an account. Separate from [`MAILS`], which only
/// registered addresses use: the rest of that bucket would reveal them.
pub const RESETS: Limit = Limit {
    name: "reset",
    at_once: 3,
    then_each_ms: 3600 * 1_000,
};

/// By account: each change causes a mail.
pub const PASSWORDS: Limit = Limit {
    name: "password",
    at_once: 8,
    then_each_ms: 1800 * 1_000,
};
/// Mails about logins from new places.
pub const PLACES: Limit = Limit {
    name: "place",
    at_once: 4,
    then_each_ms: 3600 * 1_000,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts; retry in {0:?}")]
pub struct Wait(pub Duration);

/// Stored as the time at which it is full again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    pub full_at_ms: i64,
}

impl Bucket {
    pub fn take(&mut self, limit: Limit, now_ms: i64) -> Result<(), Wait> {
        let empty_ms = limit.at_once * limit.then_each_ms;
        // No limit makes a bucket emptier than empty: the clock was ahead. Allow one now, then one per interval.
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

    pub fn give(&mut self, limit: Limit) {
        self.full_at_ms -= limit.then_each_ms;
    }
}

/// A clock that is set back by at most this much shortens no wait. Beyond it, earlier times are ignored, so that no
/// wait is longer than its limit.
pub(super) const STEP_MS: i64 = 60 * 1_000;
pub(super) const FULL_AFTER: Limit = MAILS;
pub(super) fn wait(ms: i64) -> Wait {
    Wait(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn a_clock_that_was_ahead_makes_no_call_wait() {
        for limit in [
            LOGINS,
            REGISTRATIONS,
            CODES,
            MAILS,
            MOVES,
            RESETS,
            PASSWORDS,
            PLACES,
        ] {
            assert!(
                limit.at_once * limit.then_each_ms <= FULL_AFTER.at_once * FULL_AFTER.then_each_ms
            );
            let mut bucket = Bucket::default();
            bucket.take(limit, NOW + 24 * 3600 * 1_000).unwrap();
            // The clock is correct again.
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
        let much_later = NOW + 1_000_000_000;
        for _ in 0..10 {
            bucket.take(LOGINS, much_later).unwrap();
        }
        assert!(bucket.take(LOGINS, much_later).is_err());
    }
}
