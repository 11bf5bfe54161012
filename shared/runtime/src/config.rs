//! Configuration from flags and environment, complete and valid before a socket opens.
//!
//! A service flattens the sections it needs into one `clap` struct of raw strings and turns them into its `Config` in
//! [`Settings::check`]. Every mistake is collected first and all are named at once, with flag, variable, what was given
//! and what is expected; what a secret was given is never shown. Flags win over the environment, which wins over files.

mod callers;
mod clients;
mod database;
mod described;
mod grpc;
mod keys;
mod lifecycle;
mod load;
mod mode;
mod problems;
mod telemetry;
mod tls;

pub use callers::{CallerArgs, CallerConfig};
pub use clients::{ClientArgs, ClientConfig};
pub use database::DatabaseArgs;
pub use described::Described;
pub use grpc::{GrpcArgs, GrpcConfig};
pub use keys::{SecretKeyArgs, check_distinct, master_key};
pub use lifecycle::{LifecycleArgs, LifecycleConfig};
pub use load::{ConfigError, load, load_described};
pub use mode::{Mode, ModeArgs};
pub use problems::Problems;
pub use telemetry::{LogFormat, TelemetryArgs, TelemetryConfig};
pub use tls::{TlsArgs, TlsConfig};

/// What a process can be told. Implemented by a service's `clap` struct.
pub trait Settings: clap::Parser {
    /// The checked form: what the service is built from. Tests build it in code.
    type Config;

    /// The port unless another one is given.
    const DEFAULT_PORT: u16;

    /// Argument ids (the fields' names) of this struct that may also come from the file named by `<VARIABLE>_FILE`.
    fn secrets() -> Vec<&'static str>;

    /// Turns raw strings into the configuration. Goes on after a mistake, so that all are found; `None` where any was.
    fn check(self, problems: &mut Problems) -> Option<Self::Config>;

    /// Where [`crate::main`] finds the telemetry section.
    fn telemetry(config: &Self::Config) -> &TelemetryConfig;

    /// Where [`crate::main`] finds the lifecycle section.
    fn lifecycle(config: &Self::Config) -> &LifecycleConfig;
}
