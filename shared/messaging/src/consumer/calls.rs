//! Which events of a transaction reach their handler in one call. Pure.
//!
//! Guarantee: an ordered aggregate's events reach their handlers in order, also in batches of several aggregates.

use super::step::{Action, Step};
use crate::inbox::positions::Aggregate;
use crate::subscription::Subscriptions;

/// Only events of one type with a batch handler share a call.
pub(super) fn calls<'p, 'a>(
    steps: &'p [Step<'a>],
    subscriptions: &Subscriptions,
) -> Vec<Vec<&'p Step<'a>>> {
    let kinds = steps.iter().map(|step| {
        let batch = match &step.action {
            Action::Handle(delivered) => {
                let event_type = delivered.envelope.event_type.as_str();
                subscriptions
                    .takes_batches(event_type)
                    .then_some(event_type)
            }
            _ => None,
        };
        (batch, step.aggregate.as_ref())
    });
    let by_call = grouped(kinds);
    let of_call = |call: Vec<usize>| call.into_iter().filter_map(|index| steps.get(index));
    by_call
        .into_iter()
        .map(|call| of_call(call).collect())
        .collect()
}

/// Each event: its type if that has a batch handler, its aggregate if that is ordered.
fn grouped<'a>(
    events: impl Iterator<Item = (Option<&'a str>, Option<&'a Aggregate>)>,
) -> Vec<Vec<usize>> {
    let mut calls: Vec<Vec<usize>> = Vec::new();
    let mut of_type = std::collections::HashMap::new();
    let mut of_aggregate = std::collections::HashMap::new();
    for (index, (batch, aggregate)) in events.enumerate() {
        let not_before = aggregate
            .and_then(|aggregate| of_aggregate.get(aggregate).copied())
            .unwrap_or(0);
        let open = batch.and_then(|event_type| of_type.get(event_type).copied());
        let place = match open.filter(|open| *open >= not_before) {
            Some(open) => open,
            None => {
                calls.push(Vec::new());
                calls.len() - 1
            }
        };
        if let Some(call) = calls.get_mut(place) {
            call.push(index);
        }
        if let Some(event_type) = batch {
            of_type.insert(event_type, place);
        }
        if let Some(aggregate) = aggregate {
            of_aggregate.insert(aggregate, place);
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn events_of_one_type_share_a_call() {
        let kinds = [(Some("a"), None), (None, None), (Some("a"), None)];
        assert_eq!(grouped(kinds.into_iter()), [vec![0, 2], vec![1]]);
    }

    proptest! {
        #[test]
        fn each_event_is_called_once_and_in_its_order(
            events in proptest::collection::vec((0..3_usize, 0..3_usize), 0..20),
        ) {
            const TYPES: [Option<&str>; 3] = [None, Some("a"), Some("b")];
            let names = ["x", "y"].map(|id| ("account".to_owned(), id.to_owned()));
            let kinds: Vec<_> = events
                .iter()
                .map(|(kind, aggregate)| (TYPES[*kind], names.get(*aggregate)))
                .collect();
            let calls = grouped(kinds.iter().copied());
            let (mut last, mut seen) = (HashMap::new(), Vec::new());
            for call in &calls {
                let kind = kinds[call[0]].0;
                prop_assert!(call.len() == 1 || kind.is_some());
                for index in call {
                    prop_assert_eq!(kinds[*index].0, kind);
                    if let Some(aggregate) = kinds[*index].1 {
                        prop_assert!(last.insert(aggregate, *index) < Some(*index));
                    }
                    seen.push(*index);
                }
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..events.len()).collect::<Vec<_>>());
        }
    }
}
