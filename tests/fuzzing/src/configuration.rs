//! Configuration errors of an operator: flags, and the secrets in them.

use std::ffi::OsString;

use clap::Parser;
use messaging::BrokerArgs;
use runtime::Settings;
use runtime::config::{
    self, DatabaseArgs, GrpcArgs, LifecycleArgs, LifecycleConfig, ModeArgs, Problems,
    TelemetryArgs, TelemetryConfig,
};

/// Part of every tested URL. No output may contain it.
const PASSWORD: &str = "hunter2";

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    grpc: GrpcArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
    #[command(flatten)]
    lifecycle: LifecycleArgs,
}

struct Config {
    shown: String,
    telemetry: TelemetryConfig,
    lifecycle: LifecycleConfig,
}

impl Settings for Args {
    type Config = Config;
    const DEFAULT_PORT: u16 = 50051;

    fn secrets() -> Vec<&'static str> {
        vec!["database_url", "amqp_url"]
    }

    fn check(self, problems: &mut Problems) -> Option<Config> {
        let mode = self.mode.check(problems);
        let grpc = self.grpc.check(Self::DEFAULT_PORT, mode, problems);
        let database = self.database.check(problems);
        let broker = self.broker.check(&mut |setting, given, expected| {
            problems.add(setting, given, expected);
        });
        Some(Config {
            shown: format!("{:?} {:?} {:?}", grpc?, database?, broker?),
            telemetry: self.telemetry.check(problems)?,
            lifecycle: self.lifecycle.check(problems)?,
        })
    }

    fn telemetry(config: &Config) -> &TelemetryConfig {
        &config.telemetry
    }

    fn lifecycle(config: &Config) -> &LifecycleConfig {
        &config.lifecycle
    }
}

/// Parses a command line. No output shows a secret, whether it is valid or not.
pub fn configuration(bytes: &[u8]) {
    let [listen, deadline, rate, database, broker, filter] = crate::lines(bytes);
    let args = [
        "a-service".to_owned(),
        format!("--grpc-listen={listen}"),
        format!("--grpc-deadline={deadline}"),
        format!("--grpc-rate-limit={rate}"),
        format!("--database-url=postgres://me:{PASSWORD}@{database}"),
        format!("--amqp-url=amqp://me:{PASSWORD}@{broker}"),
        format!("--log-filter={filter}"),
    ];
    let said = match config::load::<Args>(args.map(OsString::from)) {
        Ok(config) => config.shown,
        Err(error) => error.to_string(),
    };
    let given = [&listen, &deadline, &rate, &database, &broker, &filter];
    if given.iter().all(|text| !text.contains(PASSWORD)) {
        assert!(!said.contains(PASSWORD), "{said}");
    }
}
