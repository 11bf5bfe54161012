//! What a service reacts to: a table with one line an event, and what a handler is given and may answer.
//!
//! The queue's bindings follow from the table, so they cannot differ from it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event::{Envelope, Event};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::retry::RetryPolicy;
use crate::transaction::Transaction;
use crate::transport::{Binding, Queue};

mod handler;

pub use handler::{Advanced, Call, Delivered, Handle, HandlerError};

/// A queue and the handler of each event that comes through it.
pub struct Subscriptions {
    queue: &'static str,
    handlers: HashMap<String, Handler>,
    /// By the type of each event of the aggregates that are observed.
    observers: HashMap<&'static str, Arc<dyn Handle<Advanced>>>,
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
            observers: HashMap::new(),
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
        self.take_whole::<E>();
        self.insert(handler);
        self
    }

    /// Calls `observer` for every event of `E`'s aggregate that this build knows, in the order of the versions and in the event's
    /// transaction, before the event's own handler if it has one. `E` is any of these events. For a view that keeps the
    /// aggregate's version: an event that the contracts gain later moves it without a further line.
    #[must_use]
    pub fn observe<E: Event>(mut self, observer: impl Handle<Advanced>) -> Self {
        self.take_whole::<E>();
        let observer: Arc<dyn Handle<Advanced>> = Arc::new(observer);
        for event_type in E::SIBLINGS.iter().copied() {
            self.observers.insert(event_type, Arc::clone(&observer));
        }
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

    /// The event types that an observer of their aggregate sees.
    pub fn observed_types(&self) -> impl Iterator<Item = &str> {
        self.observers.keys().copied()
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

    /// Runs the observer of the event's aggregate and the handler of its type, as far as there are any.
    pub(crate) async fn handle(
        &self,
        transaction: &Transaction,
        body: Bytes,
        delivered: &Delivered,
    ) -> Result<(), HandlerError> {
        let event_type = delivered.envelope.event_type.as_str();
        if let Some(observer) = self.observers.get(event_type) {
            let advanced = advanced(&delivered.envelope)?;
            observer.handle(transaction, advanced, delivered).await?;
        }
        match self.handlers.get(event_type) {
            None => Ok(()),
            Some(handler) => handler(transaction, body, delivered).await,
        }
    }

    /// All events of the aggregate, and each in its turn.
    fn take_whole<E: Event>(&mut self) {
        const { event::check::<E>() }
        // Not one binding for each known event: a newer producer's events take their turn in the versions as well.
        self.bind(E::EXCHANGE, format!("{}.#", E::AGGREGATE));
        self.in_order.insert(E::AGGREGATE);
        self.known.extend(E::SIBLINGS);
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

fn advanced(envelope: &Envelope) -> Result<Advanced, HandlerError> {
    let version = envelope.aggregate_version;
    let version = version.ok_or_else(|| HandlerError::reject("it has no cloudEvents_sequence"))?;
    Ok(Advanced {
        aggregate_id: envelope.aggregate_id.clone(),
        version,
    })
}
