//! The contracts: the gRPC APIs and the events of all services, generated from `proto/` when the crate is built.
//!
//! The proto files are the only place where a contract is written; the comments on the types here are theirs. Every
//! event implements [`Event`] by its own option, every message of a request [`Validate`] by its annotations, and messages with
//! sensitive fields do not show them in `Debug`.
//! Nothing generated is kept in the repository, and no protoc is needed.
//!
//! A new package below `proto/angarium` is a module here, as [`user`] is; everything follows from its files.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod readable;
mod validation;

pub use event::Event;
pub use readable::{Readable, Reading};
pub use validation::{FieldViolation, Validate};
#[doc(hidden)]
pub use validation::{Findings, Form};

include!(concat!(env!("OUT_DIR"), "/shown.rs"));

/// Amounts of money, as `google.type.Money` defines them.
pub mod money {
    pub use crate::generated::google::r#type::Money;
}

/// All compiled proto files as an encoded `google.protobuf.FileDescriptorSet`: imports, comments and our own options
/// included. What server reflection answers from.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// Every event there is, in the order of the proto files.
pub const EVENTS: &[EventInfo] = generated::CATALOGUE;

/// Every request there is, and what stands in one.
pub const READABLE_REQUESTS: &[Readable] = generated::READABLE_REQUESTS;

/// Every event there is, to be read by its name.
pub const READABLE_EVENTS: &[Readable] = generated::READABLE_EVENTS;

/// A generated gRPC server, with what is set on all of them.
pub trait GrpcServer {
    /// Adds it to `routes`, with the most bytes of a request and of a response, and gzip in both directions.
    #[must_use]
    fn add_to(
        self,
        routes: tonic::service::Routes,
        most_bytes: (usize, usize),
    ) -> tonic::service::Routes;
}

/// What the contract says about an event: for those who have to know events without naming their types.
#[derive(Clone, Copy, Debug)]
pub struct EventInfo {
    /// The full name of the message, such as `angarium.order.v1.OrderPlaced`: the event's type on the wire.
    pub type_name: &'static str,
    /// The exchange that it is published to, such as `order_events`.
    pub exchange: &'static str,
    /// What it is about, such as `order`.
    pub aggregate: &'static str,
    /// The routing key, such as `order.placed`.
    pub routing_key: &'static str,
    /// The field that holds the aggregate's id, such as `order_id`.
    pub aggregate_id_field: &'static str,
    /// The field that holds the id of the person whose personal data it holds. Each event with a sensitive field has one, and its
    /// publisher erases it with the person.
    pub person_id_field: Option<&'static str>,
    /// Whether publishing succeeds although no queue takes the event.
    pub may_be_unrouted: bool,
    /// Reads an event and shows it as a log or an operator may see it: without what is sensitive.
    pub show: fn(&[u8]) -> Result<String, prost::DecodeError>,
    /// Reads an event. Returns the id of the person that its personal data belongs to.
    pub person_id: fn(&[u8]) -> Result<Option<String>, prost::DecodeError>,
    /// Reads an event, and writes it again without what is sensitive.
    pub blanked: fn(&[u8]) -> Result<Vec<u8>, prost::DecodeError>,
    /// Reads an event with the types of this build, and writes it again.
    pub reencode: fn(&[u8]) -> Result<Vec<u8>, prost::DecodeError>,
}

/// What the build has written.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "the generators silence lints that their own code would trip"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/events.rs"));
    include!(concat!(env!("OUT_DIR"), "/redaction.rs"));
    include!(concat!(env!("OUT_DIR"), "/servers.rs"));
    include!(concat!(env!("OUT_DIR"), "/validation.rs"));

    include!(concat!(env!("OUT_DIR"), "/packages.rs"));

    pub(crate) mod google {
        pub(crate) mod r#type {
            tonic::include_proto!("google.r#type");
        }
    }
}
