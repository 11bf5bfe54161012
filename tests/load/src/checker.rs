//! Compares the answers that callers got with what is stored at the end. Pure.
//!
//! Three rules: an acknowledged command has its state; a state has a command and exactly one effect; an effect has a
//! state.

use std::collections::HashSet;
use std::hash::Hash;
use std::ops::AddAssign;

/// The answers to commands. `K` identifies a command, its state and its effect.
#[derive(Clone, Debug)]
pub struct Answers<K> {
    attempted: HashSet<K>,
    acknowledged: HashSet<K>,
}

/// How many commands, states and effects contradict each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Acknowledged commands without a state.
    pub gone: usize,
    /// States without an effect.
    pub lost: usize,
    /// States and effects that are there more than once.
    pub duplicated: usize,
    /// States without a command, and effects without a state.
    pub ghost: usize,
}

impl<K: Eq + Hash> Answers<K> {
    /// A caller sends the command. Its state may exist, even without an answer.
    pub fn attempt(&mut self, command: K) {
        self.attempted.insert(command);
    }

    /// The command was answered OK.
    pub fn acknowledge(&mut self, command: K) {
        self.acknowledged.insert(command);
    }

    /// The commands that a caller sent.
    pub fn attempted(&self) -> &HashSet<K> {
        &self.attempted
    }

    /// The commands that were answered OK.
    pub fn acknowledged(&self) -> &HashSet<K> {
        &self.acknowledged
    }
}

impl<K: Clone + Eq + Hash> Answers<K> {
    /// All of these commands were sent and answered OK.
    pub fn all_acknowledged(commands: impl IntoIterator<Item = K>) -> Self {
        let acknowledged: HashSet<K> = commands.into_iter().collect();
        Self {
            attempted: acknowledged.clone(),
            acknowledged,
        }
    }
}

impl<K> Default for Answers<K> {
    fn default() -> Self {
        Self {
            attempted: HashSet::new(),
            acknowledged: HashSet::new(),
        }
    }
}

/// Compares the answers with all `states` and `effects`.
pub fn compare<K: Eq + Hash>(answers: &Answers<K>, states: &[K], effects: &[K]) -> Findings {
    let stored: HashSet<&K> = states.iter().collect();
    let done: HashSet<&K> = effects.iter().collect();
    let gone = answers.acknowledged.iter();
    let unasked = stored
        .iter()
        .filter(|one| !answers.attempted.contains(**one));
    Findings {
        gone: gone.filter(|one| !stored.contains(one)).count(),
        lost: stored.difference(&done).count(),
        duplicated: states.len() - stored.len() + effects.len() - done.len(),
        ghost: unasked.count() + done.difference(&stored).count(),
    }
}

impl AddAssign for Findings {
    fn add_assign(&mut self, other: Self) {
        self.gone += other.gone;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.ghost += other.ghost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two acknowledged commands with these states and effects.
    fn found(states: &[&'static str], effects: &[&'static str]) -> Findings {
        let mut answers = Answers::all_acknowledged(["a", "b"]);
        answers.attempt("unanswered");
        compare(&answers, states, effects)
    }

    #[test]
    fn one_state_and_one_effect_for_each_command_is_right() {
        let none = Findings::default();
        assert_eq!(found(&["a", "b"], &["b", "a"]), none);
        let all = ["a", "b", "unanswered"];
        assert_eq!(found(&all, &all), none);
    }

    #[test]
    fn an_acknowledged_command_without_a_state_is_gone() {
        let gone = Findings {
            gone: 1,
            ..Findings::default()
        };
        assert_eq!(found(&["a"], &["a"]), gone);
        let with_effect = Findings { ghost: 1, ..gone };
        assert_eq!(found(&["a"], &["a", "b"]), with_effect);
    }

    #[test]
    fn a_state_without_an_effect_is_a_loss_even_without_an_answer() {
        let lost = Findings {
            lost: 1,
            ..Findings::default()
        };
        assert_eq!(found(&["a", "b"], &["a"]), lost);
        assert_eq!(found(&["a", "b", "unanswered"], &["a", "b"]), lost);
    }

    #[test]
    fn a_second_state_and_a_second_effect_are_duplicates() {
        let twice = Findings {
            duplicated: 1,
            ..Findings::default()
        };
        assert_eq!(found(&["a", "b"], &["a", "b", "a"]), twice);
        assert_eq!(found(&["a", "b", "b"], &["a", "b"]), twice);
    }

    #[test]
    fn a_loss_and_a_duplicate_do_not_cancel_out() {
        let both = Findings {
            lost: 1,
            duplicated: 1,
            ..Findings::default()
        };
        assert_eq!(found(&["a", "b"], &["a", "a"]), both);
    }

    #[test]
    fn what_nothing_has_caused_is_a_ghost() {
        let ghost = Findings {
            ghost: 1,
            ..Findings::default()
        };
        assert_eq!(found(&["a", "b"], &["a", "b", "c"]), ghost);
        assert_eq!(found(&["a", "b", "c"], &["a", "b", "c"]), ghost);
    }
}
