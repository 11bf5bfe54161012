//! The checks after every fault, on what the two databases hold. Pure.
//!
//! I1: an acknowledged command has its state and its effect, and each state has its effect. I2: no effect is there twice. I3: the
//! effects of an account come in the order of its versions, without gaps. I4: no effect without a state, no state without a
//! command, and each effect has the account and the version of its state. I10: a run that loses events counts those that are not shown.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use load::{Answers, compare};

/// A deposit or its effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) op: String,
    pub(crate) account: String,
    pub(crate) version: i64,
}

/// All that is known after the system became quiet.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) answers: Answers<String>,
    pub(crate) states: Vec<Entry>,
    /// In the order in which they were written.
    pub(crate) effects: Vec<Entry>,
    /// Events that are not published.
    pub(crate) pending: usize,
    /// Those of them that have a published event after them.
    pub(crate) passed_over: usize,
    /// Events that the inbox still holds, without the dead ones.
    pub(crate) held: usize,
    pub(crate) dead: usize,
    pub(crate) redelivered: usize,
    /// How long it took to become quiet; `None` if it did not.
    pub(crate) drain: Option<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) attempted: usize,
    pub(crate) acknowledged: usize,
    pub(crate) effects: usize,
    pub(crate) lost: usize,
    pub(crate) duplicated: usize,
    /// States without a command, and effects without a state.
    pub(crate) ghost: usize,
    /// Effects with another account or version than their state.
    pub(crate) altered: usize,
    pub(crate) inversions: usize,
    pub(crate) gaps: usize,
    pub(crate) dead: usize,
    pub(crate) unfinished: usize,
    /// Unfinished events that the relay has skipped. A late event is not one of them.
    pub(crate) passed_over: usize,
    pub(crate) redelivered: usize,
    /// Published events that the consumer does not have and does not show as missing.
    pub(crate) unshown: usize,
    /// Other checks of the run that failed; each is printed when it fails.
    pub(crate) wrong: usize,
    pub(crate) drain: Option<Duration>,
    /// Parts of the run that this machine cannot do.
    pub(crate) left_out: BTreeSet<&'static str>,
}

/// `ordered` is true if the consumer handles events in order.
pub(crate) fn judge(history: &History, ordered: bool) -> Verdict {
    let ops = |entries: &[Entry]| -> Vec<String> {
        let ops = entries.iter().map(|entry| entry.op.clone());
        ops.collect()
    };
    let found = compare(
        &history.answers,
        &ops(&history.states),
        &ops(&history.effects),
    );
    let states = history.states.iter();
    let states: HashMap<&str, &Entry> = states.map(|entry| (entry.op.as_str(), entry)).collect();
    let altered = history.effects.iter().filter(|effect| {
        let state = states.get(effect.op.as_str());
        state.is_some_and(|state| state != effect)
    });
    let (inversions, gaps) = if ordered {
        disorder(&history.effects)
    } else {
        (0, 0)
    };
    Verdict {
        attempted: history.answers.attempted().len(),
        acknowledged: history.answers.acknowledged().len(),
        effects: history.effects.len(),
        lost: found.gone + found.lost,
        duplicated: found.duplicated,
        ghost: found.ghost,
        altered: altered.count(),
        inversions,
        gaps,
        dead: history.dead,
        unfinished: history.pending + history.held,
        passed_over: history.passed_over,
        redelivered: history.redelivered,
        unshown: 0,
        wrong: 0,
        drain: history.drain,
        left_out: BTreeSet::new(),
    }
}

impl Verdict {
    pub(crate) fn passes(&self) -> bool {
        let wrong = self.lost + self.duplicated + self.ghost + self.altered;
        let disordered = self.inversions + self.gaps;
        wrong + disordered + self.unshown + self.wrong + self.dead + self.unfinished == 0
            && self.drain.is_some()
            && self.effects > 0
    }

    /// Both verdicts as one.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            attempted: self.attempted + other.attempted,
            acknowledged: self.acknowledged + other.acknowledged,
            effects: self.effects + other.effects,
            lost: self.lost + other.lost,
            duplicated: self.duplicated + other.duplicated,
            ghost: self.ghost + other.ghost,
            altered: self.altered + other.altered,
            inversions: self.inversions + other.inversions,
            gaps: self.gaps + other.gaps,
            dead: self.dead + other.dead,
            unfinished: self.unfinished + other.unfinished,
            passed_over: self.passed_over + other.passed_over,
            redelivered: self.redelivered + other.redelivered,
            unshown: self.unshown + other.unshown,
            wrong: self.wrong + other.wrong,
            // Quiet only if both were; the longer time counts.
            drain: self.drain.zip(other.drain).map(|(one, two)| one.max(two)),
            left_out: &self.left_out | &other.left_out,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} attempted={} acknowledged={} effects={} lost={} duplicated={} ghost={} altered={} inversions={} gaps={} dead={} \
             unfinished={} passed_over={} redelivered={} unshown={} wrong={} drain_s=",
            word(self.passes(), &self.left_out),
            self.attempted,
            self.acknowledged,
            self.effects,
            self.lost,
            self.duplicated,
            self.ghost,
            self.altered,
            self.inversions,
            self.gaps,
            self.dead,
            self.unfinished,
            self.passed_over,
            self.redelivered,
            self.unshown,
            self.wrong,
        )?;
        match self.drain {
            Some(drain) => write!(formatter, "{:.1}", drain.as_secs_f64()),
            None => formatter.write_str("never"),
        }
    }
}

/// The beginning of a verdict. It names the parts that were left out, because some readers read no further.
pub(crate) fn word(passes: bool, left_out: &BTreeSet<&str>) -> String {
    let passes = if passes { "pass" } else { "FAIL" };
    if left_out.is_empty() {
        return passes.to_owned();
    }
    let left_out: Vec<&str> = left_out.iter().copied().collect();
    format!("{passes} (without {})", left_out.join(", "))
}

/// The effects that come after a later one of their account, and the versions without an effect. A duplicate does not count here.
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
        History {
            answers: Answers::all_acknowledged(["x", "y"].map(str::to_owned)),
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

    /// The verdict has exactly these findings, and fails.
    fn finds(change: impl FnOnce(&mut History), expected: &Verdict) {
        let verdict = judged(change);
        let (effects, attempted) = (verdict.effects, verdict.attempted);
        let expected = Verdict {
            attempted,
            acknowledged: 2,
            effects,
            drain: verdict.drain,
            ..expected.clone()
        };
        assert_eq!(verdict, expected);
        assert!(!verdict.passes());
    }

    fn none() -> Verdict {
        Verdict::default()
    }

    #[test]
    fn an_acknowledged_command_without_effect_is_lost() {
        let lost = Verdict { lost: 1, ..none() };
        finds(|history| history.effects.truncate(1), &lost);
    }

    #[test]
    fn an_acknowledged_command_without_state_and_effect_is_lost() {
        let lost = Verdict { lost: 1, ..none() };
        let forget = |history: &mut History| {
            history.states.truncate(1);
            history.effects.truncate(1);
        };
        finds(forget, &lost);
    }

    #[test]
    fn an_effect_of_an_acknowledged_command_needs_its_state() {
        let both = Verdict {
            lost: 1,
            ghost: 1,
            ..none()
        };
        finds(|history| history.states.truncate(1), &both);
    }

    #[test]
    fn a_state_without_an_answer_needs_its_effect_too() {
        let unanswered = |history: &mut History| {
            history.answers.attempt("z".to_owned());
            history.states.push(entry("z", 3));
        };
        finds(unanswered, &Verdict { lost: 1, ..none() });
    }

    #[test]
    fn a_second_effect_is_a_duplicate_and_no_inversion() {
        let duplicate = Verdict {
            duplicated: 1,
            ..none()
        };
        finds(|history| history.effects.push(entry("x", 1)), &duplicate);
    }

    #[test]
    fn an_effect_without_its_state_is_a_ghost() {
        let ghost = Verdict { ghost: 1, ..none() };
        finds(|history| history.effects.push(entry("z", 3)), &ghost);
    }

    #[test]
    fn a_state_without_a_command_is_a_ghost() {
        let refused = |history: &mut History| {
            history.states.push(entry("refused", 3));
            history.effects.push(entry("refused", 3));
        };
        finds(refused, &Verdict { ghost: 1, ..none() });
    }

    #[test]
    fn an_effect_with_another_version_than_its_state_is_altered() {
        // In order and without a gap, so no other check finds it.
        let altered = Verdict {
            altered: 2,
            ..none()
        };
        finds(
            |history| history.effects = vec![entry("y", 1), entry("x", 2)],
            &altered,
        );
    }

    #[test]
    fn an_effect_on_another_account_than_its_state_is_altered() {
        let elsewhere = |history: &mut History| {
            history.effects[0].account = "b".to_owned();
            history.effects[1].account = "b".to_owned();
            history.states[1].account = "b".to_owned();
        };
        let altered = Verdict {
            altered: 1,
            ..none()
        };
        finds(elsewhere, &altered);
    }

    #[test]
    fn effects_out_of_order_are_inversions() {
        let inversion = Verdict {
            inversions: 1,
            ..none()
        };
        finds(|history| history.effects.reverse(), &inversion);
    }

    #[test]
    fn a_skipped_version_is_a_gap() {
        let pass_over = |history: &mut History| {
            history.answers.attempt("z".to_owned());
            history.states.push(entry("z", 4));
            history.effects.push(entry("z", 4));
        };
        finds(pass_over, &Verdict { gaps: 1, ..none() });
    }

    #[test]
    fn a_consumer_without_order_is_not_checked_for_order() {
        let mut history = sound();
        history.effects.reverse();
        assert!(judge(&history, false).passes());
    }

    #[test]
    fn held_pending_and_dead_events_fail_and_so_does_no_quiet() {
        assert!(!judged(|history| history.pending = 1).passes());
        assert!(!judged(|history| history.held = 1).passes());
        assert!(!judged(|history| history.dead = 1).passes());
        assert!(!judged(|history| history.drain = None).passes());
    }

    #[test]
    fn another_failed_check_of_the_run_fails_it_too() {
        let sound = judged(|_| ());
        let verdict = Verdict { wrong: 1, ..sound };
        assert!(!verdict.passes());
        let unshown = Verdict {
            unshown: 1,
            ..judged(|_| ())
        };
        assert!(!unshown.passes());
    }

    #[test]
    fn a_run_in_which_nothing_happened_proves_nothing() {
        assert!(!judge(&History::default(), true).passes());
    }

    #[test]
    fn two_verdicts_pass_only_if_both_pass() {
        let sound = judged(|_| ());
        let broken = judged(|history| history.drain = None);
        assert!(sound.and(&sound).passes());
        assert!(!sound.and(&broken).passes() && !broken.and(&sound).passes());
    }

    #[test]
    fn two_verdicts_have_the_findings_of_both() {
        let all = Verdict {
            attempted: 1,
            acknowledged: 2,
            effects: 3,
            lost: 4,
            duplicated: 5,
            ghost: 6,
            altered: 7,
            inversions: 8,
            gaps: 9,
            dead: 10,
            unfinished: 11,
            passed_over: 12,
            redelivered: 13,
            unshown: 16,
            wrong: 14,
            drain: Some(Duration::from_secs(15)),
            left_out: ["kills"].into(),
        };
        let nothing = Verdict {
            drain: Some(Duration::ZERO),
            ..none()
        };
        assert_eq!(nothing.and(&all), all);
        assert_eq!(all.and(&nothing), all);
    }

    #[test]
    fn a_verdict_names_the_parts_that_were_left_out() {
        let left_out = ["restarts", "kills"].into();
        let partly = Verdict {
            left_out,
            ..judged(|_| ())
        };
        let said = partly.and(&judged(|_| ())).to_string();
        assert!(
            said.starts_with("pass (without kills, restarts) attempted="),
            "{said}"
        );
    }
}
