//! Which acknowledgements to send for deliveries that are done in any order. The decision is pure.

use std::collections::BTreeSet;

use tokio::sync::mpsc;

use crate::transport::Ack;

/// What the lanes of one connection have done.
pub(super) struct Done {
    settled: mpsc::UnboundedReceiver<Vec<u64>>,
    acknowledgements: Acknowledgements,
}

impl Done {
    /// And where a lane tells the tags of what it has done.
    pub(super) fn channel() -> (mpsc::UnboundedSender<Vec<u64>>, Self) {
        let (tell, settled) = mpsc::unbounded_channel();
        let acknowledgements = Acknowledgements::default();
        let done = Self {
            settled,
            acknowledgements,
        };
        (tell, done)
    }

    /// Waits until something is done, and tells how to acknowledge all that is by then. `None` once no lane is left.
    pub(super) async fn next(&mut self) -> Option<Vec<Ack>> {
        let mut tags = self.settled.recv().await?;
        while let Ok(more) = self.settled.try_recv() {
            tags.extend(more);
        }
        Some(self.acknowledgements.settle(tags))
    }
}

/// The deliveries of one receiver that are done.
#[derive(Default)]
struct Acknowledgements {
    /// Every delivery up to this tag is acknowledged.
    all_up_to: u64,
    /// Acknowledged beyond it.
    ahead: BTreeSet<u64>,
}

impl Acknowledgements {
    /// The fewest acknowledgements that settle `tags`, none of which was given before. One that closes a gap covers all
    /// before it; one beyond a gap goes alone, so that a slow delivery does not keep the others unacknowledged.
    ///
    /// Each names a delivery that is not acknowledged yet: RabbitMQ closes the channel over any other.
    fn settle(&mut self, tags: impl IntoIterator<Item = u64>) -> Vec<Ack> {
        let tags: BTreeSet<u64> = tags.into_iter().collect();
        self.ahead.extend(&tags);
        while self.ahead.remove(&(self.all_up_to + 1)) {
            self.all_up_to += 1;
        }
        let alone = tags.range(self.all_up_to + 1..).map(|tag| Ack::One(*tag));
        let together = tags
            .range(..=self.all_up_to)
            .next_back()
            .map(|tag| Ack::UpTo(*tag));
        together.into_iter().chain(alone).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_done_in_order_is_acknowledged_at_once() {
        let mut acknowledgements = Acknowledgements::default();
        assert_eq!(acknowledgements.settle([1, 2, 3]), [Ack::UpTo(3)]);
        assert_eq!(acknowledgements.settle([4]), [Ack::UpTo(4)]);
    }

    #[test]
    fn a_slow_delivery_does_not_hold_back_the_others() {
        let mut acknowledgements = Acknowledgements::default();
        assert_eq!(acknowledgements.settle([2, 3]), [Ack::One(2), Ack::One(3)]);
        assert_eq!(acknowledgements.settle([1]), [Ack::UpTo(1)]);
        assert_eq!(acknowledgements.settle([5, 4]), [Ack::UpTo(5)]);
    }

    proptest! {
        #[test]
        fn each_delivery_is_acknowledged_when_it_is_done_and_never_before(
            order in Just((1_u64..=30).collect::<Vec<_>>()).prop_shuffle(),
            group in 1_usize..7,
        ) {
            let mut acknowledgements = Acknowledgements::default();
            let (mut done, mut acknowledged) = (BTreeSet::new(), BTreeSet::new());
            for tags in order.chunks(group) {
                done.extend(tags);
                for ack in acknowledgements.settle(tags.iter().copied()) {
                    // As the broker has it: what is named must be outstanding.
                    let (Ack::One(named) | Ack::UpTo(named)) = ack;
                    prop_assert!(!acknowledged.contains(&named), "{} is acknowledged already", named);
                    match ack {
                        Ack::One(tag) => { acknowledged.insert(tag); }
                        Ack::UpTo(tag) => acknowledged.extend(1..=tag),
                    }
                }
                prop_assert_eq!(&acknowledged, &done);
            }
        }
    }
}
