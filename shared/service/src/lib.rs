//! The chassis of every service: the shared crate that combines contracts, messaging and runtime.
//!
//! A service is a [`Definition`] and a function that returns its routes and workers ([`Service`]). The [`Host`]
//! connects, migrates, declares, binds, serves and drains. [`main`] is the `main` function of such a process.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod args;
mod commands;
mod config;
mod definition;
mod erasure;
mod error;
mod host;
mod ids;
pub mod keys;
mod ops;
mod parts;
pub mod time;
pub mod user_deletion;

use std::ffi::OsString;
use std::process::ExitCode;

use sea_orm_migration::MigrationTrait;

pub use args::{Args, CommonArgs, Known, NoArgs, OwnArgs};
pub use commands::{AnsweredCommand, Begun, Command, CommandStore};
pub use config::{Common, Config};
pub use definition::{Definition, Keys, Schema};
pub use error::CommonError;
pub use host::Host;
pub use ids::{event_id, stored_id, unreadable};
pub use ops::RULES as OPS_RULES;
pub use parts::{Base, ListState, OfState, Parts};

/// A service: its definition, its settings and its parts.
///
/// ```
/// use contracts::user::v1::KeyPublished;
/// use messaging::Subscriptions;
/// use runtime::config::Problems;
/// use sea_orm_migration::prelude::*;
/// use service::{Base, Definition, Keys, Known, OwnArgs, Parts, Schema, Service};
///
/// struct App;
///
/// impl Service for App {
///     const DEFINITION: Definition = Definition {
///         name: "echo-service",
///         about: "Echoes: gRPC in, nothing out",
///         grpc_service: "angarium.echo.v1.EchoService",
///         default_port: 50059,
///         exchanges: &["key_events"],
///         subscriptions: || Subscriptions::new("echoes_queue").on::<KeyPublished>(service::keys::published),
///         rules: &[],
///         keys: Keys::Announced,
///         descriptor_set: contracts::FILE_DESCRIPTOR_SET,
///         schema: Schema::of::<Migrator>(),
///     };
///     type Args = EchoArgs;
///
///     async fn parts(loudness: u8, _base: &Base) -> anyhow::Result<Parts> {
///         Ok(Parts::default().beside("echoes", move |stop| async move {
///             let _ = loudness;
///             stop.cancelled().await;
///         }))
///     }
/// }
///
/// /// Its settings beyond the common ones.
/// #[derive(clap::Args)]
/// struct EchoArgs {
///     /// How loud the echo is, from 1 to 11
///     #[arg(long, env = "LOUDNESS", default_value = "5")]
///     loudness: String,
/// }
///
/// impl OwnArgs for EchoArgs {
///     type Config = u8;
///     const SECRETS: &'static [&'static str] = &[];
///
///     fn check(self, _: &Known, problems: &mut Problems) -> Option<u8> {
///         problems.number("LOUDNESS", &self.loudness, (1, 11))
///     }
/// }
///
/// struct Migrator;
///
/// impl MigratorTrait for Migrator {
///     fn migrations() -> Vec<Box<dyn MigrationTrait>> {
///         service::migrations()
///     }
/// }
///
/// // The whole `main.rs`.
/// fn main() -> std::process::ExitCode {
///     # if true { return std::process::ExitCode::SUCCESS; }
///     service::main::<App>()
/// }
/// ```
pub trait Service {
    /// Its static description.
    const DEFINITION: Definition;

    /// Its settings beyond [`CommonArgs`]; [`NoArgs`] if there are none.
    type Args: OwnArgs;

    /// Its routes and workers. The database is already migrated and the queue declared; nothing is served yet.
    ///
    /// # Errors
    /// If a part cannot be created: the process then does not start.
    fn parts(
        config: <Self::Args as OwnArgs>::Config,
        base: &Base,
    ) -> impl Future<Output = anyhow::Result<Parts>> + Send;
}

/// The `main` function of the service `S`, with the commands `healthcheck` and `migrate`. Exit codes: [`runtime::run`].
pub fn main<S: Service>() -> ExitCode {
    main_with::<S>(std::env::args_os().collect())
}

/// As [`main`], for a program of several services. `args` begin with the program's name.
pub fn main_with<S: Service>(args: Vec<OsString>) -> ExitCode {
    runtime::main_with_database::<Args<S>, _, _>(
        S::DEFINITION.name,
        args,
        async |config| S::DEFINITION.migrate(&config.common.database).await,
        async |config, shutdown| {
            let building = Host::build::<S>(config);
            match shutdown.soft.run_until_cancelled(building).await {
                Some(host) => host?.run(shutdown).await,
                // Nothing has begun.
                None => Ok(()),
            }
        },
    )
}

/// The migrations of the engine and the runtime. Each service puts them before its own.
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    let mut migrations = messaging::migrations();
    migrations.extend(runtime::migrations());
    migrations
}
