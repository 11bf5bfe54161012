//! The contracts: the gRPC APIs and the events of all services, generated from `proto/` when the crate is built.
//!
//! The proto files are the only definition of a contract, and the source of the comments on the types here. Every event
//! implements [`Event`] from its option, every message of a request [`Validate`] from its annotations, and `Debug`
//! hides sensitive fields.
//!
//! A new package below `proto/angarium` becomes a module here, like [`user`], without further changes.

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

/// All compiled proto files as an encoded `google.protobuf.FileDescriptorSet`, with imports, comments and our options,
/// for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// All events, in the order of the proto files.
pub const EVENTS: &[EventInfo] = generated::CATALOGUE;

/// All request messages.
pub const READABLE_REQUESTS: &[Readable] = generated::READABLE_REQUESTS;

/// All events, readable by name.
pub const READABLE_EVENTS: &[Readable] = generated::READABLE_EVENTS;

/// The settings that all generated gRPC servers share.
pub trait GrpcServer {
    /// Adds it to `routes`, with the size limits of requests and responses in bytes, and gzip in both directions.
    #[must_use]
    fn add_to(
        self,
        routes: tonic::service::Routes,
        most_bytes: (usize, usize),
    ) -> tonic::service::Routes;
}

/// The contract of an event, for code that works with all events.
#[derive(Clone, Copy, Debug)]
pub struct EventInfo {
    /// The full name of the message, such as `angarium.order.v1.OrderPlaced`.
    pub type_name: &'static str,
    /// The exchange that it is published to, such as `order_events`.
    pub exchange: &'static str,
    /// The aggregate, such as `order`.
    pub aggregate: &'static str,
    /// The routing key, such as `order.placed`.
    pub routing_key: &'static str,
    /// The field that holds the aggregate's id, such as `order_id`.
    pub aggregate_id_field: &'static str,
    /// The field with the id of the person that its personal data belongs to; each event with a sensitive field has
    /// one. The publisher erases the event's data with the person.
    pub person_id_field: Option<&'static str>,
    /// Whether publishing succeeds although no queue takes the event.
    pub may_be_unrouted: bool,
    /// Decodes an event and shows it without sensitive fields, for logs and operators.
    pub show: fn(&[u8]) -> Result<String, prost::DecodeError>,
    /// Decodes an event and returns the id of the person.
    pub person_id: fn(&[u8]) -> Result<Option<String>, prost::DecodeError>,
    /// Decodes an event and encodes it without sensitive fields.
    pub blanked: fn(&[u8]) -> Result<Vec<u8>, prost::DecodeError>,
    /// Decodes an event with the types of this build and encodes it again.
    pub reencode: fn(&[u8]) -> Result<Vec<u8>, prost::DecodeError>,
}

/// The output of the build script.
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
