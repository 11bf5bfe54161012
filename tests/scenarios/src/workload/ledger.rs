//! Compares the answers that callers got with the data at the end. Pure.
//!
//! Each order has a unique word as its article, so it is found even without an answer. An event has one effect: there
//! are as many mails of each kind as orders that reached that step, each from a different event.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::AddAssign;

/// The progress of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Placed,
    Confirmed,
    Shipped,
}

impl Step {
    pub(super) const ALL: [Self; 3] = [Self::Placed, Self::Confirmed, Self::Shipped];
}

/// The answers that one user got.
#[derive(Default)]
pub(super) struct Ledger {
    attempted: BTreeSet<String>,
    acknowledged: BTreeMap<String, Step>,
}

/// The data of one user at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
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
    /// Never requested.
    ghost: usize,
    /// Versions that went backwards, or never arrived.
    disorder: usize,
}

impl Ledger {
    pub(super) fn attempt(&mut self, word: &str) {
        self.attempted.insert(word.to_owned());
    }

    pub(super) fn acknowledge(&mut self, word: &str, step: Step) {
        self.acknowledged.insert(word.to_owned(), step);
    }

    /// The number of acknowledged steps.
    pub(super) fn steps(&self) -> usize {
        let steps = self.acknowledged.values().map(|&step| steps_to(step));
        steps.sum()
    }

    pub(super) fn judge(&self, found: &Found, disorder: usize) -> Verdict {
        let mut orders: BTreeMap<&str, Step> = BTreeMap::new();
        for (word, step) in &found.orders {
            orders.insert(word, *step);
        }
        let kept = |word: &String, step: &Step| {
            orders.get(word.as_str()).is_some_and(|found| found >= step)
        };
        let lost_orders = self
            .acknowledged
            .iter()
            .filter(|(word, step)| !kept(word, step))
            .count();
        let events: BTreeSet<&str> = found
            .mails
            .iter()
            .map(|(_, event)| event.as_str())
            .collect();
        let (mut missing, mut surplus) = (0, found.mails.len() - events.len());
        for step in Step::ALL {
            let expected = found
                .orders
                .iter()
                .filter(|(_, reached)| *reached >= step)
                .count();
            let mails = found.mails.iter().filter(|(kind, _)| *kind == step);
            let mails: BTreeSet<&str> = mails.map(|(_, event)| event.as_str()).collect();
            missing += expected.saturating_sub(mails.len());
            surplus += mails.len().saturating_sub(expected);
        }
        Verdict {
            acknowledged: self.steps(),
            orders: found.orders.len(),
            mails: found.mails.len(),
            lost: lost_orders + missing,
            doubled: found.orders.len() - orders.len() + surplus,
            ghost: orders
                .keys()
                .filter(|word| !self.attempted.contains(**word))
                .count(),
            disorder,
        }
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

fn steps_to(step: Step) -> usize {
    Step::ALL.iter().filter(|one| **one <= step).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One shipped and one placed order.
    fn sound() -> (Ledger, Found) {
        let mut ledger = Ledger::default();
        for (word, step) in [("a", Step::Shipped), ("b", Step::Placed)] {
            ledger.attempt(word);
            ledger.acknowledge(word, step);
        }
        let mail = |step, event: &str| (step, event.to_owned());
        let found = Found {
            orders: vec![
                ("a".to_owned(), Step::Shipped),
                ("b".to_owned(), Step::Placed),
            ],
            mails: vec![
                mail(Step::Placed, "1"),
                mail(Step::Confirmed, "2"),
                mail(Step::Shipped, "3"),
                mail(Step::Placed, "4"),
            ],
        };
        (ledger, found)
    }

    fn judged(change: impl FnOnce(&mut Ledger, &mut Found)) -> Verdict {
        let (mut ledger, mut found) = sound();
        change(&mut ledger, &mut found);
        ledger.judge(&found, 0)
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
        let behind = judged(|ledger, _| ledger.acknowledge("b", Step::Shipped));
        assert_eq!(behind.lost, 1);
    }

    #[test]
    fn a_mail_that_is_not_there_is_lost_and_one_too_many_is_doubled() {
        let lost = judged(|_, found| {
            found.mails.pop();
        });
        assert_eq!((lost.lost, lost.doubled), (1, 0));
        let again = judged(|_, found| found.mails.push((Step::Placed, "4".to_owned())));
        assert_eq!((again.lost, again.doubled), (0, 1));
        let more = judged(|_, found| found.mails.push((Step::Placed, "5".to_owned())));
        assert_eq!((more.lost, more.doubled), (0, 1));
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
        let verdict = judged(|ledger, found| {
            ledger.attempt("c");
            found.orders.push(("c".to_owned(), Step::Placed));
            found.mails.push((Step::Placed, "5".to_owned()));
        });
        assert!(verdict.passes(), "{verdict}");
    }

    #[test]
    fn a_run_in_which_nothing_happened_proves_nothing() {
        assert!(!Ledger::default().judge(&Found::default(), 0).passes());
    }
}
