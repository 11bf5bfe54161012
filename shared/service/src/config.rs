//! The checked configuration of a service. Tests build it in code.

use messaging::EngineConfig;
use messaging::transport::Broker;
use runtime::config::{GrpcConfig, LifecycleConfig, TelemetryConfig};
use store::DatabaseConfig;

/// The checked configuration of a service, of which `O` is its own part.
#[derive(Clone)]
pub struct Config<O> {
    /// What every service has.
    pub common: Common,
    /// What this one has besides.
    pub own: O,
}

/// The checked configuration that every service has.
#[derive(Clone)]
pub struct Common {
    /// Where and how calls are taken.
    pub grpc: GrpcConfig,
    /// Where its rows are.
    pub database: DatabaseConfig,
    /// Where its events go and come from.
    pub broker: Broker,
    /// How events are handled and kept.
    pub engine: EngineConfig,
    /// Logs, traces and metrics.
    pub telemetry: TelemetryConfig,
    /// How the process ends.
    pub lifecycle: LifecycleConfig,
}

impl Common {
    /// With the defaults of everything else.
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

    /// As it is, with another engine.
    #[must_use]
    pub fn with_engine(mut self, engine: EngineConfig) -> Self {
        self.engine = engine;
        self
    }
}
