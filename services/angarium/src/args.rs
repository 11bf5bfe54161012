//! What the all-in-one process can be told.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use messaging::transport::RabbitMqConfig;
use messaging::{BrokerArgs, EngineArgs, EngineConfig};
use notification_service::config::{MailArgs, MailConfig};
use order_service::config::{OrderArgs, OrderConfig};
use runtime::config::{
    DatabaseArgs, GrpcArgs, GrpcConfig, LifecycleArgs, LifecycleConfig, MailSealingKeyArgs, Mode,
    ModeArgs, Problems, SecretKeyArgs, TelemetryArgs, TelemetryConfig,
};
use runtime::healthcheck;
use runtime::sealed::MasterKey;
use store::{DatabaseConfig, Migrate};
use user_service::config::{IdentityArgs, IdentityConfig};

use crate::dead_letters;
use crate::topology::Topology;

const DATABASE_URL: &str = "postgres://user:password@host/database; DATABASE_URL_FILE names a file that holds it [default: a SQLite file for each service in --data-dir]";

/// Users, orders and notifications in one process.
///
/// Without further ado it keeps everything in one folder and needs nothing else. With --database-url and --amqp-url it runs
/// on PostgreSQL and RabbitMQ.
#[derive(Parser)]
#[command(name = "angarium", version, after_help = healthcheck::HINT)]
// One SQLite file cannot be the database of three services.
#[command(mut_arg("database_url", |url| url.help(DATABASE_URL)))]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Folder of the databases, the queue file and the mails, where no server is named for them
    #[arg(
        long,
        env = "DATA_DIR",
        default_value = "angarium-data",
        value_name = "FOLDER"
    )]
    data_dir: PathBuf,

    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    secret_key: SecretKeyArgs,
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
    orders: OrderArgs,
    #[command(flatten)]
    mail: MailArgs,
    #[command(flatten)]
    mail_sealing_key: MailSealingKeyArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
    #[command(flatten)]
    lifecycle: LifecycleArgs,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Start all services and serve until Ctrl-C (the default)
    Serve,
    /// Apply the missing migrations of all services
    Migrate,
    /// Play a short story through real gRPC calls, and print what happened when
    Demo,
    /// What the services need on a RabbitMQ where they may declare nothing
    #[command(subcommand)]
    Topology(Topology),
    /// What a service has given up on: list, show, replay, discard
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
}

/// The checked configuration.
#[derive(Clone)]
pub struct Config {
    pub command: Command,
    pub data_dir: PathBuf,
    pub secret_key: MasterKey,
    pub identity: IdentityConfig,
    /// Of the user service; the others listen on the ports after it.
    pub grpc: GrpcConfig,
    /// `None`: a SQLite file for each service, in the data folder.
    pub database: Option<DatabaseConfig>,
    /// Who applies the migrations, also those of the SQLite files.
    pub migrate: Migrate,
    /// `None`: the embedded transport, in the data folder.
    pub rabbitmq: Option<RabbitMqConfig>,
    pub engine: EngineConfig,
    pub orders: OrderConfig,
    pub mail: MailConfig,
    pub mail_sealing_key: MasterKey,
    pub telemetry: TelemetryConfig,
    pub lifecycle: LifecycleConfig,
}

impl runtime::Settings for Args {
    type Config = Config;

    const SECRETS: &'static [&'static str] = &[
        "database_url",
        "amqp_url",
        "smtp_url",
        "secret_key",
        "mail_sealing_key",
    ];

    const DEFAULT_PORT: u16 = user_service::config::DEFAULT_PORT;

    fn check(mut self, problems: &mut Problems) -> Option<Config> {
        let mut command = self.command.unwrap_or(Command::Serve);
        if let Command::Topology(Topology::Export(export)) = &mut command {
            export.prefix.clone_from(&self.broker.amqp_prefix);
        }
        let mode = self.mode.check(problems);
        let secret_key = self.secret_key.check(mode, problems);
        let identity = self.identity.check(problems);
        // What only looks at the databases needs no certificate.
        let mode_of_server = match command {
            Command::Serve | Command::Demo => mode,
            _ => Mode::Development,
        };
        let grpc = self
            .grpc
            .check(Self::DEFAULT_PORT, mode_of_server, problems);
        let grpc = grpc.filter(|grpc| has_room_for_all(grpc.listen, problems));
        let given = self.database.database_url.is_some();
        if self
            .database
            .database_url
            .as_deref()
            .is_some_and(|url| url.starts_with("sqlite:"))
        {
            problems.add_secret(
                "DATABASE_URL",
                "a PostgreSQL server here: without one each service has a file in --data-dir",
            );
        }
        // Its other settings are checked whether or not a server is named.
        self.database
            .database_url
            .get_or_insert_with(|| "sqlite://unused".to_owned());
        let database = self.database.check(problems);
        let mut problem =
            |setting: &str, given: &str, expected: &str| problems.add(setting, given, expected);
        let rabbitmq = self.broker.check(&mut problem);
        let engine = self.engine.check(&mut problem);
        let orders = self.orders.check(grpc.as_ref(), problems);
        let mail = self.mail.check(&self.data_dir.join("mails"), problems);
        let mail_sealing_key = self.mail_sealing_key.check(mode, problems);
        if command != Command::Serve {
            // Their output is what is to be seen; whoever wants the log as well asks for it.
            self.telemetry
                .log_filter
                .get_or_insert_with(|| "warn".to_owned());
        }
        let telemetry = self.telemetry.check(problems);
        let lifecycle = self.lifecycle.check(problems);
        Some(Config {
            command,
            data_dir: self.data_dir,
            secret_key: secret_key?,
            identity: identity?,
            grpc: grpc?,
            migrate: database.as_ref()?.migrate,
            database: Some(database?).filter(|_| given),
            rabbitmq: rabbitmq?,
            engine: engine?,
            orders: orders?,
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

fn has_room_for_all(listen: SocketAddr, problems: &mut Problems) -> bool {
    let fits = listen.port() <= u16::MAX - 2;
    if !fits {
        problems.add(
            "GRPC_LISTEN",
            &listen.to_string(),
            "a port below 65534: the services take it and the two after it",
        );
    }
    fits
}
