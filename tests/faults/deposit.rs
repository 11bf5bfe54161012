//! The one event of the workload, and where it goes.

use event::Event;
use messaging::Subscriptions;
use messaging::transport::Topology;

use crate::ledger::effects;

const EXCHANGE: &str = "deposit_events";
pub(crate) const QUEUE: &str = "deposits_queue";

/// Something was paid into an account. Its aggregate version is the account's.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Deposited {
    #[prost(string, tag = "1")]
    pub(crate) account: String,
    /// The command that did it.
    #[prost(string, tag = "2")]
    pub(crate) op: String,
    #[prost(enumeration = "Kind", tag = "3")]
    pub(crate) kind: i32,
    /// The deposit that this one belongs to.
    #[prost(message, optional, boxed, tag = "4")]
    pub(crate) part_of: Option<Box<Deposited>>,
}

/// A newer producer may know others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Kind {
    Unspecified = 0,
    Cash = 1,
}

impl prost::Name for Deposited {
    const NAME: &'static str = "Deposited";
    const PACKAGE: &'static str = "faults.ledger.v1";
}

impl Event for Deposited {
    const EXCHANGE: &'static str = EXCHANGE;
    const AGGREGATE: &'static str = "account";
    const ROUTING_KEY: &'static str = "account.deposited";
    const MAY_BE_UNROUTED: bool = false;
    const SIBLINGS: &'static [&'static str] = &["faults.ledger.v1.Deposited"];

    fn aggregate_id(&self) -> &str {
        &self.account
    }
}

pub(crate) fn producer() -> Topology {
    Topology::publishing([EXCHANGE])
}

pub(crate) fn consumer() -> Topology {
    Topology::default().consuming(subscriptions(false).queue())
}

/// In order, or each on its own: without an order to keep, the inbox alone stands between a duplicate and its effect.
pub(crate) fn subscriptions(each: bool) -> Subscriptions {
    let subscriptions = Subscriptions::new(QUEUE);
    if each {
        subscriptions.on::<Deposited>(effects::record)
    } else {
        subscriptions.in_order::<Deposited>(effects::record)
    }
}
