//! Limits the rate of calls: per user from any address, and per address without a login.
//!
//! Each has its own bucket, up to many thousands; further addresses share one, so that a client with many addresses
//! cannot use up the memory.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tonic::Status;
use uuid::Uuid;

use crate::address::ClientAddress;
use crate::status;

/// A full server still answers health: supervisors restart a process without an answer.
pub(super) const EXEMPT: &str = "grpc.health.v1.Health/";

/// A bucket takes about a hundred bytes.
const MOST_CALLERS: usize = 50_000;
/// Between removals of full buckets.
const TIDY_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Rates {
    limit: Option<Limit>,
}

struct Limit {
    per_second: NonZeroU32,
    buckets: RateLimiter<Key, HashMapStateStore<Key>, MonotonicClock>,
    most: usize,
    tidied: Mutex<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    User(Uuid),
    Address(ClientAddress),
    /// Addresses without their own bucket.
    Others,
}

impl Rates {
    /// A burst has twice as many. `None`: no limit.
    pub(crate) fn new(per_second: Option<NonZeroU32>) -> Self {
        Self {
            limit: per_second.map(|per_second| Limit::new(per_second, MOST_CALLERS)),
        }
    }

    /// Counts a call of `user`, or without a user of `address`.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` above the limit, with the time until the next call is admitted.
    pub(crate) fn count(
        &self,
        method: &str,
        user: Option<Uuid>,
        address: ClientAddress,
    ) -> Result<(), Status> {
        let Some(limit) = &self.limit else {
            return Ok(());
        };
        if method.starts_with(EXEMPT) {
            return Ok(());
        }
        limit.count(user, address)
    }
}

impl Limit {
    fn new(per_second: NonZeroU32, most: usize) -> Self {
        let burst = per_second.saturating_add(per_second.get());
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self {
            per_second,
            buckets: RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock),
            most,
            tidied: Mutex::new(Instant::now()),
        }
    }

    fn count(&self, user: Option<Uuid>, address: ClientAddress) -> Result<(), Status> {
        // Also for users, who always have a bucket: this call removes the full buckets.
        let has_room = self.has_room();
        let key = match (user, address) {
            (Some(user), _) => Key::User(user),
            (None, address) if has_room => Key::Address(address),
            (None, _) => Key::Others,
        };
        self.buckets.check_key(&key).map_err(|until| {
            let wait = until.wait_time_from(MonotonicClock.now());
            let subject = match key {
                Key::User(user) => format!("user:{user}"),
                Key::Address(address) => format!("address:{address}"),
                Key::Others => "address".to_owned(),
            };
            status::rate_limited(&subject, self.per_second.get(), wait)
        })
    }

    fn has_room(&self) -> bool {
        if self.buckets.len() < self.most {
            return true;
        }
        let mut tidied = self.tidied.lock().unwrap_or_else(PoisonError::into_inner);
        if tidied.elapsed() < TIDY_EVERY {
            return false;
        }
        *tidied = Instant::now();
        self.buckets.retain_recent();
        self.buckets.shrink_to_fit();
        self.buckets.len() < self.most
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;

    const GET: &str = "angarium.user.v1.UserService/GetUser";

    fn address(last: u8) -> ClientAddress {
        ClientAddress::new([192, 0, 2, last].into())
    }

    #[test]
    fn a_caller_above_the_limit_learns_when_to_retry() {
        let rates = Rates::new(NonZeroU32::new(1));
        let (ada, bob) = (Some(Uuid::now_v7()), Some(Uuid::now_v7()));
        assert!(rates.count(GET, ada, address(1)).is_ok());
        assert!(rates.count(GET, ada, address(2)).is_ok());
        let refused = rates.count(GET, ada, address(3)).unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let details = refused.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "RATE_LIMITED");
        let wait = details.retry_info().unwrap().retry_delay.unwrap();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1));
        let violation = &details.quota_failure().unwrap().violations[0];
        assert_eq!(violation.subject, format!("user:{}", ada.unwrap()));

        assert!(rates.count(GET, bob, address(1)).is_ok());
        assert!(rates.count(GET, None, address(1)).is_ok());
        let health = "grpc.health.v1.Health/Check";
        assert!(rates.count(health, ada, address(1)).is_ok());
    }

    #[test]
    fn the_number_of_buckets_is_bounded_but_not_for_users() {
        let limit = Limit::new(NonZeroU32::MIN, 10);
        for last in 0..=255 {
            let _ = limit.count(None, address(last));
        }
        assert_eq!(limit.buckets.len(), 11);
        assert!(limit.count(None, address(7)).is_err());
        assert!(limit.count(Some(Uuid::now_v7()), address(7)).is_ok());
    }

    #[test]
    fn idle_users_are_forgotten_without_other_calls() {
        // A bucket is full again after ten nanoseconds.
        let limit = Limit::new(NonZeroU32::new(100_000_000).unwrap(), 10);
        for _ in 0..1_000 {
            limit
                .count(Some(Uuid::now_v7()), ClientAddress::UNKNOWN)
                .unwrap();
        }
        *limit.tidied.lock().unwrap() = Instant::now().checked_sub(TIDY_EVERY).unwrap();
        limit
            .count(Some(Uuid::now_v7()), ClientAddress::UNKNOWN)
            .unwrap();
        assert!(limit.buckets.len() <= 10, "{}", limit.buckets.len());
    }

    #[test]
    fn without_a_limit_no_call_is_refused() {
        let rates = Rates::new(None);
        for _ in 0..10_000 {
            assert!(rates.count(GET, None, address(1)).is_ok());
        }
    }
}
