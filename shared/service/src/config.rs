//! The validated configuration of a service, which tests build in code.

use messaging::EngineConfig;
use messaging::transport::Broker;
use runtime::config::{GrpcConfig, LifecycleConfig, TelemetryConfig};
use store::DatabaseConfig;

/// `O` is the service's own part.
#[derive(Clone)]
pub struct Config<O> {
    /// The common part.
    pub common: Common,
    /// The part of this service.
    pub own: O,
}

/// The part that every service has.
#[derive(Clone)]
pub struct Common {
    /// The gRPC server.
    pub grpc: GrpcConfig,
    /// The database.
    pub database: DatabaseConfig,
    /// The broker.
    pub broker: Broker,
    /// How events are handled and stored.
    pub engine: EngineConfig,
    /// Logs, traces and metrics.
    pub telemetry: TelemetryConfig,
    /// The shutdown.
    pub lifecycle: LifecycleConfig,
}

impl Common {
    /// Defaults for everything else.
    pub fn new(grpc: GrpcConfig, database: DatabaseConfig, broker: Broker) -> Self {
        Self {
            grpc,
            database,
            broker,
            engine: EngineConfig::default(),
            telemetry: TelemetryConfig::default(),
            lifecycle: LifecycleConfig::default(),
        }
    }

    /// The same with another engine.
    #[must_use]
    pub fn with_engine(mut self, engine: EngineConfig) -> Self {
        self.engine = engine;
        self
    }
}
