//! Decides which publications of one channel are certain, although returns may be attached to others. Pure.
//!
//! lapin settles each publication with the oldest return that it holds. One settled without a return is certain,
//! because lapin held none: all earlier returns are known. One with another's return proves nothing, because lapin may
//! hold more; it becomes certain after a later one is settled without. If nothing is outstanding, lapin holds nothing,
//! because a returned message is always settled after its return.

use std::collections::HashMap;

use lapin::types::ShortString;
use tokio::sync::oneshot;

use crate::transport::{Confirmation, TransportError};

/// Dropped if the connection was dropped before the answer was certain.
pub(in super::super) type Answer = oneshot::Receiver<Result<Confirmation, TransportError>>;

/// What a return says about its message. Without an identifier, all messages with the same route count as returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Name {
    pub(in super::super) exchange: ShortString,
    pub(in super::super) routing_key: ShortString,
    pub(in super::super) message_id: Option<ShortString>,
}

#[derive(Default)]
pub(super) struct Verdicts {
    last: u64,
    awaited: HashMap<u64, Publication>,
    fresh: Vec<Publication>,
    uncertain: Vec<Publication>,
    is_lost: bool,
}

struct Publication {
    number: u64,
    message: Name,
    is_taken: bool,
    is_returned: bool,
    carried_return: bool,
    answer: oneshot::Sender<Result<Confirmation, TransportError>>,
}

impl Verdicts {
    pub(super) fn begin(&mut self, message: Name) -> (u64, Answer) {
        let (answer, answered) = oneshot::channel();
        self.last += 1;
        let publication = Publication {
            number: self.last,
            message,
            is_taken: false,
            is_returned: false,
            carried_return: false,
            answer,
        };
        self.awaited.insert(self.last, publication);
        (self.last, answered)
    }

    /// Returns whether the return belongs to a publication in here.
    pub(super) fn settle(&mut self, number: u64, is_taken: bool, returned: Option<&Name>) -> bool {
        if let Some(mut publication) = self.awaited.remove(&number) {
            publication.is_taken = is_taken;
            publication.carried_return = returned.is_some();
            self.fresh.push(publication);
        }
        returned.is_none_or(|message| self.match_return(message))
    }

    fn match_return(&mut self, message: &Name) -> bool {
        let settled = self.fresh.iter_mut().chain(&mut self.uncertain);
        let publications = self.awaited.values_mut().chain(settled);
        let mut is_known = false;
        for publication in publications.filter(|publication| publication.message == *message) {
            publication.is_returned = true;
            is_known = true;
        }
        is_known
    }

    pub(super) fn lose(&mut self, number: u64, error: TransportError) {
        self.is_lost = true;
        if let Some(publication) = self.awaited.remove(&number) {
            let _ = publication.answer.send(Err(error));
        }
    }

    /// Requires that everything settled before any publication in here is in here as well.
    pub(super) fn tell(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        let uncertain = std::mem::take(&mut self.uncertain);
        let nothing_is_held = self.awaited.is_empty() && !self.is_lost;
        // Otherwise it would have been seen with `uncertain`.
        let none_was_held = fresh.iter().any(|publication| !publication.carried_return);
        let before = uncertain.into_iter().map(|it| (none_was_held, it));
        let now = fresh.into_iter().map(|it| (!it.carried_return, it));
        for (is_certain, publication) in before.chain(now) {
            let is_not_published = publication.is_returned || !publication.is_taken;
            if is_certain || nothing_is_held || is_not_published {
                publication.tell();
            } else if !self.is_lost {
                self.uncertain.push(publication);
            }
        }
    }

    /// The oldest publication that matches the broker's text about a closed channel.
    pub(super) fn meant_by(&self, said: &str) -> Option<String> {
        let meant = self.awaited.values().filter(|publication| {
            let exchange = &publication.message.exchange;
            said.contains(&format!("'{exchange}'"))
        });
        let oldest = meant.min_by_key(|publication| publication.number)?;
        let Name {
            exchange,
            routing_key,
            message_id,
        } = &oldest.message;
        let id = message_id.as_ref().map_or("?", ShortString::as_str);
        Some(format!(
            "publishing event `{id}` to exchange `{exchange}` with routing key `{routing_key}`"
        ))
    }
}

impl Publication {
    fn tell(self) {
        let verdict = if !self.is_taken {
            Confirmation::Refused("the broker refused it (basic.nack)".to_owned())
        } else if self.is_returned {
            Confirmation::Unrouted
        } else {
            Confirmation::Routed
        };
        let _ = self.answer.send(Ok(verdict));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn name(number: u64) -> Name {
        Name {
            exchange: "things".into(),
            routing_key: "thing.made".into(),
            message_id: Some(number.to_string().into()),
        }
    }

    /// A broker and a lapin: returns in order, each before its own settling; the next settled publication gets the
    /// oldest return.
    #[derive(Default)]
    struct Channel {
        verdicts: Verdicts,
        published: Vec<(bool, Answer)>,
        returned: Vec<u64>,
        held: VecDeque<u64>,
        settled: Vec<u64>,
        reported: Vec<(u64, Option<u64>)>,
    }

    impl Channel {
        fn publish(&mut self, routed: bool) {
            let number = self.published.len() as u64 + 1;
            let (known_by, answer) = self.verdicts.begin(name(number));
            assert_eq!(known_by, number);
            self.published.push((routed, answer));
        }

        fn of_route(&self, routed: bool) -> impl Iterator<Item = u64> {
            let numbered = (1_u64..).zip(&self.published);
            numbered.filter_map(move |(number, it)| (it.0 == routed).then_some(number))
        }

        fn return_next(&mut self) {
            let next = self.of_route(false).nth(self.returned.len());
            self.returned.extend(next);
            self.held.extend(next);
        }

        fn settle(&mut self, pick: prop::sample::Index) {
            let ready = self.of_route(true).chain(self.returned.iter().copied());
            let ready: Vec<u64> = ready.filter(|it| !self.settled.contains(it)).collect();
            if !ready.is_empty() {
                let number = *pick.get(&ready);
                self.settled.push(number);
                self.reported.push((number, self.held.pop_front()));
            }
        }

        fn look(&mut self, pick: prop::sample::Index) {
            let mut reported = std::mem::take(&mut self.reported);
            let middle = pick.index(reported.len() + 1);
            reported.rotate_left(middle);
            for (number, returned) in reported {
                let returned = returned.map(name);
                assert!(self.verdicts.settle(number, true, returned.as_ref()));
            }
            self.verdicts.tell();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn each_event_gets_the_answer_of_its_own_route(
            steps in proptest::collection::vec((0_u8..6, any::<prop::sample::Index>()), 1..120),
        ) {
            let mut channel = Channel::default();
            for (step, pick) in steps {
                match step {
                    0 => channel.publish(true),
                    1 => channel.publish(false),
                    2 => channel.return_next(),
                    3 | 4 => channel.settle(pick),
                    _ => channel.look(pick),
                }
                for (routed, answer) in &mut channel.published {
                    let expected = if *routed { Confirmation::Routed } else { Confirmation::Unrouted };
                    if let Ok(verdict) = answer.try_recv() {
                        prop_assert_eq!(verdict.unwrap(), expected);
                    }
                }
            }
        }

        #[test]
        fn once_all_are_settled_all_have_an_answer(routes in proptest::collection::vec(any::<bool>(), 1..30), pick: prop::sample::Index) {
            let mut channel = Channel::default();
            for routed in &routes {
                channel.publish(*routed);
                channel.return_next();
            }
            for _ in &routes {
                channel.settle(pick);
            }
            channel.look(pick);
            for (_, answer) in &mut channel.published {
                prop_assert!(answer.try_recv().is_ok());
            }
        }
    }
}
