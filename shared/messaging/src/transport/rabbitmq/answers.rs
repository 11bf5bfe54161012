//! Assigns each return to its publication, so that "not returned" is reliable.
//!
//! The broker returns an unroutable message before it acknowledges it, but lapin attaches each return to the next
//! publication that it settles, maybe another one. So an acknowledgement counts only after every earlier return is
//! known. lapin settles on one thread and wakes each publication before it settles the next. So all confirms of a
//! channel are processed in one place, which waits for running publications, and then reads until nothing more is
//! reported.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use lapin::message::BasicReturnMessage;
use lapin::{Confirmation as Settled, PublisherConfirm};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

use crate::transport::TransportError;

mod verdicts;

use verdicts::Verdicts;
pub(super) use verdicts::{Answer, Name};

const ACTION: &str = "waiting for a publisher confirm";

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

    /// `publishing` reaches lapin at its first poll, so it is polled here. A cancelled publication may have the return
    /// of another one, so after it no answer is certain.
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
            // A closed channel only reports that; the outstanding publications get the cause.
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
        // Never again after a foreign publication was settled: its return may be another's.
        if outstanding.is_whole {
            outstanding.verdicts.tell();
        }
    }
}

struct Outstanding {
    confirms: HashMap<u64, PublisherConfirm>,
    verdicts: Verdicts,
    settled: UnboundedSender<u64>,
    /// lapin has settled only publications in here.
    is_whole: bool,
    /// The message that made the broker close the channel, and the error.
    refused: Option<(String, lapin::Error)>,
}

impl Outstanding {
    fn new(settled: UnboundedSender<u64>) -> Self {
        Self {
            confirms: HashMap::new(),
            verdicts: Verdicts::default(),
            settled,
            is_whole: true,
            refused: None,
        }
    }

    fn add(&mut self, message: Name, confirm: PublisherConfirm) -> Answer {
        let (number, answer) = self.verdicts.begin(message);
        self.confirms.insert(number, confirm);
        if self.look_at(number) {
            // It was settled before its waker could be called.
            let _ = self.settled.send(number);
        }
        answer
    }

    fn look_at(&mut self, number: u64) -> bool {
        let Some(confirm) = self.confirms.get_mut(&number) else {
            return false;
        };
        let waker = Waker::from(Arc::new(Report {
            number,
            settled: self.settled.clone(),
        }));
        let Poll::Ready(settled) = Pin::new(confirm).poll(&mut Context::from_waker(&waker)) else {
            return false;
        };
        self.confirms.remove(&number);
        match settled {
            Ok(Settled::Ack(returned)) => self.settle(number, true, returned.as_ref()),
            Ok(Settled::Nack(returned)) => self.settle(number, false, returned.as_ref()),
            Ok(Settled::NotRequested) => {
                let reason = "the channel is not in confirm mode";
                self.verdicts
                    .lose(number, TransportError::new(ACTION, reason));
            }
            Err(error) => self.lose(number, error),
        }
        true
    }

    fn settle(&mut self, number: u64, is_taken: bool, returned: Option<&BasicReturnMessage>) {
        let returned = returned.map(|returned| Name {
            exchange: returned.exchange.clone(),
            routing_key: returned.routing_key.clone(),
            message_id: returned.properties.message_id().clone(),
        });
        let is_known = self.verdicts.settle(number, is_taken, returned.as_ref());
        if !is_known {
            tracing::error!(
                ?returned,
                "the broker returned an unknown message; no outstanding message counts as published"
            );
            self.is_whole = false;
        }
    }

    /// The broker closes a channel because of one message, and lapin fails all outstanding ones: the first one that is
    /// processed must name the cause.
    fn lose(&mut self, number: u64, error: lapin::Error) {
        if self.refused.is_none() {
            let refused = self.verdicts.meant_by(&error.to_string());
            self.refused = refused.map(|action| (action, error.clone()));
        }
        let lost = match &self.refused {
            Some((action, error)) => TransportError::new(action, error.clone()),
            None => TransportError::new(ACTION, error),
        };
        self.verdicts.lose(number, lost);
    }

    fn refusal(&mut self) -> Option<TransportError> {
        let outstanding: Vec<u64> = self.confirms.keys().copied().collect();
        for number in outstanding {
            self.look_at(number);
        }
        let (action, error) = self.refused.clone()?;
        Some(TransportError::new(action, error))
    }
}

/// On lapin's thread and immediately, so in the order of settling.
struct Report {
    number: u64,
    settled: UnboundedSender<u64>,
}

impl Wake for Report {
    fn wake(self: Arc<Self>) {
        let _ = self.settled.send(self.number);
    }
}
