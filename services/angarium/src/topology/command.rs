//! The arguments of `angarium topology`.

use std::path::PathBuf;

/// The action.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Topology {
    /// Print RabbitMQ definitions as JSON: exchanges, queues, bindings, policies, and one user per service with its
    /// permissions
    Export(Export),
    /// Remove the bindings that this release does not need from the services' queues. Run it only when no older release will
    /// run again
    Prune(Prune),
}

#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Export {
    /// Virtual host of the services
    #[arg(long, default_value = "/", value_name = "NAME")]
    pub(super) vhost: String,

    /// Folder with each user's password in a file with the service's name; missing files are created. Without it, the
    /// users have no password and cannot log in until they get one
    #[arg(long, value_name = "FOLDER")]
    pub(super) passwords: Option<PathBuf>,

    /// One user, angarium, for the process that runs all services, instead of one per service
    #[arg(long)]
    pub(super) all_in_one: bool,

    /// File for the definitions, replaced atomically [default: print them]
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,

    /// AMQP_PREFIX, as for the services.
    #[arg(skip)]
    pub(crate) prefix: String,
}

#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Prune {
    /// Only list the bindings that would be removed
    #[arg(long)]
    pub(super) dry_run: bool,

    /// RabbitMQ's bindings as JSON, or - for standard input: the output of `rabbitmqctl -q list_bindings --formatter
    /// json`, an export of its definitions, or management's /api/bindings. Not needed for the embedded transport
    #[arg(long, value_name = "FILE")]
    pub(super) bindings: Option<PathBuf>,
}
