//! The sequence from which the relay reads new rows. Pure.
//!
//! Moved rows leave dead entries at the start of the index while an old snapshot can see them, so a query starts a
//! little below the highest sequence that was read. A row may commit later than that, so a complete query follows
//! within a second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A query starts below what was read this long ago: most transactions that commit out of order have ended by then.
const TRAIL: Duration = Duration::from_millis(200);
const COMPLETE: Duration = Duration::from_secs(1);
/// Complete queries take at most a twentieth of the time, even if an old snapshot makes them slow.
const SHARE: u32 = 19;
/// A slower one is not repeated each time the window is empty.
const CHEAP: Duration = Duration::from_millis(20);

pub(super) struct Hint {
    marks: VecDeque<(Instant, i64)>,
    complete_at: Option<Instant>,
    was_complete: bool,
    is_cheap: bool,
}

impl Hint {
    pub(super) fn new() -> Self {
        Self {
            marks: VecDeque::new(),
            complete_at: None,
            was_complete: false,
            is_cheap: true,
        }
    }

    /// `is_idle`: nothing waits for the query.
    pub(super) fn start(&mut self, now: Instant, is_idle: bool) -> i64 {
        while self.marks.get(1).is_some_and(|(at, _)| is_old(*at, now)) {
            self.marks.pop_front();
        }
        let is_due = self.complete_at.is_none_or(|at| at <= now);
        if is_due || is_idle && self.is_cheap {
            return 0;
        }
        match self.marks.front() {
            Some((at, highest)) if is_old(*at, now) => *highest,
            _ => 0,
        }
    }

    pub(super) fn looked(
        &mut self,
        now: Instant,
        took: Duration,
        after: i64,
        highest: Option<i64>,
    ) {
        self.was_complete = after == 0;
        if self.was_complete {
            self.is_cheap = took < CHEAP;
            self.complete_at = Some(now + took + COMPLETE.max(took * SHARE));
        }
        let before = self.marks.back().map_or(0, |(_, highest)| *highest);
        if let Some(highest) = highest.filter(|highest| *highest > before) {
            self.marks.push_back((now, highest));
        }
    }

    pub(super) fn forget(&mut self) {
        self.marks.clear();
        self.complete_at = None;
    }

    /// `None` if the last query was complete.
    pub(super) fn complete_at(&self) -> Option<Instant> {
        self.complete_at.filter(|_| !self.was_complete)
    }
}

fn is_old(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) >= TRAIL
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_look_starts_at_what_was_read_a_while_ago() {
        let (mut hint, begun) = (Hint::new(), Instant::now());
        assert_eq!(hint.start(begun, false), 0);
        hint.looked(begun, MS, 0, Some(500));
        assert_eq!(hint.start(begun + 100 * MS, false), 0);
        hint.looked(begun + 100 * MS, MS, 0, Some(600));
        assert_eq!(hint.start(begun + 250 * MS, false), 500);
        hint.looked(begun + 250 * MS, MS, 500, Some(700));
        assert_eq!(hint.start(begun + 310 * MS, false), 600);
        assert_eq!(hint.start(begun + 900 * MS, false), 700);
    }

    #[test]
    fn a_complete_look_follows_within_a_second() {
        let (mut hint, begun) = (Hint::new(), Instant::now());
        hint.looked(begun, MS, 0, Some(500));
        let later = begun + 999 * MS;
        assert_eq!(hint.start(later, false), 500);
        hint.looked(later, MS, 500, None);
        assert_eq!(hint.complete_at(), Some(begun + 1001 * MS));
        assert_eq!(hint.start(begun + 1001 * MS, false), 0);
    }

    #[test]
    fn an_empty_window_is_looked_for_completely_while_that_is_cheap() {
        let (mut hint, begun) = (Hint::new(), Instant::now());
        hint.looked(begun, MS, 0, Some(500));
        assert_eq!(hint.start(begun + 300 * MS, true), 0);
        hint.looked(begun + 300 * MS, 50 * MS, 0, None);
        assert_eq!(hint.start(begun + 600 * MS, true), 500);
    }

    #[test]
    fn complete_looks_take_a_twentieth_of_the_time_at_most() {
        let (mut hint, begun) = (Hint::new(), Instant::now());
        hint.looked(begun, 400 * MS, 0, Some(500));
        assert_eq!(hint.start(begun + 7_999 * MS, false), 500);
        assert_eq!(hint.start(begun + 8_000 * MS, false), 0);
    }

    #[test]
    fn what_is_to_be_read_again_is_looked_for_from_the_beginning() {
        let (mut hint, begun) = (Hint::new(), Instant::now());
        hint.looked(begun, MS, 0, Some(500));
        hint.forget();
        assert_eq!(hint.start(begun + 300 * MS, false), 0);
    }
}
