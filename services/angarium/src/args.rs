//! The settings of the all-in-one process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use messaging::EngineConfig;
use messaging::transport::RabbitMqConfig;
use runtime::config::{DatabaseArgs, GrpcConfig, LifecycleConfig, Mode, Problems, TelemetryConfig};
use runtime::healthcheck;
use service::{CommonArgs, Known, OwnArgs as _};
use store::{DatabaseConfig, Migrate};

use crate::dead_letters::command::Command as DeadLetters;
use crate::reconcile::command::Reconcile;
use crate::registry::{OwnArgs, OwnConfig, SERVICES};
use crate::topology::command::Topology;

const DATABASE_URL: &str = "postgres://user:password@host/database; DATABASE_URL_FILE names a file that holds it [default: a SQLite file per service in --data-dir]";

/// Users, orders and notifications in one process.
///
/// By default all data lives in one folder, and nothing else is needed. With --database-url and --amqp-url it uses
/// PostgreSQL and RabbitMQ.
#[derive(Parser)]
#[command(name = "angarium", version, after_help = hint())]
// Three services cannot share one SQLite file.
#[command(mut_arg("database_url", |url| url.help(DATABASE_URL)))]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Folder of databases, queue file and mails, unless servers are set for them
    #[arg(
        long,
        env = "DATA_DIR",
        default_value = "angarium-data",
        value_name = "FOLDER"
    )]
    data_dir: PathBuf,

    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    own: OwnArgs,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Start all services and serve until Ctrl-C (the default)
    Serve,
    /// Apply the missing migrations of all services
    Migrate,
    /// Run a demo with real gRPC calls, and print a timeline
    Demo,
    /// Export the broker definitions for a RabbitMQ on which the services may declare nothing, or remove outdated
    /// bindings
    #[command(subcommand)]
    Topology(Topology),
    /// List, show, replay or discard dead letters
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Give each service the events that it lacks, from the histories of their producers; list gaps and decide about them.
    /// Ends with code 2 if something could not be repaired
    Reconcile(Box<Reconcile>),
}

#[derive(Clone)]
pub struct Config {
    pub command: Command,
    pub data_dir: PathBuf,
    /// Of the first service; the others use the following ports.
    pub grpc: GrpcConfig,
    /// `None`: one SQLite file per service, in the data folder.
    pub database: Option<DatabaseConfig>,
    /// Who applies the migrations, also for SQLite files.
    pub migrate: Migrate,
    /// `None`: the embedded transport, in the data folder.
    pub rabbitmq: Option<RabbitMqConfig>,
    pub engine: EngineConfig,
    pub own: OwnConfig,
    pub telemetry: TelemetryConfig,
    pub lifecycle: LifecycleConfig,
}

impl runtime::Settings for Args {
    type Config = Config;

    const DEFAULT_PORT: u16 = SERVICES[0].definition.default_port;

    fn secrets() -> Vec<&'static str> {
        [&CommonArgs::SECRETS, OwnArgs::SECRETS].concat()
    }

    fn check(self, problems: &mut Problems) -> Option<Config> {
        let (mut common, data_dir) = (self.common, self.data_dir);
        if data_dir.to_str().is_none() {
            let given = data_dir.to_string_lossy();
            problems.add(
                "DATA_DIR",
                &given,
                "a path in UTF-8, which is all that SQLite opens",
            );
        }
        let mut command = self.command.unwrap_or(Command::Serve);
        if let Command::Reconcile(reconcile) = &command {
            reconcile.access.check(problems);
        }
        if let Command::Topology(Topology::Export(export)) = &mut command {
            export.prefix.clone_from(&common.broker.amqp_prefix);
        }
        let mode = common.mode.check(problems);
        // Other commands need no certificate.
        let mode_of_server = match command {
            Command::Serve | Command::Demo => mode,
            _ => Mode::Development,
        };
        let grpc = common
            .grpc
            .check(Self::DEFAULT_PORT, mode_of_server, problems);
        let grpc = grpc.filter(|grpc| has_room_for_all(grpc.listen, problems));
        let (database, given) = check_database(common.database, problems);
        let mut problem =
            |setting: &str, given: &str, expected: &str| problems.add(setting, given, expected);
        let rabbitmq = common.broker.check(&mut problem);
        let engine = common.engine.check(&mut problem);
        let known = Known {
            mode,
            grpc: grpc.clone(),
            folder: data_dir.clone(),
        };
        let own = self.own.check(&known, problems);
        if mode == Mode::Production && command == Command::Serve {
            check_folder(&data_dir, problems);
        }
        if command != Command::Serve {
            // The result is on stdout; logs only on request.
            common
                .telemetry
                .log_filter
                .get_or_insert_with(|| "warn".to_owned());
        }
        let telemetry = common.telemetry.check(problems);
        let lifecycle = common.lifecycle.check(problems);
        Some(Config {
            command,
            data_dir,
            grpc: grpc?,
            migrate: database.as_ref()?.migrate,
            database: Some(database?).filter(|_| given),
            rabbitmq: rabbitmq?,
            engine: engine?,
            own: own?,
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

/// For `--help`.
fn hint() -> String {
    let names: Vec<_> = SERVICES
        .iter()
        .map(|service| format!("`{}`", service.definition.name))
        .collect();
    format!(
        "{} as the first argument runs this service alone; see `angarium {} --help`. {}",
        names.join(", "),
        SERVICES[0].definition.name,
        healthcheck::HINT
    )
}

/// Returns whether a server is set. Without one, the other settings are still validated.
fn check_database(
    mut args: DatabaseArgs,
    problems: &mut Problems,
) -> (Option<DatabaseConfig>, bool) {
    let given = args.database_url.is_some();
    let url = args
        .database_url
        .get_or_insert_with(|| "sqlite://unused".to_owned());
    if given && url.starts_with("sqlite:") {
        problems.add_secret(
            "DATABASE_URL",
            "a PostgreSQL server: without one, each service has a file in --data-dir",
        );
    }
    (args.check(problems), given)
}

fn has_room_for_all(listen: SocketAddr, problems: &mut Problems) -> bool {
    let others = u16::try_from(SERVICES.len() - 1).unwrap_or(u16::MAX);
    let last = u16::MAX - others;
    let fits = listen.port() <= last;
    if !fits {
        let below = u32::from(last) + 1;
        problems.add(
            "GRPC_LISTEN",
            &listen.to_string(),
            &format!("a port below {below}: the services use it and the next {others}"),
        );
    }
    fits
}

/// In production only the owner may read the data folder and what the program creates in it.
fn check_folder(data_dir: &Path, problems: &mut Problems) {
    match store::private::loose(data_dir) {
        Ok(loose) if loose.is_empty() => {}
        Ok(loose) => problems.note(format!(
            "DATA_DIR (--data-dir): group or others have permissions on {:?}{}; run `chmod -R go= {}`",
            loose[0],
            match loose.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            },
            data_dir.display()
        )),
        Err(error) => problems.note(format!(
            "DATA_DIR (--data-dir): cannot read {data_dir:?} ({error}); it must be a folder of this user"
        )),
    }
}
