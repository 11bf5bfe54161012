//! The subscriptions of a service: a table with one line per event, and the types of handlers.
//!
//! The queue's bindings derive from the table, so the two cannot differ.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use event::{CHECKPOINT_KEY, CHECKPOINT_TYPE, Envelope, Event};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tracing::Span;

use crate::transaction::Transaction;
use crate::transport::{Binding, Queue};

mod batch;
mod dispatch;
mod handler;

pub use batch::{CallBatch, HandleBatch, Received};
pub use handler::{Advanced, Call, Delivered, Handle, HandlerError};

/// A queue, and the handler of each of its events.
pub struct Subscriptions {
    queue: &'static str,
    handlers: HashMap<String, Handler>,
    observers: HashMap<&'static str, Observer>,
    last: String,
    limits: HashMap<String, Limits>,
    /// The consumer takes all their events; otherwise versions would have gaps.
    in_order: HashSet<&'static str>,
    known: HashSet<&'static str>,
    bindings: BTreeSet<Binding>,
    delivery_limit: u16,
}

struct Limits {
    attempts: u32,
    age: Duration,
}

enum Handler {
    One(OneByOne),
    Batch(ByBatch),
}

type OneByOne = Box<
    dyn for<'a> Fn(&'a Transaction, Bytes, &'a Delivered) -> BoxFuture<'a, Result<(), HandlerError>>
        + Send
        + Sync,
>;

type ByBatch = Box<
    dyn for<'a> Fn(&'a Transaction, Vec<Given<'a>>) -> BoxFuture<'a, Result<(), HandlerError>>
        + Send
        + Sync,
>;

struct Observer {
    observer: Box<dyn Handle<Advanced>>,
    types: &'static [&'static str],
}

pub(crate) struct Given<'a> {
    pub(crate) aggregate_type: &'a str,
    pub(crate) body: Bytes,
    pub(crate) delivered: &'a Delivered,
    pub(crate) span: Span,
}

/// Generous, because prefetched neighbours of a killing message count as well.
const DELIVERY_LIMIT: u16 = 20;

impl Subscriptions {
    /// An empty table for `queue`, which is also the consumer's name in the inbox, so it must not change.
    pub fn new(queue: &'static str) -> Self {
        Self {
            queue,
            handlers: HashMap::new(),
            observers: HashMap::new(),
            last: String::new(),
            limits: HashMap::new(),
            in_order: HashSet::new(),
            known: HashSet::from([CHECKPOINT_TYPE]),
            bindings: BTreeSet::new(),
            delivery_limit: DELIVERY_LIMIT,
        }
    }

    /// Handles each `E` separately, in any order.
    #[must_use]
    pub fn on<E: Event>(mut self, handler: impl Handle<E>) -> Self {
        const { event::check::<E>() }
        self.take_one::<E>();
        self.insert(handler);
        self
    }

    /// As [`Self::on`], but all waiting events in one call, which can write them in one statement. They succeed
    /// together; if the call fails, each event gets its own call.
    #[must_use]
    pub fn on_batch<E: Event>(mut self, handler: impl HandleBatch<E>) -> Self {
        const { event::check::<E>() }
        self.take_one::<E>();
        self.insert_batch(handler);
        self
    }

    /// Handles `E` in the order of its aggregate's versions, without gaps. The queue then gets all events of such
    /// aggregates; types without a line only advance the position.
    #[must_use]
    pub fn in_order<E: Event>(mut self, handler: impl Handle<E>) -> Self {
        self.take_whole::<E>();
        self.insert(handler);
        self
    }

    /// As [`Self::in_order`], but in batches like [`Self::on_batch`]. In the call, each aggregate's events are in
    /// order.
    #[must_use]
    pub fn in_order_batch<E: Event>(mut self, handler: impl HandleBatch<E>) -> Self {
        self.take_whole::<E>();
        self.insert_batch(handler);
        self
    }

    /// Calls `observer` for every event of `E`'s aggregate, in order and in the event's transaction, before its own
    /// handler, if any. `E` is any of these events. For a view that stores the aggregate's version: new events of the
    /// contracts advance it without another line, even if they are skipped as unknown.
    #[must_use]
    pub fn observe<E: Event>(mut self, observer: impl Handle<Advanced>) -> Self {
        self.take_whole::<E>();
        let observer = Observer {
            observer: Box::new(observer),
            types: E::SIBLINGS,
        };
        self.observers.insert(E::AGGREGATE, observer);
        self
    }

    /// Limits the attempts and the age of the event in the previous line, within the service's own limits. For effects
    /// that are useless later.
    #[must_use]
    pub fn giving_up_after(mut self, attempts: u32, age: Duration) -> Self {
        let limits = Limits { attempts, age };
        self.limits.insert(self.last.clone(), limits);
        self
    }

    /// The queue, with the bindings of checkpoints, which come through it behind the events.
    pub fn queue(&self) -> Queue {
        let checkpoints = self.bindings.iter().map(|binding| Binding {
            exchange: binding.exchange.clone(),
            pattern: CHECKPOINT_KEY.to_owned(),
        });
        Queue {
            name: self.queue.to_owned(),
            bindings: checkpoints.chain(self.bindings.iter().cloned()).collect(),
            delivery_limit: self.delivery_limit,
        }
    }

    pub(crate) fn bindings(&self) -> &BTreeSet<Binding> {
        &self.bindings
    }

    /// The event types with a handler.
    pub fn event_types(&self) -> impl Iterator<Item = &str> {
        self.handlers.keys().map(String::as_str)
    }

    /// The event types of observed aggregates.
    pub fn observed_types(&self) -> impl Iterator<Item = &str> {
        let types = self.observers.values().map(|observer| observer.types);
        types.flatten().copied()
    }

    fn take_one<E: Event>(&mut self) {
        self.bind(E::EXCHANGE, E::ROUTING_KEY.to_owned());
        let name = E::full_name();
        let known = E::SIBLINGS.iter().copied().find(|it| **it == *name);
        self.known.extend(known);
    }

    fn take_whole<E: Event>(&mut self) {
        const { event::check::<E>() }
        // Not one binding per known event: events of a newer producer have versions as well.
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
        let call: OneByOne = Box::new(move |transaction, body, delivered| {
            let event = match decode::<E>(body, &delivered.envelope) {
                Ok(event) => event,
                Err(error) => return std::future::ready(Err(error)).boxed(),
            };
            handle.handle(transaction, event, delivered)
        });
        self.insert_handler::<E>(Handler::One(call));
    }

    fn insert_batch<E: Event>(&mut self, handle: impl HandleBatch<E>) {
        let call: ByBatch = Box::new(move |transaction, events| {
            let received = events.into_iter().map(|given| {
                Ok(Received {
                    event: decode::<E>(given.body, &given.delivered.envelope)?,
                    delivered: given.delivered,
                    span: given.span,
                })
            });
            match received.collect() {
                Ok(events) => handle.handle(transaction, events),
                Err(error) => std::future::ready(Err(error)).boxed(),
            }
        });
        self.insert_handler::<E>(Handler::Batch(call));
    }

    fn insert_handler<E: Event>(&mut self, handler: Handler) {
        self.last = E::full_name();
        self.handlers.insert(self.last.clone(), handler);
    }
}

fn decode<E: Event>(body: Bytes, envelope: &Envelope) -> Result<E, HandlerError> {
    let event =
        E::decode(body).map_err(|error| HandlerError::reject(format!("undecodable: {error}")))?;
    if event.aggregate_id() != envelope.aggregate_id {
        return Err(HandlerError::reject(format!(
            "undecodable: its header names aggregate `{}`, but its body another one",
            envelope.aggregate_id
        )));
    }
    Ok(event)
}
