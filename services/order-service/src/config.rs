//! What the order service can be told.

use clap::Parser;
use messaging::transport::Broker;
use messaging::{BrokerArgs, EngineArgs, EngineConfig};
use runtime::config::{
    DatabaseArgs, GrpcArgs, GrpcConfig, LifecycleArgs, LifecycleConfig, ModeArgs, Problems,
    TelemetryArgs, TelemetryConfig,
};
use runtime::run;
use store::DatabaseConfig;

mod orders;

pub use orders::{OrderArgs, OrderConfig};

/// The port unless another one is given.
pub const DEFAULT_PORT: u16 = 50052;

/// Orders: gRPC in, events out.
#[derive(Parser)]
#[command(name = "order-service", version, after_help = run::HINT)]
pub struct Args {
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    grpc: GrpcArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    orders: OrderArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
    #[command(flatten)]
    lifecycle: LifecycleArgs,
}

/// The checked configuration.
#[derive(Clone)]
pub struct Config {
    pub grpc: GrpcConfig,
    pub database: DatabaseConfig,
    pub broker: Broker,
    pub engine: EngineConfig,
    pub orders: OrderConfig,
    pub telemetry: TelemetryConfig,
    pub lifecycle: LifecycleConfig,
}

impl runtime::Settings for Args {
    type Config = Config;

    const SECRETS: &'static [&'static str] = &["database_url", "amqp_url"];

    const DEFAULT_PORT: u16 = DEFAULT_PORT;

    fn check(self, problems: &mut Problems) -> Option<Config> {
        let mode = self.mode.check(problems);
        let grpc = self.grpc.check(DEFAULT_PORT, mode, problems);
        let database = self.database.check(problems);
        let mut problem =
            |setting: &str, given: &str, expected: &str| problems.add(setting, given, expected);
        let broker = self.broker.required(&mut problem);
        let engine = self.engine.check(&mut problem);
        let orders = self.orders.check(grpc.as_ref(), problems);
        let telemetry = self.telemetry.check(problems);
        let lifecycle = self.lifecycle.check(problems);
        Some(Config {
            grpc: grpc?,
            database: database?,
            broker: Broker::RabbitMq(broker?),
            engine: engine?,
            orders: orders?,
            telemetry: telemetry?,
            lifecycle: lifecycle?,
        })
    }

    fn telemetry(config: &Config) -> &TelemetryConfig {
        &config.telemetry
    }

    fn lifecycle(config: &Config) -> &LifecycleConfig {
        &config.lifecycle
    }
}
