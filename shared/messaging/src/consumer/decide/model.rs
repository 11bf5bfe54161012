//! Tests all decisions on one aggregate of a model inbox: for any order and repetition of deliveries, any failures and
//! any decisions of an operator, no effect is doubled, out of order or missing at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const VERSIONS: i64 = 8;
const BASELINE_WAIT: Duration = Duration::from_secs(120);
const UNKNOWN_WAIT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Done,
    Waiting,
    Deferred,
    Dead,
    Skipped,
    Discarded,
    PassedOver,
}

struct Row {
    state: State,
    is_due: bool,
    replayed: bool,
    attempts: u32,
    is_unknown: bool,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Works,
    Retry,
    Reject,
}

#[derive(Clone, Debug)]
enum Step {
    Arrives(i64, End),
    TimeComes(i64, Duration, End),
    IsReplayed(i64),
    IsDiscarded(i64),
    BecomesKnown(i64),
}

#[derive(Default)]
struct Inbox {
    position: Option<i64>,
    rows: BTreeMap<i64, Row>,
    effects: Vec<i64>,
    unknown: Vec<i64>,
}

impl Inbox {
    fn take(&mut self, step: &Step) {
        match *step {
            Step::Arrives(version, end) => self.arrives(version, end),
            Step::TimeComes(version, here_for, end) => self.time_comes(version, here_for, end),
            Step::IsReplayed(version) => self.is_replayed(version),
            Step::IsDiscarded(version) => self.is_discarded(version),
            Step::BecomesKnown(version) => self.becomes_known(version),
        }
    }

    fn arrives(&mut self, version: i64, end: End) {
        if self.rows.contains_key(&version) {
            return;
        }
        match arrived(
            turn(self.position, version),
            self.knows(version, Duration::ZERO),
        ) {
            Arrival::Handle => self.attempt(version, end),
            Arrival::Unknown(left) => {
                assert_eq!(left, UNKNOWN_WAIT);
                self.keep_unknown(version);
            }
            Arrival::Wait => self.keep(version, State::Waiting, false),
            Arrival::WaitForTheBeginning => self.keep(version, State::Waiting, true),
            Arrival::Overtaken => self.keep(version, State::Dead, false),
        }
    }

    fn time_comes(&mut self, version: i64, here_for: Duration, end: End) {
        let (turn, is_lowest) = (turn(self.position, version), self.is_lowest(version));
        let known = self.knows(version, here_for);
        let Some(row) = self.rows.get_mut(&version).filter(|row| row.is_due) else {
            return;
        };
        if row.state == State::Discarded {
            match discarded(turn, is_lowest, here_for, BASELINE_WAIT) {
                Passing::Now => {
                    (row.state, row.is_due) = (State::PassedOver, false);
                    self.advance(version);
                }
                Passing::In(left) => assert_eq!(left + here_for, BASELINE_WAIT),
                Passing::AfterAnEarlierOne => row.is_due = false,
            }
            return;
        }
        match released(turn, is_lowest, row.replayed, false, known) {
            Release::Handle | Release::Begin => self.attempt(version, end),
            Release::Unknown(_) => self.keep_unknown(version),
            Release::Skip => self.skip(version),
            Release::Wait => self.keep(version, State::Waiting, false),
            Release::Overtaken => panic!("{version} was overtaken while it was held"),
        }
    }

    fn attempt(&mut self, version: i64, end: End) {
        let row = self.rows.get(&version);
        let replayed = row.is_some_and(|row| row.replayed);
        let attempt = row.map_or(0, |row| row.attempts) + 1;
        let error = match end {
            End::Works => {
                let is_late = self.position.is_some_and(|position| version <= position);
                assert!(!is_late || replayed, "{version} after {:?}", self.position);
                self.effects.push(version);
                self.keep(version, State::Done, false);
                return self.advance(version);
            }
            End::Retry => HandlerError::retry("down"),
            End::Reject => HandlerError::reject("bad"),
        };
        let policy = RetryPolicy {
            attempts: 3,
            ..RetryPolicy::default()
        };
        match after_failure(&error, attempt, Duration::ZERO, &policy, 0.5) {
            AfterFailure::Defer(_) => self.keep(version, State::Deferred, true),
            AfterFailure::GiveUp(_) => self.keep(version, State::Dead, false),
        }
        self.rows.get_mut(&version).unwrap().attempts = attempt;
    }

    fn skip(&mut self, version: i64) {
        self.keep(version, State::Skipped, false);
        self.advance(version);
    }

    fn keep(&mut self, version: i64, state: State, is_due: bool) {
        let row = self.rows.entry(version).or_insert(Row {
            state,
            is_due,
            replayed: false,
            attempts: 0,
            is_unknown: false,
        });
        (row.state, row.is_due, row.is_unknown) = (state, is_due, false);
    }

    fn keep_unknown(&mut self, version: i64) {
        self.keep(version, State::Waiting, true);
        self.rows.get_mut(&version).unwrap().is_unknown = true;
    }

    fn becomes_known(&mut self, version: i64) {
        self.unknown.retain(|unknown| *unknown != version);
        if let Some(row) = self.rows.get_mut(&version).filter(|row| row.is_unknown) {
            (row.is_due, row.is_unknown) = (true, false);
        }
    }

    fn advance(&mut self, version: i64) {
        let leaves_a_gap = |position| version > position + 1;
        assert!(
            !self.position.is_some_and(leaves_a_gap),
            "{version} after {:?}",
            self.position
        );
        self.position = self.position.max(Some(version));
        let Some(next) = self.rows.get_mut(&(version + 1)) else {
            return;
        };
        if next.state == State::Waiting {
            next.state = State::Deferred;
            next.is_due = true;
        }
        next.is_due |= next.state == State::Discarded;
    }

    fn is_replayed(&mut self, version: i64) {
        let Some(row) = self.rows.get_mut(&version) else {
            return;
        };
        if row.state == State::Skipped {
            self.unknown.retain(|unknown| *unknown != version);
        }
        if matches!(row.state, State::Dead | State::Skipped) {
            *row = Row {
                state: State::Deferred,
                is_due: true,
                replayed: true,
                attempts: 0,
                is_unknown: false,
            };
        }
    }

    fn is_discarded(&mut self, version: i64) {
        let row = self.rows.get_mut(&version);
        if let Some(row) = row.filter(|row| row.state == State::Dead) {
            (row.state, row.is_due) = (State::Discarded, true);
        }
    }

    fn is_lowest(&self, version: i64) -> bool {
        let held = |row: &Row| {
            matches!(
                row.state,
                State::Waiting | State::Deferred | State::Dead | State::Discarded
            )
        };
        let lowest = self.rows.iter().find(|(_, row)| held(row));
        lowest.is_some_and(|(lowest, _)| *lowest == version)
    }

    /// An unknown event waits from its first check on.
    fn knows(&self, version: i64, here_for: Duration) -> Known {
        if !self.unknown.contains(&version) {
            return Known::Yes;
        }
        let waits = self.rows.get(&version).is_some_and(|row| row.is_unknown);
        let left = match waits {
            true => UNKNOWN_WAIT.saturating_sub(here_for),
            false => UNKNOWN_WAIT,
        };
        Known::No { left }
    }

    fn comes_to_rest(&mut self) {
        for _ in 0..=2 * VERSIONS {
            for version in 1..=VERSIONS {
                self.arrives(version, End::Works);
                self.time_comes(version, BASELINE_WAIT, End::Works);
                let is_dead = |row: &Row| row.state == State::Dead;
                if self.rows.get(&version).is_some_and(is_dead) {
                    self.is_replayed(version);
                }
            }
            if self.rows.values().all(is_settled) {
                return;
            }
        }
    }
}

fn is_settled(row: &Row) -> bool {
    matches!(row.state, State::Done | State::Skipped | State::PassedOver)
}

fn step() -> impl Strategy<Value = Step> {
    let version = 1..=VERSIONS;
    let end = prop_oneof![
        4 => Just(End::Works),
        2 => Just(End::Retry),
        1 => Just(End::Reject),
    ];
    let here_for = (0_u64..=120).prop_map(Duration::from_secs);
    prop_oneof![
        4 => (version.clone(), end.clone()).prop_map(|(version, end)| Step::Arrives(version, end)),
        4 => (version.clone(), here_for, end).prop_map(|(version, here_for, end)| Step::TimeComes(version, here_for, end)),
        1 => version.clone().prop_map(Step::IsReplayed),
        1 => version.clone().prop_map(Step::IsDiscarded),
        1 => version.prop_map(Step::BecomesKnown),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn each_effect_happens_once_and_in_order(
        steps in proptest::collection::vec(step(), 0..60),
        unknown in proptest::collection::vec(1..=VERSIONS, 0..3),
    ) {
        let mut inbox = Inbox { unknown, ..Inbox::default() };
        for step in &steps {
            inbox.take(step);
        }
        inbox.comes_to_rest();
        for version in 1..=VERSIONS {
            let effects = inbox.effects.iter().filter(|effect| **effect == version).count();
            let state = inbox.rows[&version].state;
            let expected = match state {
                State::Done => 1,
                State::Skipped | State::PassedOver => 0,
                _ => return Err(TestCaseError::fail(format!("{version} is left {state:?}"))),
            };
            prop_assert_eq!(effects, expected, "of {}, which is {:?}", version, state);
        }
    }
}
