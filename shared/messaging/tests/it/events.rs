//! The events of the tests, written by hand as the build of `contracts` generates them.

use event::{Envelope, Event, Message, TraceContext};
pub(crate) use testkit::message;

pub(crate) const EXCHANGE: &str = "account_events";
const PACKAGE: &str = "test.account.v1";
const SIBLINGS: &[&str] = &["test.account.v1.Changed", "test.account.v1.Audited"];

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Changed {
    #[prost(string, tag = "1")]
    pub(crate) account: String,
    #[prost(string, tag = "2")]
    pub(crate) note: String,
    #[prost(uint32, tag = "3")]
    pub(crate) failures: u32,
    #[prost(enumeration = "Failure", tag = "4")]
    pub(crate) failure: i32,
    #[prost(bool, tag = "5")]
    pub(crate) echo: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Failure {
    Retry = 0,
    Reject = 1,
    Panic = 2,
    Hang = 3,
    Swallow = 4,
}

impl Changed {
    pub(crate) fn of(account: &str) -> Self {
        Self {
            account: account.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn failing(account: &str, failures: u32, failure: Failure) -> Self {
        Self {
            failures,
            failure: failure.into(),
            ..Self::of(account)
        }
    }
}

impl prost::Name for Changed {
    const NAME: &'static str = "Changed";
    const PACKAGE: &'static str = PACKAGE;
}

impl Event for Changed {
    const EXCHANGE: &'static str = EXCHANGE;
    const AGGREGATE: &'static str = "account";
    const ROUTING_KEY: &'static str = "account.changed";
    const MAY_BE_UNROUTED: bool = false;
    const SIBLINGS: &'static [&'static str] = SIBLINGS;

    fn aggregate_id(&self) -> &str {
        &self.account
    }

    fn person_id(&self) -> Option<&str> {
        (!self.note.is_empty()).then_some(self.note.as_str())
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Audited {
    #[prost(string, tag = "1")]
    pub(crate) account: String,
}

impl prost::Name for Audited {
    const NAME: &'static str = "Audited";
    const PACKAGE: &'static str = PACKAGE;
}

impl Event for Audited {
    const EXCHANGE: &'static str = EXCHANGE;
    const AGGREGATE: &'static str = "account";
    const ROUTING_KEY: &'static str = "account.audited";
    const MAY_BE_UNROUTED: bool = false;
    const SIBLINGS: &'static [&'static str] = SIBLINGS;

    fn aggregate_id(&self) -> &str {
        &self.account
    }
}

/// The other events do not know it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Renamed {
    #[prost(string, tag = "1")]
    pub(crate) account: String,
}

impl Renamed {
    pub(crate) fn of(account: &str) -> Self {
        Self {
            account: account.to_owned(),
        }
    }
}

impl prost::Name for Renamed {
    const NAME: &'static str = "Renamed";
    const PACKAGE: &'static str = PACKAGE;
}

impl Event for Renamed {
    const EXCHANGE: &'static str = EXCHANGE;
    const AGGREGATE: &'static str = "account";
    const ROUTING_KEY: &'static str = "account.renamed";
    const MAY_BE_UNROUTED: bool = false;
    const SIBLINGS: &'static [&'static str] = &[
        "test.account.v1.Changed",
        "test.account.v1.Audited",
        "test.account.v1.Renamed",
    ];

    fn aggregate_id(&self) -> &str {
        &self.account
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Echoed {
    #[prost(string, tag = "1")]
    pub(crate) echo: String,
}

impl prost::Name for Echoed {
    const NAME: &'static str = "Echoed";
    const PACKAGE: &'static str = PACKAGE;
}

impl Event for Echoed {
    const EXCHANGE: &'static str = "echo_events";
    const AGGREGATE: &'static str = "echo";
    const ROUTING_KEY: &'static str = "echo.echoed";
    const MAY_BE_UNROUTED: bool = true;
    const SIBLINGS: &'static [&'static str] = &["test.account.v1.Echoed"];

    fn aggregate_id(&self) -> &str {
        &self.echo
    }
}

pub(crate) fn message_in<E: Event>(event: &E, version: i64, trace: TraceContext) -> Message {
    let envelope = Envelope {
        trace,
        ..testkit::envelope::<E>(event.aggregate_id(), version)
    };
    testkit::message_in(&envelope, event)
}

pub(crate) fn id(message: &Message) -> String {
    message.message_id.clone().unwrap_or_default()
}
