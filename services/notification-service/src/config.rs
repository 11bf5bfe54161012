//! What the notification service can be told.

use std::path::Path;

use clap::Parser;
use messaging::transport::Broker;
use messaging::{BrokerArgs, EngineArgs, EngineConfig};
use runtime::config::{
    DatabaseArgs, GrpcArgs, GrpcConfig, LifecycleArgs, LifecycleConfig, MailSealingKeyArgs,
    ModeArgs, Problems, TelemetryArgs, TelemetryConfig,
};
use runtime::run;
use runtime::sealed::MasterKey;
use store::DatabaseConfig;

mod mail;

pub use mail::{Delivery, MailArgs, MailConfig};

/// The port unless another one is given.
pub const DEFAULT_PORT: u16 = 50053;

/// The folder of mails unless another one is given.
const DEFAULT_FOLDER: &str = "mails";

/// Notifications: events in, mails out.
#[derive(Parser)]
#[command(name = "notification-service", version, after_help = run::HINT)]
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
    mail: MailArgs,
    #[command(flatten)]
    mail_sealing_key: MailSealingKeyArgs,
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
    pub mail: MailConfig,
    /// Under which the codes in mails come sealed.
    pub mail_sealing_key: MasterKey,
    pub telemetry: TelemetryConfig,
    pub lifecycle: LifecycleConfig,
}

impl runtime::Settings for Args {
    type Config = Config;

    const SECRETS: &'static [&'static str] =
        &["database_url", "amqp_url", "smtp_url", "mail_sealing_key"];

    const DEFAULT_PORT: u16 = DEFAULT_PORT;

    fn check(self, problems: &mut Problems) -> Option<Config> {
        let mode = self.mode.check(problems);
        let grpc = self.grpc.check(DEFAULT_PORT, mode, problems);
        let database = self.database.check(problems);
        let mut problem =
            |setting: &str, given: &str, expected: &str| problems.add(setting, given, expected);
        let broker = self.broker.required(&mut problem);
        let engine = self.engine.check(&mut problem);
        let mail = self.mail.check(Path::new(DEFAULT_FOLDER), problems);
        let mail_sealing_key = self.mail_sealing_key.check(mode, problems);
        let telemetry = self.telemetry.check(problems);
        let lifecycle = self.lifecycle.check(problems);
        Some(Config {
            grpc: grpc?,
            database: database?,
            broker: Broker::RabbitMq(broker?),
            engine: engine?,
            mail: mail?,
            mail_sealing_key: mail_sealing_key?,
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
