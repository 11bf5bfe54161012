//! Configuration from flags and environment, complete and valid before a socket opens.
//!
//! A service flattens the sections that it needs into one `clap` struct of raw strings. [`Settings::check`] turns them
//! into its `Config`, and reports all mistakes together. The value of a secret is never shown. Flags win over the
//! environment, and the environment over files.

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

/// The settings of a process. A service's `clap` struct implements it.
pub trait Settings: clap::Parser {
    /// The validated form, which tests build in code.
    type Config;

    /// The default port.
    const DEFAULT_PORT: u16;

    /// The clap ids (field names) of settings that may also come from a file, named by `<VARIABLE>_FILE`.
    fn secrets() -> Vec<&'static str>;

    /// Validates all settings. `None` if one is invalid; `problems` then has the reasons.
    fn check(self, problems: &mut Problems) -> Option<Self::Config>;

    /// The telemetry section, for [`crate::main`].
    fn telemetry(config: &Self::Config) -> &TelemetryConfig;

    /// The lifecycle section, for [`crate::main`].
    fn lifecycle(config: &Self::Config) -> &LifecycleConfig;
}
