//! The flags and variables of a service, the common ones and its own. All mistakes are reported together.

use std::path::PathBuf;

use clap::Parser;
use messaging::transport::Broker;
use messaging::{BrokerArgs, EngineArgs};
use runtime::Settings;
use runtime::config::{
    DatabaseArgs, GrpcArgs, GrpcConfig, LifecycleArgs, LifecycleConfig, Mode, ModeArgs, Problems,
    TelemetryArgs, TelemetryConfig,
};

use crate::{Common, Config, Service};

/// The settings of every service.
#[derive(clap::Args)]
pub struct CommonArgs {
    /// Development or production.
    #[command(flatten)]
    pub mode: ModeArgs,
    /// The gRPC server.
    #[command(flatten)]
    pub grpc: GrpcArgs,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs,
    /// How events are handled and stored.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Logs, traces and metrics.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
    /// The shutdown.
    #[command(flatten)]
    pub lifecycle: LifecycleArgs,
}

/// What the checks of a service's own settings may depend on.
pub struct Known {
    /// Development or production.
    pub mode: Mode,
    /// The server, unless its settings are invalid.
    pub grpc: Option<GrpcConfig>,
    /// The folder for files of the service, unless a setting names another one.
    pub folder: PathBuf,
}

/// The settings of one service beyond [`CommonArgs`].
pub trait OwnArgs: clap::Args {
    /// The validated form.
    type Config: Clone + Send + Sync + 'static;

    /// The clap ids (field names) of settings that may also come from a file, named by `<VARIABLE>_FILE`.
    const SECRETS: &'static [&'static str];

    /// Validates. `None` if a setting is invalid; `problems` then has the reasons.
    fn check(self, known: &Known, problems: &mut Problems) -> Option<Self::Config>;
}

/// No settings of its own: `type Args = NoArgs`.
#[derive(clap::Args)]
pub struct NoArgs {}

impl OwnArgs for NoArgs {
    type Config = ();
    const SECRETS: &'static [&'static str] = &[];

    fn check(self, _: &Known, _: &mut Problems) -> Option<()> {
        Some(())
    }
}

impl CommonArgs {
    /// The clap ids of settings that may also come from a file.
    pub const SECRETS: [&'static str; 2] = ["database_url", "amqp_url"];

    /// Validates, for a service in its own process with its own database server and broker.
    pub fn check(self, default_port: u16, problems: &mut Problems) -> (Known, Option<Common>) {
        let mode = self.mode.check(problems);
        let grpc = self.grpc.check(default_port, mode, problems);
        let database = self.database.check(problems);
        let mut problem =
            |setting: &str, given: &str, expected: &str| problems.add(setting, given, expected);
        let broker = self.broker.required(&mut problem);
        let engine = self.engine.check(&mut problem);
        let telemetry = self.telemetry.check(problems);
        let lifecycle = self.lifecycle.check(problems);
        let known = Known {
            mode,
            grpc: grpc.clone(),
            folder: PathBuf::new(),
        };
        let common = || {
            Some(Common {
                grpc: grpc?,
                database: database?,
                broker: Broker::RabbitMq(broker?),
                engine: engine?,
                telemetry: telemetry?,
                lifecycle: lifecycle?,
            })
        };
        (known, common())
    }
}

/// All settings of the service `S` in its own process.
#[derive(Parser)]
#[command(
    name = S::DEFINITION.name,
    about = S::DEFINITION.about,
    version,
    after_help = runtime::run::HINT
)]
pub struct Args<S: Service> {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    own: S::Args,
}

impl<S: Service> Settings for Args<S> {
    type Config = Config<<S::Args as OwnArgs>::Config>;

    const DEFAULT_PORT: u16 = S::DEFINITION.default_port;

    fn secrets() -> Vec<&'static str> {
        [&CommonArgs::SECRETS, <S::Args as OwnArgs>::SECRETS].concat()
    }

    fn check(self, problems: &mut Problems) -> Option<Self::Config> {
        let (known, common) = self.common.check(Self::DEFAULT_PORT, problems);
        let own = self.own.check(&known, problems);
        Some(Config {
            common: common?,
            own: own?,
        })
    }

    fn telemetry(config: &Self::Config) -> &TelemetryConfig {
        &config.common.telemetry
    }

    fn lifecycle(config: &Self::Config) -> &LifecycleConfig {
        &config.common.lifecycle
    }
}
