//! The window over a model of the table: for any confirms, refusals and takeovers, the events of an aggregate are
//! published in order, and all of them at the end.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::row;
use super::*;

const AGGREGATES: u8 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Late,
    Pending,
    Postponed,
    Again,
    Published,
}

#[derive(Clone, Debug)]
enum Step {
    Claim,
    Publish,
    IsConfirmed(usize),
    IsRefused(usize),
    TimeComes,
    Commits(u8),
    AnotherTakesOver,
}

struct Relay {
    window: Window,
    size: usize,
    table: BTreeMap<i64, (Pending, State)>,
    in_flight: Vec<i64>,
    now: Instant,
}

impl Relay {
    fn new(size: usize, aggregates: &[(u8, bool)]) -> Self {
        let (mut versions, mut late) = (HashMap::new(), HashSet::new());
        let table = (1_i64..).zip(aggregates);
        let table = table.map(|(sequence, (aggregate, is_late))| {
            let version = versions.entry(*aggregate).or_insert(0);
            *version += 1;
            let row = row(sequence, *aggregate, *version);
            if *is_late {
                late.insert(*aggregate);
            }
            let state = match late.contains(aggregate) {
                true => State::Late,
                false => State::Pending,
            };
            (sequence, (row, state))
        });
        Self {
            window: Window::new(size),
            size,
            table: table.collect(),
            in_flight: Vec::new(),
            now: Instant::now(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Claim => self.claim(),
            Step::Publish => self.publish(),
            Step::IsConfirmed(which) => {
                if let Some(sequence) = self.answered(*which) {
                    self.window.confirmed(sequence);
                    let state = &mut self.table.get_mut(&sequence).unwrap().1;
                    if *state == State::Again {
                        self.window.look_from_the_beginning();
                    }
                    *state = State::Published;
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
            Step::Commits(number) => {
                let of = number.to_string();
                let is_next = |(row, state): &&mut (Pending, State)| {
                    *state == State::Late && row.envelope.aggregate_id == of
                };
                if let Some((_, state)) = self.table.values_mut().find(is_next) {
                    *state = State::Pending;
                }
            }
            Step::AnotherTakesOver => self.window.forget_waiting(),
        }
    }

    /// Like the statement: due rows, but none behind a waiting one.
    fn claim(&mut self) {
        if !self.window.wants_more() {
            return;
        }
        self.now += Duration::from_millis(150);
        let wanted = self.window.wanted(self.now);
        let mut held_back: HashSet<Aggregate> = wanted.but.iter().cloned().collect();
        let (mut ready, mut again) = (Vec::new(), Vec::new());
        let mut after_gap = HashSet::new();
        let mut has_gaps = false;
        for (sequence, (row, state)) in &self.table {
            if wanted.except.contains(sequence) || held_back.contains(&aggregate(row)) {
                continue;
            }
            match state {
                State::Postponed => drop(held_back.insert(aggregate(row))),
                State::Again => {
                    held_back.insert(aggregate(row));
                    again.push(Pending {
                        was_aside: true,
                        ..row.clone()
                    });
                }
                State::Pending if *sequence <= wanted.after => {
                    after_gap.insert(aggregate(row));
                }
                State::Pending if after_gap.contains(&aggregate(row)) => has_gaps = true,
                State::Pending => ready.push(row.clone()),
                State::Late | State::Published => (),
            }
        }
        ready.truncate(wanted.limit);
        again.truncate(wanted.limit);
        ready.extend(again);
        ready.sort_by_key(|row| row.sequence);
        let seen = Look {
            pending: ready,
            behind: Vec::new(),
            has_gaps,
            timer_in_ms: None,
        };
        self.window
            .looked(self.now, Duration::from_millis(1), &wanted, &seen);
        self.window.add(seen.pending, wanted.but);
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
            let state = self.table[&row.sequence].1;
            assert!(matches!(state, State::Pending | State::Again), "{row:?}");
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
                *state = State::Again;
            }
        }
    }

    fn is_done(&self) -> bool {
        self.table
            .values()
            .all(|(_, state)| *state == State::Published)
    }

    fn comes_to_rest(&mut self) {
        let mut rounds = self.table.len() + 1;
        for (_, state) in self.table.values_mut() {
            if *state == State::Late {
                *state = State::Pending;
            }
        }
        while !self.is_done() && rounds > 0 {
            rounds -= 1;
            self.now += Duration::from_secs(1);
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
        2 => (0..AGGREGATES).prop_map(Step::Commits),
        1 => Just(Step::AnotherTakesOver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn each_aggregate_is_in_order_for_answers_at_any_time(
        aggregates in proptest::collection::vec((0..AGGREGATES, proptest::bool::weighted(0.1)), 1..60),
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
