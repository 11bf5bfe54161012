//! The meaning of a checkpoint's number for a consumer, given the earlier numbers. Pure.
//!
//! Guarantee: after any loss, repetition or overtaking, the gaps are exactly the missing numbers between the first and
//! the last one. Events are expected only if their binding certainly existed before: the first checkpoint through a
//! binding proves nothing about its own events, and the next one may list events from before the binding.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stream {
    /// Zero: none has arrived.
    pub(crate) number: i64,
    pub(crate) stamp: i64,
    /// By binding, from this number on.
    pub(crate) patterns: BTreeMap<String, i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Next,
    Gap(i64, i64),
    /// A repetition, or one that fills a gap.
    Earlier,
    /// The producer reuses a number: it has lost that checkpoint and later ones with its database.
    Diverged,
}

/// Counted from the first checkpoint that arrived through a binding.
const CERTAIN: i64 = 2;

impl Stream {
    pub(crate) fn follow(&mut self, number: i64, stamp: i64, bindings: &BTreeSet<&str>) -> News {
        let news = match number - self.number {
            _ if self.number == 0 => News::Next,
            1 => News::Next,
            2.. => News::Gap(self.number + 1, number - 1),
            _ if stamp > self.stamp => News::Diverged,
            _ => News::Earlier,
        };
        if news == News::Earlier {
            return news;
        }
        (self.number, self.stamp) = (number, stamp);
        // Meanwhile the binding may have been removed.
        self.patterns
            .retain(|pattern, _| bindings.contains(pattern.as_str()));
        for binding in bindings {
            let from = self.patterns.entry((*binding).to_owned());
            let from = from.or_insert(number + CERTAIN);
            if news == News::Diverged {
                *from = number.min(*from);
            }
        }
        news
    }

    pub(crate) fn expected(&self, number: i64) -> impl Iterator<Item = &str> {
        let expected = self
            .patterns
            .iter()
            .filter(move |(_, from)| **from <= number);
        expected.map(|(pattern, _)| pattern.as_str())
    }
}

pub(crate) fn filled((first, last): (i64, i64), number: i64) -> Vec<(i64, i64)> {
    let parts = [(first, number - 1), (number + 1, last)];
    parts
        .into_iter()
        .filter(|(first, last)| first <= last)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USERS: &str = "user.#";
    const ORDERS: &str = "order.placed";

    fn bindings() -> BTreeSet<&'static str> {
        BTreeSet::from([USERS])
    }

    fn following(numbers: &[i64]) -> (Stream, Vec<News>) {
        let mut stream = Stream::default();
        let news = numbers.iter();
        let news = news.map(|number| stream.follow(*number, 100 + number, &bindings()));
        let news = news.collect();
        (stream, news)
    }

    #[test]
    fn a_new_consumer_expects_nothing_from_before_its_binding() {
        let (stream, news) = following(&[7, 8]);
        assert_eq!(news, [News::Next, News::Next]);
        let expected = |number| stream.expected(number).collect::<Vec<_>>();
        assert_eq!(expected(8), [""; 0]);
        assert_eq!(expected(9), [USERS]);
    }

    #[test]
    fn a_binding_that_is_new_or_comes_back_begins_later() {
        let (mut stream, _) = following(&[1, 2, 3]);
        let both = BTreeSet::from([USERS, ORDERS]);
        stream.follow(4, 104, &both);
        assert_eq!(stream.expected(5).collect::<Vec<_>>(), [USERS]);
        assert_eq!(stream.expected(6).count(), 2);
        stream.follow(5, 105, &bindings());
        stream.follow(6, 106, &both);
        assert_eq!(stream.expected(7).collect::<Vec<_>>(), [USERS]);
    }

    #[test]
    fn a_number_with_a_later_stamp_is_another_checkpoint() {
        let (mut stream, _) = following(&[1, 2, 3, 4, 5]);
        assert_eq!(stream.follow(4, 104, &bindings()), News::Earlier);
        assert_eq!(stream.follow(4, 900, &bindings()), News::Diverged);
        assert_eq!(stream.follow(5, 901, &bindings()), News::Next);
        assert_eq!(stream.expected(4).count(), 1);
    }

    proptest! {
        #[test]
        fn the_gaps_are_what_has_not_come(
            lost in proptest::collection::btree_set(1_i64..40, 0..20),
            order in Just((1_i64..40).collect::<Vec<_>>()).prop_shuffle(),
            repeated in proptest::collection::vec(1_i64..40, 0..10),
            early in 0_usize..39,
        ) {
            let mut numbers: Vec<i64> = order;
            numbers[..early].sort_unstable();
            numbers.extend(repeated);
            numbers.retain(|number| !lost.contains(number));
            let mut stream = Stream::default();
            let mut gaps: BTreeSet<(i64, i64)> = BTreeSet::new();
            for number in &numbers {
                let news = stream.follow(*number, *number, &bindings());
                prop_assert_ne!(news, News::Diverged);
                if let News::Gap(first, last) = news {
                    gaps.insert((first, last));
                }
                let holds = |(first, last): &(i64, i64)| (*first..=*last).contains(number);
                if let Some(gap) = gaps.iter().find(|gap| holds(gap)).copied() {
                    gaps.remove(&gap);
                    gaps.extend(filled(gap, *number));
                }
            }
            let shown: BTreeSet<i64> = gaps.iter().flat_map(|(first, last)| *first..=*last).collect();
            // Earlier numbers were published before this consumer.
            let begin = numbers.first().copied().unwrap_or(1);
            let missing = (begin..=stream.number).filter(|number| !numbers.contains(number));
            prop_assert_eq!(shown, missing.collect());
        }
    }
}
