//! Which acknowledgements to send when deliveries finish in any order. Pure.

use std::collections::BTreeSet;

use tokio::sync::mpsc;

use crate::transport::Ack;

pub(super) struct Done {
    settled: mpsc::UnboundedReceiver<Vec<u64>>,
    acknowledgements: Acknowledgements,
}

impl Done {
    pub(super) fn channel() -> (mpsc::UnboundedSender<Vec<u64>>, Self) {
        let (tell, settled) = mpsc::unbounded_channel();
        let acknowledgements = Acknowledgements::default();
        let done = Self {
            settled,
            acknowledgements,
        };
        (tell, done)
    }

    pub(super) async fn next(&mut self) -> Option<Vec<Ack>> {
        let mut tags = self.settled.recv().await?;
        while let Ok(more) = self.settled.try_recv() {
            tags.extend(more);
        }
        Some(self.acknowledgements.settle(tags))
    }
}

#[derive(Default)]
struct Acknowledgements {
    /// Acknowledged up to this tag.
    all_up_to: u64,
    ahead: BTreeSet<u64>,
}

impl Acknowledgements {
    /// The fewest acknowledgements for `tags`. A tag that closes a gap covers all before it; a tag beyond a gap is
    /// acknowledged alone, so that a slow delivery does not keep the others unacknowledged.
    ///
    /// Each names an unacknowledged delivery, because RabbitMQ closes the channel for any other.
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
        fn no_delivery_is_acknowledged_before_it_is_done(
            order in Just((1_u64..=30).collect::<Vec<_>>()).prop_shuffle(),
            group in 1_usize..7,
        ) {
            let mut acknowledgements = Acknowledgements::default();
            let (mut done, mut acknowledged) = (BTreeSet::new(), BTreeSet::new());
            for tags in order.chunks(group) {
                done.extend(tags);
                for ack in acknowledgements.settle(tags.iter().copied()) {
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
