//! Compares the answers that callers got with the data at the end. Pure.
//!
//! Each order has a unique word as its article, so it is found even without an answer. The command of the checker is a
//! step of an order: its state is an order that has reached the step, its effect is the mail about the step.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use load::{Answers, compare};

/// The progress of an order.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Placed,
    Confirmed,
    Shipped,
}

impl Step {
    const ALL: [Self; 3] = [Self::Placed, Self::Confirmed, Self::Shipped];

    /// This step, and those before it.
    fn reached(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |step| *step <= self)
    }
}

/// The answers that one user got.
#[derive(Default)]
pub(super) struct StepAnswers {
    answers: Answers<(String, Step)>,
}

/// The data of one user at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// The word and the last step of each order.
    pub(super) orders: Vec<(String, Step)>,
    /// The step of each mail, and the id of its event.
    pub(super) mails: Vec<(Step, String)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    acknowledged: usize,
    orders: usize,
    mails: usize,
    /// Acknowledged, but missing or in an earlier state; or without its mail.
    lost: usize,
    /// Found twice.
    doubled: usize,
    /// Never requested, or mails without an order.
    ghost: usize,
    /// Versions that went backwards, or never arrived.
    disorder: usize,
}

impl StepAnswers {
    /// The user orders this word. The order may go all its steps.
    pub(super) fn attempt(&mut self, word: &str) {
        for step in Step::ALL {
            self.answers.attempt((word.to_owned(), step));
        }
    }

    pub(super) fn acknowledge(&mut self, word: &str, step: Step) {
        for step in step.reached() {
            self.answers.acknowledge((word.to_owned(), step));
        }
    }

    pub(super) fn judge(&self, found: &Found, disorder: usize) -> Verdict {
        let orders = found.orders.iter();
        let states =
            orders.flat_map(|(word, step)| step.reached().map(|step| (word.clone(), step)));
        let states: Vec<_> = states.collect();
        let findings = compare(&self.answers, &states, &found.effects());
        Verdict {
            acknowledged: self.answers.acknowledged().len(),
            orders: found.orders.len(),
            mails: found.mails.len(),
            lost: findings.gone + findings.lost,
            doubled: findings.duplicated,
            ghost: findings.ghost,
            disorder,
        }
    }
}

impl Found {
    /// The order and the step of each mail. A mail does not name its order, so each event of a step stands for one of the
    /// orders that have reached it. An event too many stands for an order of its own.
    fn effects(&self) -> Vec<(String, Step)> {
        let mut effects = Vec::new();
        for step in Step::ALL {
            let orders = self.orders.iter().filter(|(_, reached)| *reached >= step);
            let mut words = orders.map(|(word, _)| word);
            let mut known = BTreeMap::new();
            for (_, event) in self.mails.iter().filter(|(kind, _)| *kind == step) {
                let word = known
                    .entry(event)
                    .or_insert_with(|| words.next().unwrap_or(event));
                effects.push((word.clone(), step));
            }
        }
        effects
    }
}

impl Verdict {
    pub fn passes(&self) -> bool {
        self.lost + self.doubled + self.ghost + self.disorder == 0 && self.acknowledged > 0
    }
}

impl AddAssign for Verdict {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.orders += other.orders;
        self.mails += other.mails;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.ghost += other.ghost;
        self.disorder += other.disorder;
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passes() { "pass" } else { "FAIL" };
        write!(
            formatter,
            "{verdict} acknowledged={} orders={} mails={} lost={} doubled={} ghost={} disorder={}",
            self.acknowledged,
            self.orders,
            self.mails,
            self.lost,
            self.doubled,
            self.ghost,
            self.disorder
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One shipped and one placed order.
    fn sound() -> (StepAnswers, Found) {
        let mut answers = StepAnswers::default();
        for (word, step) in [("a", Step::Shipped), ("b", Step::Placed)] {
            answers.attempt(word);
            answers.acknowledge(word, step);
        }
        let orders = [("a", Step::Shipped), ("b", Step::Placed)];
        let mails = [
            (Step::Placed, "1"),
            (Step::Confirmed, "2"),
            (Step::Shipped, "3"),
            (Step::Placed, "4"),
        ];
        let found = Found {
            orders: orders.map(|(word, step)| (word.to_owned(), step)).into(),
            mails: mails.map(|(step, event)| (step, event.to_owned())).into(),
        };
        (answers, found)
    }

    fn judged(change: impl FnOnce(&mut StepAnswers, &mut Found)) -> Verdict {
        let (mut answers, mut found) = sound();
        change(&mut answers, &mut found);
        answers.judge(&found, 0)
    }

    #[test]
    fn acknowledged_and_found_orders_pass() {
        let verdict = judged(|_, _| ());
        assert!(verdict.passes(), "{verdict}");
        assert_eq!(verdict.acknowledged, 4);
    }

    #[test]
    fn an_acknowledged_order_that_is_missing_or_behind_is_lost() {
        let gone = judged(|_, found| found.orders.truncate(1));
        assert!(gone.lost > 0, "{gone}");
        let behind = judged(|answers, _| answers.acknowledge("b", Step::Shipped));
        assert_eq!(behind.lost, 2);
    }

    #[test]
    fn a_mail_that_is_not_there_is_lost_and_a_second_one_is_doubled() {
        let lost = judged(|_, found| {
            found.mails.pop();
        });
        assert_eq!((lost.lost, lost.doubled), (1, 0));
        let again = judged(|_, found| found.mails.push((Step::Placed, "4".to_owned())));
        assert_eq!((again.lost, again.doubled), (0, 1));
    }

    #[test]
    fn a_mail_about_a_step_that_no_order_has_reached_is_a_ghost() {
        let more = judged(|_, found| found.mails.push((Step::Shipped, "5".to_owned())));
        assert_eq!((more.ghost, more.passes()), (1, false));
    }

    #[test]
    fn a_lost_mail_and_a_doubled_one_do_not_cancel_out() {
        let verdict = judged(|_, found| found.mails[3] = (Step::Placed, "1".to_owned()));
        assert_eq!((verdict.lost, verdict.doubled), (1, 1));
    }

    #[test]
    fn a_second_order_is_doubled_and_an_unrequested_one_is_a_ghost() {
        let again = judged(|_, found| found.orders.push(("b".to_owned(), Step::Placed)));
        assert!(again.doubled > 0, "{again}");
        let ghost = judged(|_, found| {
            found.orders.push(("c".to_owned(), Step::Placed));
            found.mails.push((Step::Placed, "5".to_owned()));
        });
        assert_eq!((ghost.ghost, ghost.passes()), (1, false));
    }

    #[test]
    fn an_order_with_a_lost_answer_may_exist() {
        let verdict = judged(|answers, found| {
            answers.attempt("c");
            found.orders.push(("c".to_owned(), Step::Placed));
            found.mails.push((Step::Placed, "5".to_owned()));
        });
        assert!(verdict.passes(), "{verdict}");
    }

    #[test]
    fn a_run_in_which_nothing_happened_proves_nothing() {
        assert!(!StepAnswers::default().judge(&Found::default(), 0).passes());
    }
}
