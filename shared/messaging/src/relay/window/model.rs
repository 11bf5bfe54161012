//! The window over a model of the table: whatever is confirmed or refused when, and whoever takes over in between, of each aggregate
//! nothing goes before all that came earlier is published, and in the end everything is.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::row;
use super::*;

const AGGREGATES: u8 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    /// The broker did not take it.
    Postponed,
    Published,
}

#[derive(Clone, Debug)]
enum Step {
    Claim,
    Publish,
    IsConfirmed(usize),
    IsRefused(usize),
    TimeComes,
    AnotherTakesOver,
}

struct Relay {
    window: Window,
    size: usize,
    table: BTreeMap<i64, (Pending, State)>,
    in_flight: Vec<i64>,
}

impl Relay {
    fn new(size: usize, aggregates: &[u8]) -> Self {
        let mut versions = HashMap::new();
        let table = (1_i64..).zip(aggregates).map(|(sequence, aggregate)| {
            let version = versions.entry(*aggregate).or_insert(0);
            *version += 1;
            let row = row(sequence, *aggregate, *version);
            (sequence, (row, State::Pending))
        });
        Self {
            window: Window::new(size),
            size,
            table: table.collect(),
            in_flight: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Claim => self.claim(),
            Step::Publish => self.publish(),
            Step::IsConfirmed(which) => {
                if let Some(sequence) = self.answered(*which) {
                    self.window.confirmed(sequence);
                    self.table.get_mut(&sequence).unwrap().1 = State::Published;
                }
            }
            Step::IsRefused(which) => {
                if let Some(sequence) = self.answered(*which) {
                    let refused = self.window.refused(sequence);
                    assert_eq!(refused.map(|row| row.sequence), Some(sequence));
                    self.table.get_mut(&sequence).unwrap().1 = State::Postponed;
                }
            }
            Step::TimeComes => self.time_comes(),
            Step::AnotherTakesOver => self.window.forget_waiting(),
        }
    }

    /// As the statement does it: what is due, but nothing behind what is not.
    fn claim(&mut self) {
        if !self.window.wants_more() {
            return;
        }
        let enough = self.window.has_enough_of();
        let mut held_back: HashSet<Aggregate> = enough.iter().cloned().collect();
        let mut rows = Vec::new();
        for (row, state) in self.table.values() {
            match state {
                State::Postponed => drop(held_back.insert(aggregate(row))),
                State::Pending if !held_back.contains(&aggregate(row)) => rows.push(row.clone()),
                _ => (),
            }
        }
        rows.truncate(self.window.claim_limit());
        self.window.add(rows, enough);
    }

    fn publish(&mut self) {
        for row in self.window.publishable() {
            let is_earlier = |(other, _): &&(Pending, State)| {
                aggregate(other) == aggregate(&row) && other.sequence < row.sequence
            };
            let mut earlier = self.table.values().filter(is_earlier);
            assert!(
                earlier.all(|(_, state)| *state == State::Published),
                "{row:?}"
            );
            assert_eq!(self.table[&row.sequence].1, State::Pending);
            assert!(!self.in_flight.contains(&row.sequence));
            self.in_flight.push(row.sequence);
        }
        assert!(self.in_flight.len() <= self.size);
    }

    fn answered(&mut self, which: usize) -> Option<i64> {
        let which = which.checked_rem(self.in_flight.len())?;
        Some(self.in_flight.swap_remove(which))
    }

    fn time_comes(&mut self) {
        for (_, state) in self.table.values_mut() {
            if *state == State::Postponed {
                *state = State::Pending;
            }
        }
    }

    fn is_done(&self) -> bool {
        self.table
            .values()
            .all(|(_, state)| *state == State::Published)
    }

    /// Everything is confirmed from now on.
    fn comes_to_rest(&mut self) {
        let mut rounds = self.table.len() + 1;
        while !self.is_done() && rounds > 0 {
            rounds -= 1;
            self.time_comes();
            self.claim();
            self.publish();
            while !self.in_flight.is_empty() {
                self.take(&Step::IsConfirmed(0));
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Claim),
        4 => Just(Step::Publish),
        6 => any::<usize>().prop_map(Step::IsConfirmed),
        2 => any::<usize>().prop_map(Step::IsRefused),
        1 => Just(Step::TimeComes),
        1 => Just(Step::AnotherTakesOver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn whatever_is_answered_when_each_aggregate_goes_in_its_order(
        aggregates in proptest::collection::vec(0..AGGREGATES, 1..60),
        steps in proptest::collection::vec(step(), 0..60),
        size in 1_usize..8,
    ) {
        let mut relay = Relay::new(size, &aggregates);
        for step in &steps {
            relay.take(step);
        }
        relay.comes_to_rest();
        prop_assert!(relay.is_done());
    }
}
