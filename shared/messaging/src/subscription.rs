//! What a service reacts to: a table with one line an event, and what a handler is given and may answer.
//!
//! The queue's bindings follow from the table, so they cannot differ from it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use event::{Envelope, Event};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sea_orm::DbErr;

use crate::outbox::Cause;
use crate::retry::RetryPolicy;
use crate::transaction::Transaction;
use crate::transport::{Binding, Queue};

/// A queue and the handler of each event that comes through it.
pub struct Subscriptions {
    queue: &'static str,
    handlers: HashMap<String, Handler>,
    /// The event of the last line.
    last: String,
    limits: HashMap<String, Limits>,
    /// The aggregates whose events are taken in order: all of them, or versions would have gaps.
    in_order: HashSet<&'static str>,
    /// Event types that this build knows, with or without a handler.
    known: HashSet<&'static str>,
    bindings: BTreeSet<Binding>,
    delivery_limit: u16,
}

struct Limits {
    attempts: u32,
    age: Duration,
}

type Handler = Box<
    dyn for<'a> Fn(&'a Transaction, Bytes, &'a Delivered) -> BoxFuture<'a, Result<(), HandlerError>>
        + Send
        + Sync,
>;

/// How often the broker delivers a message again because the process that had it died. Generous, because neighbours that
/// were merely prefetched are counted too.
const DELIVERY_LIMIT: u16 = 20;

impl Subscriptions {
    /// Nothing yet, from `queue`. Its name is the consumer's name in the inbox as well, so it does not change.
    pub fn new(queue: &'static str) -> Self {
        Self {
            queue,
            handlers: HashMap::new(),
            last: String::new(),
            limits: HashMap::new(),
            in_order: HashSet::new(),
            known: HashSet::new(),
            bindings: BTreeSet::new(),
            delivery_limit: DELIVERY_LIMIT,
        }
    }

    /// Handles each `E` on its own, in whatever order they come.
    #[must_use]
    pub fn on<E: Event>(mut self, handler: impl Handle<E>) -> Self {
        const { event::check::<E>() }
        self.bind(E::EXCHANGE, E::ROUTING_KEY.to_owned());
        self.known.insert(
            E::SIBLINGS
                .iter()
                .copied()
                .find(|name| **name == *E::full_name())
                .unwrap_or_default(),
        );
        self.insert(handler);
        self
    }

    /// Handles `E` in the order of its aggregate's versions, without gaps. The queue then takes all events of such aggregates;
    /// those without a line in the table only move the position.
    #[must_use]
    pub fn in_order<E: Event>(mut self, handler: impl Handle<E>) -> Self {
        const { event::check::<E>() }
        // Not one binding for each known event: a newer producer's events take their turn in the versions as well.
        self.bind(E::EXCHANGE, format!("{}.#", E::AGGREGATE));
        self.in_order.insert(E::AGGREGATE);
        self.known.extend(E::SIBLINGS);
        self.insert(handler);
        self
    }

    /// Gives up on the event of the line before after so many attempts, or once it has failed for so long, where the service's own
    /// limits are wider. For what is of no use any more by then.
    #[must_use]
    pub fn giving_up_after(mut self, attempts: u32, age: Duration) -> Self {
        let limits = Limits { attempts, age };
        self.limits.insert(self.last.clone(), limits);
        self
    }

    /// The queue that these subscriptions need.
    pub fn queue(&self) -> Queue {
        Queue {
            name: self.queue.to_owned(),
            bindings: self.bindings.clone(),
            delivery_limit: self.delivery_limit,
        }
    }

    /// The event types that have a handler.
    pub fn event_types(&self) -> impl Iterator<Item = &str> {
        self.handlers.keys().map(String::as_str)
    }

    pub(crate) fn consumer(&self) -> &'static str {
        self.queue
    }

    /// When events of this type are tried again and given up on, where a service's own policy is `policy`.
    pub(crate) fn policy(&self, event_type: Option<&str>, policy: &RetryPolicy) -> RetryPolicy {
        let mut policy = policy.clone();
        if let Some(limits) = event_type.and_then(|event_type| self.limits.get(event_type)) {
            // Never wider: how long the inbox remembers was judged by the service's own.
            policy.attempts = policy.attempts.min(limits.attempts);
            policy.longest_age = policy.longest_age.min(limits.age);
        }
        policy
    }

    pub(crate) fn knows(&self, event_type: &str) -> bool {
        self.known.contains(event_type)
    }

    pub(crate) fn takes_in_order(&self, aggregate_type: &str) -> bool {
        self.in_order.contains(aggregate_type)
    }

    /// Runs the handler of the event's type, if it has one.
    pub(crate) async fn handle(
        &self,
        transaction: &Transaction,
        body: Bytes,
        delivered: &Delivered,
    ) -> Result<(), HandlerError> {
        match self.handlers.get(&delivered.envelope.event_type) {
            None => Ok(()),
            Some(handler) => handler(transaction, body, delivered).await,
        }
    }

    fn bind(&mut self, exchange: &str, pattern: String) {
        self.bindings.insert(Binding {
            exchange: exchange.to_owned(),
            pattern,
        });
    }

    fn insert<E: Event>(&mut self, handle: impl Handle<E>) {
        let handler: Handler = Box::new(move |transaction, body, delivered| {
            let event = match decode::<E>(body, &delivered.envelope) {
                Ok(event) => event,
                Err(error) => return std::future::ready(Err(error)).boxed(),
            };
            handle.handle(transaction, event, delivered)
        });
        self.last = E::full_name();
        self.handlers.insert(self.last.clone(), handler);
    }
}

fn decode<E: Event>(body: Bytes, envelope: &Envelope) -> Result<E, HandlerError> {
    let event =
        E::decode(body).map_err(|error| HandlerError::reject(format!("undecodable: {error}")))?;
    if event.aggregate_id() != envelope.aggregate_id {
        return Err(HandlerError::reject(format!(
            "undecodable: its header names aggregate `{}`, its body another one",
            envelope.aggregate_id
        )));
    }
    Ok(event)
}

/// An `async fn(&Transaction, E, &Delivered) -> Result<(), HandlerError>`: implemented for all such functions.
///
/// The transaction has the inbox row in it already: whatever the handler writes through it happens exactly once for the
/// event. What it does outside of it does not, so it does nothing outside.
pub trait Handle<E>: Send + Sync + 'static {
    /// Calls the function.
    fn handle<'a>(
        &self,
        transaction: &'a Transaction,
        event: E,
        delivered: &'a Delivered,
    ) -> BoxFuture<'a, Result<(), HandlerError>>;
}

impl<E, F> Handle<E> for F
where
    F: for<'a> Call<'a, E> + Send + Sync + 'static,
{
    fn handle<'a>(
        &self,
        transaction: &'a Transaction,
        event: E,
        delivered: &'a Delivered,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        self.call(transaction, event, delivered).boxed()
    }
}

/// Names the future that an `async fn` returns for one lifetime, which `Fn` alone cannot.
pub trait Call<'a, E> {
    /// The future.
    type Future: Future<Output = Result<(), HandlerError>> + Send + 'a;

    /// Calls the function.
    fn call(
        &self,
        transaction: &'a Transaction,
        event: E,
        delivered: &'a Delivered,
    ) -> Self::Future;
}

impl<'a, E, F, R> Call<'a, E> for F
where
    F: Fn(&'a Transaction, E, &'a Delivered) -> R,
    R: Future<Output = Result<(), HandlerError>> + Send + 'a,
{
    type Future = R;

    fn call(&self, transaction: &'a Transaction, event: E, delivered: &'a Delivered) -> R {
        self(transaction, event, delivered)
    }
}

/// An event's circumstances, for its handler.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// What travelled beside the event.
    pub envelope: Envelope,
    /// 1, and one more after each failure.
    pub attempt: u32,
}

impl Delivered {
    /// The cause of what the handler enqueues in turn.
    pub fn cause(&self) -> Cause {
        Cause {
            correlation_id: self.envelope.correlation_id.clone(),
            event_id: Some(self.envelope.id),
        }
    }
}

/// Why a handler could not do its work, and what is to become of the event. Either way its transaction is rolled back.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// It may work later: the event is deferred, until its attempts or its age are used up.
    #[error("{0}")]
    Retry(Box<dyn std::error::Error + Send + Sync>),
    /// It will never work: the event is dead until somebody replays it.
    #[error("{0}")]
    Reject(Box<dyn std::error::Error + Send + Sync>),
}

impl HandlerError {
    /// Try again later.
    pub fn retry(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Retry(cause.into())
    }

    /// What the database has answered, where that is the cause and says nothing of the statement: it was away, or has given the
    /// transaction up for the sake of another one.
    pub(crate) fn store_failure(&self) -> Option<DbErr> {
        let Self::Retry(cause) = self else {
            return None;
        };
        let error = cause.downcast_ref::<DbErr>()?;
        store::is_transient(error).then(|| error.clone())
    }

    /// Give up on this event.
    pub fn reject(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Reject(cause.into())
    }
}

/// A statement that failed may work on another day. Hand a database's error on as it is: where the database was away, the event is
/// taken up again without an attempt being spent.
impl From<DbErr> for HandlerError {
    fn from(error: DbErr) -> Self {
        Self::retry(error)
    }
}
