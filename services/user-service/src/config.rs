//! What the user service can be told.

use clap::Parser;
use messaging::transport::Broker;
use messaging::{BrokerArgs, EngineArgs, EngineConfig};
use runtime::config::{
    DatabaseArgs, GrpcArgs, GrpcConfig, LifecycleArgs, LifecycleConfig, MailSealingKeyArgs,
    ModeArgs, Problems, SecretKeyArgs, TelemetryArgs, TelemetryConfig,
};
use runtime::run;
use runtime::sealed::MasterKey;
use store::DatabaseConfig;

mod identity;

pub use identity::{IdentityArgs, IdentityConfig};

/// The port unless another one is given.
pub const DEFAULT_PORT: u16 = 50051;

/// Users: gRPC in, events out.
#[derive(Parser)]
#[command(name = "user-service", version, after_help = run::HINT)]
pub struct Args {
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    secret_key: SecretKeyArgs,
    #[command(flatten)]
    mail_sealing_key: MailSealingKeyArgs,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    grpc: GrpcArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
    #[command(flatten)]
    lifecycle: LifecycleArgs,
}

/// The checked configuration.
#[derive(Clone)]
pub struct Config {
    pub secret_key: MasterKey,
    pub mail_sealing_key: MasterKey,
    pub identity: IdentityConfig,
    pub grpc: GrpcConfig,
    pub database: DatabaseConfig,
    pub broker: Broker,
    pub engine: EngineConfig,
    pub telemetry: TelemetryConfig,
    pub lifecycle: LifecycleConfig,
}

impl runtime::Settings for Args {
    type Config = Config;

    const SECRETS: &'static [&'static str] =
        &["database_url", "amqp_url", "secret_key", "mail_sealing_key"];

    const DEFAULT_PORT: u16 = DEFAULT_PORT;

    fn check(self, problems: &mut Problems) -> Option<Config> {
        let mode = self.mode.check(problems);
        let secret_key = self.secret_key.check(mode, problems);
        let mail_sealing_key = self.mail_sealing_key.check(mode, problems);
        let identity = self.identity.check(problems);
        let grpc = self.grpc.check(DEFAULT_PORT, mode, problems);
        let database = self.database.check(problems);
        let mut problem =
            |setting: &str, given: &str, expected: &str| problems.add(setting, given, expected);
        let broker = self.broker.required(&mut problem);
        let engine = self.engine.check(&mut problem);
        let telemetry = self.telemetry.check(problems);
        let lifecycle = self.lifecycle.check(problems);
        Some(Config {
            secret_key: secret_key?,
            mail_sealing_key: mail_sealing_key?,
            identity: identity?,
            grpc: grpc?,
            database: database?,
            broker: Broker::RabbitMq(broker?),
            engine: engine?,
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
