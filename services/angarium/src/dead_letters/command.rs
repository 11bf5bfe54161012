//! The arguments of `angarium dead-letters`.

use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::registry::SERVICES;

/// What to do with dead letters.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Command {
    /// What was given up on, oldest first: when, which event, its cause, and how many others wait behind it
    List(List),
    /// All that is known of one, and what has been decided about it
    Show(Show),
    /// Have one handled again, or all, once their cause is mended
    Replay(Replay),
    /// Give one up for good; what waits behind it goes on
    Discard(Discard),
    /// The decisions, oldest first: when, what, who and why. They outlive the events that they are about
    Audit(Audit),
}

/// Where the service keeps its rows.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Place {
    /// The service that has given up
    #[arg(value_parser = PossibleValuesParser::new(services()))]
    pub(super) service: String,

    /// DATABASE_URL is this service's own database, and not the one that all services share
    #[arg(long)]
    pub(super) own_database: bool,
}

/// What to list.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct List {
    #[command(flatten)]
    pub(super) place: Place,
}

/// Which decisions to list.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Audit {
    #[command(flatten)]
    pub(super) place: Place,

    /// Only those about this event
    pub(super) event_id: Option<String>,
}

/// What to show.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Show {
    #[command(flatten)]
    pub(super) place: Place,

    /// As `list` shows it
    pub(super) event_id: String,
}

/// Why, for the record.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Why {
    /// What was mended, or why it may be given up
    #[arg(long, value_name = "TEXT", value_parser = not_blank)]
    pub(super) reason: String,

    /// Who decides
    #[arg(long, env = "USER", value_name = "NAME", value_parser = not_blank)]
    pub(super) actor: String,
}

/// What to replay.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Replay {
    #[command(flatten)]
    pub(super) place: Place,

    /// As `list` shows it
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(super) event_id: Option<String>,

    /// All that are there now
    #[arg(long)]
    pub(super) all: bool,

    /// With --all: only those of this type, such as angarium.order.v1.OrderPlaced
    #[arg(long, requires = "all", value_name = "TYPE")]
    pub(super) event_type: Option<String>,

    #[command(flatten)]
    pub(super) why: Why,
}

/// What to discard.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Discard {
    #[command(flatten)]
    pub(super) place: Place,

    /// As `list` shows it
    pub(super) event_id: String,

    #[command(flatten)]
    pub(super) why: Why,
}

/// What is kept for the record has to say something.
fn not_blank(given: &str) -> Result<String, String> {
    match given.trim() {
        "" => Err("it is empty, and the record needs it".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// The services, each with its queue.
fn services() -> Vec<PossibleValue> {
    let services = SERVICES.iter().map(|service| &service.definition);
    services
        .map(|service| PossibleValue::new(service.name).help(service.queue()))
        .collect()
}
