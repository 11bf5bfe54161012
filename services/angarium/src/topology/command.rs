//! The arguments of `angarium topology`.

use std::path::PathBuf;

/// What to do with the topology.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Topology {
    /// Print RabbitMQ definitions as JSON: exchanges, queues, bindings, policies, and one user a service with its rights
    Export(Export),
    /// Remove the bindings of the services' queues that this release does not need; once no older release can come back
    Prune(Prune),
}

/// What to print.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Export {
    /// The virtual host that the services log in to
    #[arg(long, default_value = "/", value_name = "NAME")]
    pub(super) vhost: String,

    /// Folder with each user's password, in a file with the service's name; missing ones are made up. Without it the users
    /// are exported without a password, and cannot log in before they are given one
    #[arg(long, value_name = "FOLDER")]
    pub(super) passwords: Option<PathBuf>,

    /// One user, angarium, for the process that runs all services, instead of one a service
    #[arg(long)]
    pub(super) all_in_one: bool,

    /// File that takes the definitions, as a whole or not at all [default: they are printed]
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,

    /// As the services have it: AMQP_PREFIX.
    #[arg(skip)]
    pub(crate) prefix: String,
}

/// What to remove.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Prune {
    /// Only list what would be removed
    #[arg(long)]
    pub(super) dry_run: bool,

    /// RabbitMQ's bindings as JSON, or - for standard input: what `rabbitmqctl -q list_bindings --formatter json` prints, an export of
    /// its definitions, or management's /api/bindings. Not needed for the embedded transport
    #[arg(long, value_name = "FILE")]
    pub(super) bindings: Option<PathBuf>,
}
