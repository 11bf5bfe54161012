//! The rows that the relay has read and not settled, and which of them may be published next. Pure.
//!
//! Guarantee: at most one event per aggregate is in flight, and none before an earlier one in the window. A busy
//! aggregate takes no more than its share of the window, so it does not block others.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::hint::Hint;
use crate::outbox::{Aggregate, Look, Pending, Wanted};

/// Per aggregate. Its events go one after another, so more would only take space.
const SHARE: usize = 20;

pub(super) struct Window {
    size: usize,
    waiting: Vec<Pending>,
    /// The table has more of their events.
    crowded: HashSet<Aggregate>,
    in_flight: HashMap<i64, Pending>,
    hint: Hint,
}

impl Window {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size: size.max(1),
            waiting: Vec::new(),
            crowded: HashSet::new(),
            in_flight: HashMap::new(),
            hint: Hint::new(),
        }
    }

    pub(super) fn wants_more(&self) -> bool {
        self.waiting.len() + self.in_flight.len() <= self.size / 2
    }

    pub(super) fn wanted(&mut self, now: Instant) -> Wanted {
        if self.left_some() {
            self.hint.forget();
        }
        let here = self.waiting.iter().map(|row| row.sequence);
        Wanted {
            limit: self
                .size
                .saturating_sub(self.waiting.len() + self.in_flight.len())
                .max(1),
            after: self.hint.start(now, self.is_empty()),
            except: here.chain(self.in_flight.keys().copied()).collect(),
            but: self.has_enough_of(),
        }
    }

    pub(super) fn looked(&mut self, now: Instant, took: Duration, wanted: &Wanted, seen: &Look) {
        let ready = seen.pending.iter().filter(|row| !row.was_aside);
        let highest = ready.map(|row| row.sequence).max();
        self.hint.looked(now, took, wanted.after, highest);
        if seen.has_gaps {
            self.hint.forget();
        }
    }

    pub(super) fn look_from_the_beginning(&mut self) {
        self.hint.forget();
    }

    pub(super) fn complete_look_at(&self) -> Option<Instant> {
        self.hint.complete_at()
    }

    fn has_enough_of(&self) -> Vec<Aggregate> {
        let counts = self.counts();
        let enough = |aggregate: &&Aggregate| {
            counts
                .get(*aggregate)
                .is_some_and(|count| *count > SHARE / 2)
        };
        self.crowded.iter().filter(enough).cloned().collect()
    }

    pub(super) fn left_some(&self) -> bool {
        self.has_enough_of().len() < self.crowded.len()
    }

    /// The oldest of each aggregate, up to its share. `rows` are in order, without aggregates in `enough`.
    pub(super) fn add(&mut self, rows: Vec<Pending>, enough: Vec<Aggregate>) {
        self.crowded = enough.into_iter().collect();
        let known: HashSet<i64> = self.waiting.iter().map(|row| row.sequence).collect();
        let mut counts = self.counts();
        for row in rows {
            if known.contains(&row.sequence) || self.in_flight.contains_key(&row.sequence) {
                continue;
            }
            let count = counts.entry(aggregate(&row)).or_default();
            if *count >= SHARE {
                self.crowded.insert(aggregate(&row));
                continue;
            }
            *count += 1;
            self.waiting.push(row);
        }
        self.waiting.sort_by_key(|row| row.sequence);
    }

    /// Another relay may have taken over.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.crowded.clear();
        self.hint.forget();
    }

    pub(super) fn forget(&mut self, rows: &[Pending]) {
        for row in rows {
            self.in_flight.remove(&row.sequence);
        }
        self.forget_waiting();
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// From here on they are in flight.
    pub(super) fn publishable(&mut self) -> Vec<Pending> {
        let mut room = self.size.saturating_sub(self.in_flight.len());
        let mut busy: HashSet<Aggregate> = self.in_flight.values().map(aggregate).collect();
        let (chosen, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|row| {
                // Even if it is not published, later events of its aggregate must stay.
                let first = busy.insert(aggregate(row));
                let goes = first && room > 0;
                room -= usize::from(goes);
                goes
            });
        self.waiting = waiting;
        let chosen: Vec<Pending> = chosen;
        self.in_flight
            .extend(chosen.iter().map(|row| (row.sequence, row.clone())));
        chosen
    }

    fn counts(&self) -> HashMap<Aggregate, usize> {
        let mut counts = HashMap::new();
        for row in &self.waiting {
            *counts.entry(aggregate(row)).or_default() += 1;
        }
        counts
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    pub(super) fn target(&self, sequence: i64) -> String {
        self.in_flight
            .get(&sequence)
            .map_or_else(String::new, |row| {
                format!("{} {}", row.exchange, row.routing_key)
            })
    }

    pub(super) fn may_be_unrouted(&self, sequence: i64) -> bool {
        self.in_flight
            .get(&sequence)
            .is_some_and(|row| row.may_be_unrouted)
    }

    pub(super) fn confirmed(&mut self, sequence: i64) -> Option<Pending> {
        self.in_flight.remove(&sequence)
    }

    /// Also forgets the rows behind it: the table decides when they may go.
    pub(super) fn refused(&mut self, sequence: i64) -> Option<Pending> {
        let row = self.in_flight.remove(&sequence)?;
        let refused = aggregate(&row);
        self.hint.forget();
        self.waiting.retain(|waiting| aggregate(waiting) != refused);
        Some(row)
    }
}

pub(super) fn aggregate(row: &Pending) -> Aggregate {
    (
        row.aggregate_type.clone(),
        row.envelope.aggregate_id.clone(),
    )
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use event::{Envelope, TraceContext};
    use uuid::Uuid;

    use super::*;

    pub(super) fn row(sequence: i64, aggregate: u8, version: i64) -> Pending {
        Pending {
            was_aside: false,
            sequence,
            aggregate_type: "order".to_owned(),
            attempts: 0,
            exchange: "order_events".to_owned(),
            routing_key: "order.placed".to_owned(),
            may_be_unrouted: false,
            envelope: Envelope {
                id: Uuid::nil(),
                event_type: String::new(),
                source: String::new(),
                time_ms: 0,
                aggregate_id: aggregate.to_string(),
                aggregate_version: Some(version),
                correlation_id: String::new(),
                trace: TraceContext::default(),
            },
            payload: Bytes::new(),
            had_waited: Duration::ZERO,
            read_at: Instant::now(),
            unroutable_since_ms: None,
        }
    }

    fn sequences(rows: &[Pending]) -> Vec<i64> {
        rows.iter().map(|row| row.sequence).collect()
    }

    #[test]
    fn an_aggregates_next_event_waits_for_the_previous_confirm() {
        let mut window = Window::new(10);
        window.add(vec![row(1, 1, 1), row(2, 1, 2), row(3, 2, 1)], vec![]);
        assert_eq!(sequences(&window.publishable()), [1, 3]);
        assert_eq!(sequences(&window.publishable()), [0_i64; 0]);
        window.confirmed(1);
        assert_eq!(sequences(&window.publishable()), [2]);
    }

    #[test]
    fn what_waits_behind_a_refused_event_does_not_overtake_it() {
        let mut window = Window::new(10);
        window.add(vec![row(1, 1, 1), row(2, 1, 2)], vec![]);
        window.publishable();
        assert_eq!(window.refused(1).map(|row| row.sequence), Some(1));
        assert_eq!(sequences(&window.publishable()), [0_i64; 0]);
    }

    #[test]
    fn a_row_that_is_read_again_is_not_published_again() {
        let mut window = Window::new(10);
        window.add(vec![row(1, 1, 1), row(2, 1, 2)], vec![]);
        window.publishable();
        window.add(vec![row(1, 1, 1), row(2, 1, 2), row(3, 2, 1)], vec![]);
        assert_eq!(sequences(&window.publishable()), [3]);
    }

    #[test]
    fn an_aggregate_with_many_events_takes_no_more_than_its_share() {
        let many = (1..=100).map(|version| row(version, 1, version));
        let mut window = Window::new(100);
        window.add(many.collect(), vec![]);
        assert_eq!(
            window.has_enough_of(),
            [("order".to_owned(), "1".to_owned())]
        );
        let enough = window.has_enough_of();
        window.add(vec![row(101, 2, 1)], enough);
        assert_eq!(sequences(&window.publishable()), [1, 101]);
        assert!(!window.left_some(), "there is enough of it for a while");
        for sequence in 1..=10 {
            window.confirmed(sequence);
            window.publishable();
        }
        assert!(window.left_some());
    }
}
