//! The engine's sections of a service's configuration: the broker, and how events are handled and stored.
//!
//! Validation passes each mistake to a callback, so that all are reported together.

mod broker;
mod engine;
mod tls;

pub use broker::BrokerArgs;
pub use engine::EngineArgs;
pub use tls::BrokerTlsArgs;
