//! The event of the workload, where it goes, and an event that only a newer release of the consumer knows.

use event::Event;
use messaging::Subscriptions;
use messaging::transport::Topology;

use crate::workload::effects;

const EXCHANGE: &str = "deposit_events";
pub(crate) const QUEUE: &str = "deposits_queue";

/// Money was paid into an account. The aggregate is the account.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Deposited {
    #[prost(string, tag = "1")]
    pub(crate) account: String,
    /// The name of the command.
    #[prost(string, tag = "2")]
    pub(crate) op: String,
    #[prost(enumeration = "Kind", tag = "3")]
    pub(crate) kind: i32,
    /// The deposit that this one belongs to.
    #[prost(message, optional, boxed, tag = "4")]
    pub(crate) part_of: Option<Box<Deposited>>,
}

/// A newer producer may have other values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Kind {
    Unspecified = 0,
    Cash = 1,
}

impl prost::Name for Deposited {
    const NAME: &'static str = "Deposited";
    const PACKAGE: &'static str = "faults.workload.v1";
}

impl Event for Deposited {
    const EXCHANGE: &'static str = EXCHANGE;
    const AGGREGATE: &'static str = "account";
    const ROUTING_KEY: &'static str = "account.deposited";
    const MAY_BE_UNROUTED: bool = false;
    const SIBLINGS: &'static [&'static str] = &["faults.workload.v1.Deposited"];

    fn aggregate_id(&self) -> &str {
        &self.account
    }
}

/// Money was collected from an account: a type that the older release does not know.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Collected {
    #[prost(string, tag = "1")]
    pub(crate) account: String,
    /// The name of the command.
    #[prost(string, tag = "2")]
    pub(crate) op: String,
}

impl prost::Name for Collected {
    const NAME: &'static str = "Collected";
    const PACKAGE: &'static str = "faults.workload.v1";
}

impl Event for Collected {
    const EXCHANGE: &'static str = EXCHANGE;
    const AGGREGATE: &'static str = "account";
    const ROUTING_KEY: &'static str = "account.collected";
    const MAY_BE_UNROUTED: bool = false;
    const SIBLINGS: &'static [&'static str] = &["faults.workload.v1.Collected"];

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

/// In order, or each event on its own: there only the inbox keeps a second effect out.
pub(crate) fn subscriptions(each: bool) -> Subscriptions {
    let subscriptions = Subscriptions::new(QUEUE);
    if each {
        subscriptions.on::<Deposited>(effects::record)
    } else {
        subscriptions.in_order::<Deposited>(effects::record)
    }
}

/// The subscriptions of the newer release.
pub(crate) fn newer_subscriptions(each: bool) -> Subscriptions {
    let subscriptions = subscriptions(each);
    if each {
        subscriptions.on::<Collected>(effects::record_collected)
    } else {
        subscriptions.in_order::<Collected>(effects::record_collected)
    }
}
