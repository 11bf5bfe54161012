//! The arguments of `angarium dead-letters`.

use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::registry::SERVICES;

/// The action.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Command {
    /// List the dead letters and skipped events, oldest first: time, event, cause, and how many events wait behind it
    List(List),
    /// Show everything about one dead letter, and the decisions about it
    Show(Show),
    /// Replay one dead letter or all, after fixing the cause
    Replay(Replay),
    /// Discard one dead letter; the events that wait behind it continue
    Discard(Discard),
    /// List the decisions, oldest first: time, decision, actor and reason. They are kept longer than the events
    Audit(Audit),
}

/// The database with the service's rows.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Place {
    /// The service that has the dead letters
    #[arg(value_parser = PossibleValuesParser::new(services()))]
    pub(super) service: String,

    /// DATABASE_URL is this service's own database, not the shared one
    #[arg(long)]
    pub(super) own_database: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct List {
    #[command(flatten)]
    pub(super) place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Audit {
    #[command(flatten)]
    pub(super) place: Place,

    /// Only decisions about this event
    pub(super) event_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Show {
    #[command(flatten)]
    pub(super) place: Place,

    /// The id, as `list` prints it
    pub(super) event_id: String,
}

/// The reason and actor, for the record.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Why {
    /// The fix, or why the event can be discarded
    #[arg(long, value_name = "TEXT", value_parser = not_blank)]
    pub(super) reason: String,

    /// The person who decides
    #[arg(long, env = "USER", value_name = "NAME", value_parser = not_blank)]
    pub(super) actor: String,
}

#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Replay {
    #[command(flatten)]
    pub(super) place: Place,

    /// The id, as `list` prints it
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(super) event_id: Option<String>,

    /// All current dead letters
    #[arg(long)]
    pub(super) all: bool,

    /// With --all: only events of this type, such as angarium.order.v1.OrderPlaced
    #[arg(long, requires = "all", value_name = "TYPE")]
    pub(super) event_type: Option<String>,

    #[command(flatten)]
    pub(super) why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Discard {
    #[command(flatten)]
    pub(super) place: Place,

    /// The id, as `list` prints it
    pub(super) event_id: String,

    #[command(flatten)]
    pub(super) why: Why,
}

fn not_blank(given: &str) -> Result<String, String> {
    match given.trim() {
        "" => Err("it is empty, but the record needs it".to_owned()),
        text => Ok(text.to_owned()),
    }
}

fn services() -> Vec<PossibleValue> {
    let services = SERVICES.iter().map(|service| &service.definition);
    services
        .map(|service| PossibleValue::new(service.name).help(service.queue()))
        .collect()
}
