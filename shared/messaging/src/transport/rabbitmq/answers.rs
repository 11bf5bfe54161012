//! Which return belongs to which publication: what makes "not returned" something to rely on.
//!
//! The broker returns an unroutable message before it acknowledges it, but lapin hands each return to whatever it settles
//! next, which may be a neighbour. So a return is matched by what it says of its message, and an acknowledgement counts only
//! once every return that came before it is known:
//!
//! - lapin settles publications one after the other, on one thread, each with the oldest return that it still holds, and wakes
//!   each before it settles the next. Whatever was settled before an answer that we see has therefore been reported by then,
//!   unless it is being handed over just now: so we wait for that, and then look until nothing more is reported.
//! - An answer without a return says that lapin held none: all that came before are known. One that carries a return proves
//!   nothing, as more may be held; it counts once a later answer carries none. Once nothing is awaited nothing is held either,
//!   because a returned message is always settled after its return.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use lapin::message::BasicReturnMessage;
use lapin::types::ShortString;
use lapin::{Confirmation as Settled, PublisherConfirm};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, oneshot};
use tokio::task::AbortHandle;

use crate::faults;
use crate::transport::{Confirmation, TransportError};

const ACTION: &str = "waiting for a publisher confirm";

/// What comes of a publication. Where it is dropped, the connection was given up before that was certain.
pub(super) type Answer = oneshot::Receiver<Result<Confirmation, TransportError>>;

/// All that a return says of its message. The identifier tells events apart; without one, all that would have gone the same
/// way count as returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    pub(super) message_id: Option<ShortString>,
}

/// The publications of one channel.
pub(super) struct Answers {
    outstanding: Arc<Mutex<Outstanding>>,
    sorting: AbortHandle,
}

impl Answers {
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends with the channel that owns it, and cannot fail"
    )]
    pub(super) fn begin() -> Self {
        let (settled, reported) = unbounded_channel();
        let outstanding = Arc::new(Mutex::new(Outstanding::new(settled)));
        let task = tokio::spawn(sort(Arc::clone(&outstanding), reported));
        Self {
            outstanding,
            sorting: task.abort_handle(),
        }
    }

    /// Hands a message over. `publishing` reaches lapin when it is first polled, so in here. One that is broken off may hold the
    /// return of another, so after it no answer is certain.
    pub(super) async fn hand_over(
        &self,
        message: Name,
        publishing: impl Future<Output = Result<PublisherConfirm, TransportError>>,
    ) -> Result<Answer, TransportError> {
        let mut outstanding = self.outstanding.lock().await;
        if !outstanding.is_whole {
            return Err(TransportError::new(
                "publishing",
                "an earlier publication on this connection was broken off",
            ));
        }
        outstanding.is_whole = false;
        match publishing.await {
            Ok(confirm) => {
                let answer = outstanding.add(message, confirm);
                outstanding.is_whole = true;
                Ok(answer)
            }
            // A channel that the broker has closed says only that it is: why is told to what is outstanding.
            Err(error) => Err(outstanding.refusal().unwrap_or(error)),
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.sorting.abort();
    }
}

async fn sort(outstanding: Arc<Mutex<Outstanding>>, mut reported: UnboundedReceiver<u64>) {
    while let Some(number) = reported.recv().await {
        let mut outstanding = outstanding.lock().await;
        outstanding.look_at(number);
        while let Ok(number) = reported.try_recv() {
            outstanding.look_at(number);
        }
        outstanding.answer();
    }
}

struct Outstanding {
    awaited: HashMap<u64, (Publication, PublisherConfirm)>,
    /// Settled since the last answers were given.
    fresh: Vec<Publication>,
    /// Settled before, with the return of another.
    uncertain: Vec<Publication>,
    last: u64,
    settled: UnboundedSender<u64>,
    /// lapin has settled nothing that is not here.
    is_whole: bool,
    /// lapin settles nothing any more.
    is_lost: bool,
    /// Over what the broker has closed the channel, and what it says.
    refused: Option<(String, lapin::Error)>,
}

struct Publication {
    number: u64,
    message: Name,
    /// Where the broker did not take it at all, its answer.
    refusal: Option<Confirmation>,
    is_returned: bool,
    /// Whether it was settled with a return, whosever.
    carried_return: bool,
    answer: oneshot::Sender<Result<Confirmation, TransportError>>,
}

impl Outstanding {
    fn new(settled: UnboundedSender<u64>) -> Self {
        Self {
            awaited: HashMap::new(),
            fresh: Vec::new(),
            uncertain: Vec::new(),
            last: 0,
            settled,
            is_whole: true,
            is_lost: false,
            refused: None,
        }
    }

    fn add(&mut self, message: Name, confirm: PublisherConfirm) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.last += 1;
        let publication = Publication {
            number: self.last,
            message,
            refusal: None,
            is_returned: false,
            carried_return: false,
            answer,
        };
        self.awaited.insert(self.last, (publication, confirm));
        if self.look_at(self.last) {
            // It was settled before anybody could be woken by it.
            let _ = self.settled.send(self.last);
        }
        answered
    }

    /// Whether it is settled.
    fn look_at(&mut self, number: u64) -> bool {
        // Reported once more after it was seen.
        let Some((_, confirm)) = self.awaited.get_mut(&number) else {
            return false;
        };
        let waker = Waker::from(Arc::new(Report {
            number,
            settled: self.settled.clone(),
        }));
        let Poll::Ready(settled) = Pin::new(confirm).poll(&mut Context::from_waker(&waker)) else {
            return false;
        };
        if let Some((publication, _)) = self.awaited.remove(&number) {
            self.settle(publication, settled);
        }
        true
    }

    fn settle(&mut self, mut publication: Publication, settled: lapin::Result<Settled>) {
        let returned = match settled {
            Ok(Settled::Ack(returned)) => returned,
            Ok(Settled::Nack(returned)) => {
                let reason = "the broker did not take it (basic.nack)".to_owned();
                publication.refusal = Some(Confirmation::Refused(reason));
                returned
            }
            Ok(Settled::NotRequested) => {
                self.is_lost = true;
                let reason = "the channel is not in confirm mode";
                let _ = publication
                    .answer
                    .send(Err(TransportError::new(ACTION, reason)));
                return;
            }
            Err(error) => return self.lose(publication, error),
        };
        publication.carried_return = returned.is_some();
        self.fresh.push(publication);
        if let Some(returned) = returned {
            self.match_return(&returned);
        }
    }

    fn match_return(&mut self, returned: &BasicReturnMessage) {
        let message = Name {
            exchange: returned.exchange.clone(),
            routing_key: returned.routing_key.clone(),
            message_id: returned.properties.message_id().clone(),
        };
        let awaited = self.awaited.values_mut();
        let publications = awaited
            .map(|(publication, _)| publication)
            .chain(&mut self.fresh)
            .chain(&mut self.uncertain);
        if faults::broken("return-by-position") {
            let oldest = publications.min_by_key(|publication| publication.number);
            oldest.into_iter().for_each(|it| it.is_returned = true);
            return;
        }
        let mut is_ours = false;
        for publication in publications.filter(|publication| publication.message == message) {
            publication.is_returned = true;
            is_ours = true;
        }
        if !is_ours {
            tracing::error!(
                ?message,
                "the broker returned what nobody waits for; nothing that is outstanding counts as published"
            );
            self.is_whole = false;
        }
    }

    /// The broker closes a channel over one message, and lapin tells all that are outstanding: whichever is looked at first
    /// must name the one that stands in everybody's way.
    fn lose(&mut self, publication: Publication, error: lapin::Error) {
        self.is_lost = true;
        if self.refused.is_none() {
            let said = error.to_string();
            let awaited = self.awaited.values().map(|(publication, _)| publication);
            let refused = awaited
                .chain([&publication])
                .filter(|publication| publication.is_meant_by(&said))
                .min_by_key(|publication| publication.number);
            self.refused = refused.map(|refused| (refused.action(), error.clone()));
        }
        let lost = self.refusal();
        let lost = lost.unwrap_or_else(|| TransportError::new(ACTION, error));
        let _ = publication.answer.send(Err(lost));
    }

    /// Why the broker has closed the channel, where it has.
    fn refusal(&mut self) -> Option<TransportError> {
        if self.refused.is_none() && !self.is_lost {
            let awaited: Vec<u64> = self.awaited.keys().copied().collect();
            for number in awaited {
                self.look_at(number);
            }
        }
        let (action, error) = self.refused.clone()?;
        Some(TransportError::new(action, error))
    }

    /// Gives the answers that are certain, now that nothing more is reported.
    fn answer(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        let uncertain = std::mem::take(&mut self.uncertain);
        if !self.is_whole {
            return;
        }
        let nothing_is_awaited = self.awaited.is_empty() && !self.is_lost;
        // It was settled after all of `uncertain`, or it would have been seen with them.
        let one_carries_none = fresh.iter().any(|publication| !publication.carried_return);
        let settled_before = uncertain.into_iter().map(|it| (it, one_carries_none));
        let settled_now = fresh.into_iter().map(|it| {
            let carries_none = !it.carried_return;
            (it, carries_none)
        });
        for (publication, is_certain) in settled_before.chain(settled_now) {
            if is_certain || nothing_is_awaited || publication.is_not_published() {
                publication.tell();
            } else if !self.is_lost {
                self.uncertain.push(publication);
            }
        }
    }
}

impl Publication {
    fn is_not_published(&self) -> bool {
        self.is_returned || self.refusal.is_some()
    }

    /// Whether what the broker says when it closes a channel names where this was to go.
    fn is_meant_by(&self, said: &str) -> bool {
        said.contains(&format!("'{}'", self.message.exchange))
    }

    fn action(&self) -> String {
        let Name {
            exchange,
            routing_key,
            message_id,
        } = &self.message;
        let id = message_id.as_ref().map_or("?", ShortString::as_str);
        format!("publishing event `{id}` to exchange `{exchange}` with routing key `{routing_key}`")
    }

    fn tell(self) {
        let routed = if self.is_returned {
            Confirmation::Unrouted
        } else {
            Confirmation::Routed
        };
        // Whoever has given the connection up does not listen.
        let _ = self.answer.send(Ok(self.refusal.unwrap_or(routed)));
    }
}

/// Reports that a publication was settled, on lapin's thread and at once: the order of the reports is that of the settling.
struct Report {
    number: u64,
    settled: UnboundedSender<u64>,
}

impl Wake for Report {
    fn wake(self: Arc<Self>) {
        let _ = self.settled.send(self.number);
    }
}
