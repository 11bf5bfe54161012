//! What must hold after every fault, judged from what the two databases hold. Pure.
//!
//! I1: an acknowledged command has its state and its effect, and a state has its effect. I2: no effect is there twice. I3: an
//! account's effects come in the order of its versions, without gaps. I4: no effect without its state.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

/// A deposit or its effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) op: String,
    pub(crate) account: String,
    pub(crate) version: i64,
}

/// All that is known once it is quiet.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) attempted: HashSet<String>,
    pub(crate) acknowledged: HashSet<String>,
    pub(crate) states: Vec<Entry>,
    /// In the order in which they were made.
    pub(crate) effects: Vec<Entry>,
    /// Events that are not published.
    pub(crate) pending: usize,
    /// Events that the inbox still holds, but for the dead.
    pub(crate) held: usize,
    pub(crate) dead: usize,
    pub(crate) redelivered: usize,
    /// How long it took to become quiet; `None` where it did not.
    pub(crate) drain: Option<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) attempted: usize,
    pub(crate) acknowledged: usize,
    pub(crate) effects: usize,
    pub(crate) lost: usize,
    pub(crate) duplicated: usize,
    pub(crate) ghost: usize,
    pub(crate) inversions: usize,
    pub(crate) gaps: usize,
    pub(crate) dead: usize,
    pub(crate) unfinished: usize,
    pub(crate) redelivered: usize,
    /// What else the run has promised and did not keep; said in words when it was seen.
    pub(crate) wrong: usize,
    pub(crate) drain: Option<Duration>,
}

/// `ordered` tells whether the consumer promises order.
pub(crate) fn judge(history: &History, ordered: bool) -> Verdict {
    let states: HashSet<&str> = ops(&history.states);
    let done: HashSet<&str> = ops(&history.effects);
    let promised = history.acknowledged.iter().map(String::as_str);
    let promised: HashSet<&str> = promised.chain(states.iter().copied()).collect();
    let (inversions, gaps) = if ordered {
        disorder(&history.effects)
    } else {
        (0, 0)
    };
    Verdict {
        attempted: history.attempted.len(),
        acknowledged: history.acknowledged.len(),
        effects: history.effects.len(),
        lost: promised
            .iter()
            .filter(|op| !states.contains(*op) || !done.contains(*op))
            .count(),
        duplicated: history.effects.len() - done.len(),
        ghost: done.difference(&states).count(),
        inversions,
        gaps,
        dead: history.dead,
        unfinished: history.pending + history.held,
        redelivered: history.redelivered,
        wrong: 0,
        drain: history.drain,
    }
}

impl Verdict {
    pub(crate) fn passes(&self) -> bool {
        let wrong = self.lost + self.duplicated + self.ghost + self.inversions + self.gaps;
        wrong + self.wrong + self.dead + self.unfinished == 0
            && self.drain.is_some()
            && self.effects > 0
    }

    /// The two together, as if they were one run.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            attempted: self.attempted + other.attempted,
            acknowledged: self.acknowledged + other.acknowledged,
            effects: self.effects + other.effects,
            lost: self.lost + other.lost,
            duplicated: self.duplicated + other.duplicated,
            ghost: self.ghost + other.ghost,
            inversions: self.inversions + other.inversions,
            gaps: self.gaps + other.gaps,
            dead: self.dead + other.dead,
            unfinished: self.unfinished + other.unfinished,
            redelivered: self.redelivered + other.redelivered,
            wrong: self.wrong + other.wrong,
            // Quiet only where both are; the longest counts.
            drain: self.drain.zip(other.drain).map(|(one, two)| one.max(two)),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} attempted={} acknowledged={} effects={} lost={} duplicated={} ghost={} inversions={} gaps={} dead={} \
             unfinished={} redelivered={} wrong={} drain_s=",
            if self.passes() { "pass" } else { "FAIL" },
            self.attempted,
            self.acknowledged,
            self.effects,
            self.lost,
            self.duplicated,
            self.ghost,
            self.inversions,
            self.gaps,
            self.dead,
            self.unfinished,
            self.redelivered,
            self.wrong,
        )?;
        match self.drain {
            Some(drain) => write!(formatter, "{:.1}", drain.as_secs_f64()),
            None => formatter.write_str("never"),
        }
    }
}

fn ops(entries: &[Entry]) -> HashSet<&str> {
    entries.iter().map(|entry| entry.op.as_str()).collect()
}

/// Effects that come after a later one of their account, and versions that no effect has. A double is not counted again.
fn disorder(effects: &[Entry]) -> (usize, usize) {
    let mut accounts: HashMap<&str, (i64, HashSet<i64>)> = HashMap::new();
    let mut inversions = 0;
    for effect in effects {
        let (highest, seen) = accounts.entry(&effect.account).or_default();
        if seen.insert(effect.version) && effect.version < *highest {
            inversions += 1;
        }
        *highest = effect.version.max(*highest);
    }
    let gaps = accounts.values().map(|(highest, seen)| {
        usize::try_from(*highest)
            .unwrap_or(0)
            .saturating_sub(seen.len())
    });
    (inversions, gaps.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(op: &str, version: i64) -> Entry {
        Entry {
            op: op.to_owned(),
            account: "a".to_owned(),
            version,
        }
    }

    /// Two acknowledged deposits and their effects.
    fn sound() -> History {
        let ops: HashSet<String> = ["x".to_owned(), "y".to_owned()].into();
        History {
            attempted: ops.clone(),
            acknowledged: ops,
            states: vec![entry("x", 1), entry("y", 2)],
            effects: vec![entry("x", 1), entry("y", 2)],
            drain: Some(Duration::ZERO),
            ..History::default()
        }
    }

    fn judged(change: impl FnOnce(&mut History)) -> Verdict {
        let mut history = sound();
        change(&mut history);
        judge(&history, true)
    }

    #[test]
    fn a_sound_history_passes() {
        let verdict = judged(|_| ());
        assert!(verdict.passes(), "{verdict}");
    }

    #[test]
    fn what_was_acknowledged_and_has_no_effect_is_lost() {
        let verdict = judged(|history| history.effects.truncate(1));
        assert_eq!((verdict.lost, verdict.passes()), (1, false));
    }

    #[test]
    fn what_was_acknowledged_and_has_no_state_is_lost() {
        let verdict = judged(|history| history.states.truncate(1));
        assert_eq!((verdict.lost, verdict.ghost), (1, 1));
    }

    #[test]
    fn a_state_that_nobody_was_told_of_needs_its_effect_too() {
        let verdict = judged(|history| history.states.push(entry("z", 3)));
        assert_eq!((verdict.lost, verdict.passes()), (1, false));
    }

    #[test]
    fn a_second_effect_is_a_duplicate_and_no_inversion() {
        let verdict = judged(|history| history.effects.push(entry("x", 1)));
        assert_eq!((verdict.duplicated, verdict.inversions), (1, 0));
        assert!(!verdict.passes());
    }

    #[test]
    fn an_effect_without_its_state_is_a_ghost() {
        let verdict = judged(|history| history.effects.push(entry("z", 3)));
        assert_eq!((verdict.ghost, verdict.passes()), (1, false));
    }

    #[test]
    fn effects_out_of_order_are_inversions() {
        let verdict = judged(|history| history.effects.reverse());
        assert_eq!((verdict.inversions, verdict.gaps), (1, 0));
        assert!(!verdict.passes());
    }

    #[test]
    fn a_version_that_was_passed_over_is_a_gap() {
        let verdict = judged(|history| {
            history.states.push(entry("z", 4));
            history.effects.push(entry("z", 4));
        });
        assert_eq!((verdict.gaps, verdict.passes()), (1, false));
    }

    #[test]
    fn order_is_not_asked_of_a_consumer_that_does_not_promise_it() {
        let mut history = sound();
        history.effects.reverse();
        assert!(judge(&history, false).passes());
    }

    #[test]
    fn what_is_held_pending_or_dead_or_never_quiet_fails() {
        assert!(!judged(|history| history.pending = 1).passes());
        assert!(!judged(|history| history.held = 1).passes());
        assert!(!judged(|history| history.dead = 1).passes());
        assert!(!judged(|history| history.drain = None).passes());
    }

    #[test]
    fn what_a_run_has_promised_besides_fails_it_too() {
        let sound = judged(|_| ());
        let verdict = Verdict { wrong: 1, ..sound };
        assert!(!verdict.passes());
    }

    #[test]
    fn a_run_in_which_nothing_happened_proves_nothing() {
        assert!(!judge(&History::default(), true).passes());
    }

    #[test]
    fn runs_together_pass_only_where_each_does() {
        let sound = judged(|_| ());
        let broken = judged(|history| history.drain = None);
        assert!(sound.and(&sound).passes());
        assert!(!sound.and(&broken).passes() && !broken.and(&sound).passes());
    }
}
