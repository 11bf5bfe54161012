//! Compares how long each producer can publish an event again with how long this consumer remembers it.
//!
//! The relay puts its OUTBOX_RETENTION into each message. A consumer that forgets an event earlier may handle it twice:
//! there is a warning per such producer, and a gauge.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use event::Message;

/// During a rollout, replicas may alternate between two values; the log does not.
const QUIET: Duration = Duration::from_secs(60);
/// A limit, because a message may name any producer.
const MOST: usize = 100;

pub(crate) struct Producers {
    inbox: Duration,
    /// RETRY_LONGEST_AGE: how long an event may be deferred.
    longest_age: Duration,
    seen: Mutex<BTreeMap<String, Seen>>,
}

#[derive(Clone, Copy)]
struct Seen {
    retention_s: u64,
    at: Instant,
}

impl Producers {
    pub(crate) fn new(inbox: Duration, longest_age: Duration) -> Self {
        Self {
            inbox,
            longest_age,
            seen: Mutex::default(),
        }
    }

    /// A producer without the header (foreign, or an older release) is not compared.
    pub(super) fn note(&self, message: &Message) {
        let (Some(producer), Some(retention_s)) = (&message.app_id, message.outbox_retention_s())
        else {
            return;
        };
        if self.is_new(producer, retention_s, Instant::now()) {
            self.log(producer, retention_s);
        }
    }

    pub(crate) fn too_long(&self) -> u64 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let too_long = seen.values().filter(|seen| self.forgets(seen.retention_s));
        u64::try_from(too_long.count()).unwrap_or(u64::MAX)
    }

    fn forgets(&self, retention_s: u64) -> bool {
        self.inbox <= Duration::from_secs(retention_s).saturating_add(self.longest_age)
    }

    fn is_new(&self, producer: &str, retention_s: u64, now: Instant) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = Seen {
            retention_s,
            at: now,
        };
        let is_full = seen.len() >= MOST;
        match seen.get_mut(producer) {
            Some(before) if before.retention_s == retention_s => return false,
            Some(before) if now.duration_since(before.at) < QUIET => return false,
            Some(before) => *before = noted,
            None if is_full => return false,
            None => {
                seen.insert(producer.to_owned(), noted);
            }
        }
        true
    }

    fn log(&self, producer: &str, retention_s: u64) {
        let outbox_retention = Duration::from_secs(retention_s);
        if !self.forgets(retention_s) {
            tracing::debug!(
                producer,
                ?outbox_retention,
                "this consumer's retention is sufficient"
            );
            return;
        }
        tracing::warn!(
            producer,
            ?outbox_retention,
            inbox_retention = ?self.inbox,
            retry_longest_age = ?self.longest_age,
            "a producer can publish an event again after this consumer has forgotten it, which would repeat its effect. What to do: \
             make INBOX_RETENTION here longer than OUTBOX_RETENTION there and RETRY_LONGEST_AGE together"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: u64 = 24 * 3600;

    fn producers() -> Producers {
        let day = Duration::from_secs(DAY_S);
        Producers::new(14 * day, day)
    }

    #[test]
    fn producers_that_remember_longer_are_counted() {
        let producers = producers();
        let now = Instant::now();
        assert!(producers.is_new("short", 12 * DAY_S, now));
        assert_eq!(producers.too_long(), 0);
        assert!(producers.is_new("long", 13 * DAY_S, now));
        assert_eq!(producers.too_long(), 1);
    }

    #[test]
    fn a_changed_value_is_reported_once() {
        let producers = producers();
        let begun = Instant::now();
        assert!(producers.is_new("orders", 7 * DAY_S, begun));
        assert!(!producers.is_new("orders", 7 * DAY_S, begun + QUIET));
        assert!(!producers.is_new("orders", 30 * DAY_S, begun + QUIET / 2));
        assert!(producers.is_new("orders", 30 * DAY_S, begun + QUIET));
        assert_eq!(producers.too_long(), 1);
        assert!(!producers.is_new("orders", 7 * DAY_S, begun + QUIET));
        assert!(producers.is_new("orders", 7 * DAY_S, begun + 2 * QUIET));
        assert_eq!(producers.too_long(), 0);
    }

    #[test]
    fn any_number_of_names_costs_a_bounded_memory() {
        let producers = producers();
        for name in 0..2 * MOST {
            producers.is_new(&name.to_string(), 1, Instant::now());
        }
        assert_eq!(producers.seen.lock().unwrap().len(), MOST);
    }
}
