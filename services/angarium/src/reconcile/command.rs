//! The arguments of `angarium reconcile`.

use std::time::SystemTime;

use clap::ArgGroup;
use clap::builder::PossibleValuesParser;
use uuid::Uuid;

use super::access::Access;
use crate::registry::SERVICES;

/// What to do, and as which operator.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Reconcile {
    #[command(subcommand)]
    pub action: Option<Action>,
    #[command(flatten)]
    pub repair: Repair,
    #[command(flatten)]
    pub access: Access,
}

/// Beside the repair: what an operator looks at and decides.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Action {
    /// List missing events, lost checkpoints and waiting aggregates, and say for each what repairs it
    Gaps(Listing),
    /// Skip events or checkpoints that no producer has any more, and record it
    Skip(Skip),
    /// List, by aggregate, the events that a consumer has received and a restored producer has lost
    Divergence(Divergence),
    /// Accept the state of a restored producer at a consumer, and record it
    Accept(Accept),
}

/// What to repair.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Repair {
    /// Only this consumer, by its queue; may be repeated [default: all]
    #[arg(long, value_name = "QUEUE", value_parser = PossibleValuesParser::new(queues()))]
    pub consumer: Vec<String>,

    /// Also all events that were published since then, such as 2026-11-29T04:00:00Z
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak)]
    pub since: Option<SystemTime>,

    /// Also all events of this aggregate, such as user/0192f3c4-0000-7000-8000-000000000001
    #[arg(long, value_name = "TYPE/ID", value_parser = aggregate)]
    pub aggregate: Option<(String, String)>,

    /// Also the current state of users with a history that is past its retention, for a new consumer
    #[arg(long)]
    pub snapshot: bool,

    /// Say what would be handed over, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Answer in JSON
    #[arg(long)]
    pub json: bool,

    /// The reason, for the record of each consumer
    #[arg(long, value_name = "TEXT", default_value = "angarium reconcile")]
    pub reason: String,

    /// Events a second, at most
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
}

/// What to list.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Listing {
    /// Only this consumer, by its queue; may be repeated [default: all]
    #[arg(long, value_name = "QUEUE", value_parser = PossibleValuesParser::new(queues()))]
    pub consumer: Vec<String>,

    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// What to give up.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
#[command(group = one_of("given_up", &["aggregate", "event", "checkpoints"]))]
pub struct Skip {
    /// The consumer, by its queue
    #[arg(long, value_name = "QUEUE", value_parser = PossibleValuesParser::new(queues()))]
    pub consumer: String,

    /// Skip the missing versions of this aggregate, up to its first waiting version
    #[arg(long, value_name = "TYPE/ID", value_parser = aggregate)]
    pub aggregate: Option<(String, String)>,

    /// This missing event
    #[arg(long, value_name = "ID")]
    pub event: Option<Uuid>,

    /// The gap of checkpoints that begins with this number, such as user-service/user_events/17
    #[arg(long, value_name = "PRODUCER/EXCHANGE/NUMBER", value_parser = checkpoints)]
    pub checkpoints: Option<(String, String, i64)>,

    /// The reason, for the record
    #[arg(long, value_name = "TEXT", value_parser = not_blank)]
    pub reason: String,
}

/// The producers and consumers to compare.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Divergence {
    #[command(flatten)]
    pub listing: Listing,

    /// Compare the events since then, such as 2026-11-29T04:00:00Z [default: since the last checkpoint that a producer and
    /// its consumer both know, only for producers that have published a checkpoint number a second time]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak)]
    pub since: Option<SystemTime>,
}

/// What to accept.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
#[command(group = one_of("accepted", &["aggregate", "all"]))]
pub struct Accept {
    /// The consumer, by its queue
    #[arg(long, value_name = "QUEUE", value_parser = PossibleValuesParser::new(queues()))]
    pub consumer: String,

    /// The restored service
    #[arg(long, value_name = "SERVICE", value_parser = PossibleValuesParser::new(names()))]
    pub producer: String,

    /// This aggregate
    #[arg(long, value_name = "TYPE/ID", value_parser = aggregate)]
    pub aggregate: Option<(String, String)>,

    /// All aggregates that `divergence` lists; then the alert ends
    #[arg(long)]
    pub all: bool,

    /// As for `divergence`
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak)]
    pub since: Option<SystemTime>,

    /// The reason, for the record
    #[arg(long, value_name = "TEXT", value_parser = not_blank)]
    pub reason: String,
}

/// No name means all.
pub(super) fn concerns(named: &[String], queue: &str) -> bool {
    named.is_empty() || named.iter().any(|named| named == queue)
}

fn one_of(name: &'static str, args: &[&'static str]) -> ArgGroup {
    ArgGroup::new(name)
        .required(true)
        .args(args.iter().copied())
}

fn queues() -> Vec<String> {
    let services = SERVICES.iter();
    services.map(|service| service.definition.queue()).collect()
}

fn names() -> Vec<&'static str> {
    let services = SERVICES.iter();
    services.map(|service| service.definition.name).collect()
}

fn aggregate(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((kind, id)) if !kind.is_empty() && !id.is_empty() => {
            Ok((kind.to_owned(), id.to_owned()))
        }
        _ => Err("expected TYPE/ID, such as user/0192f3c4-0000-7000-8000-000000000001".to_owned()),
    }
}

fn checkpoints(text: &str) -> Result<(String, String, i64), String> {
    let parts: Vec<&str> = text.split('/').collect();
    if let [source, exchange, number] = parts[..]
        && let Some(number) = number.parse().ok().filter(|number| *number > 0)
    {
        return Ok((source.to_owned(), exchange.to_owned(), number));
    }
    Err("expected PRODUCER/EXCHANGE/NUMBER, such as user-service/user_events/17".to_owned())
}

fn not_blank(given: &str) -> Result<String, String> {
    match given.trim() {
        "" => Err("it is empty, but the record needs it".to_owned()),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        reconcile: Reconcile,
    }

    fn read(args: &str) -> Result<Reconcile, clap::Error> {
        let parsed = Cli::try_parse_from(args.split(' '));
        parsed.map(|cli| cli.reconcile)
    }

    #[test]
    fn aggregates_and_checkpoints_are_read() {
        let pair = |one: &str, other: &str| Ok((one.to_owned(), other.to_owned()));
        assert_eq!(aggregate("user/1/2"), pair("user", "1/2"));
        assert!(aggregate("user").is_err() && aggregate("/1").is_err());
        let gap = ("users".to_owned(), "user_events".to_owned(), 17);
        assert_eq!(checkpoints("users/user_events/17"), Ok(gap));
        assert!(checkpoints("users/user_events/0").is_err() && checkpoints("users/17").is_err());
    }

    #[test]
    fn a_skip_names_one_gap_and_a_reason() {
        let skip = "reconcile skip --consumer orders_queue --email a@b --patience 1s";
        assert!(read(&format!("{skip} --aggregate user/1 --reason lost")).is_ok());
        for wrong in [
            "--reason lost",
            "--aggregate user/1",
            "--aggregate user/1 --reason ",
            "--aggregate user/1 --checkpoints users/user_events/17 --reason lost",
        ] {
            assert!(read(&format!("{skip} {wrong}")).is_err(), "{wrong}");
        }
        assert!(read("reconcile --dry-run gaps").is_err());
        let action = read("reconcile gaps --json").unwrap().action;
        assert!(matches!(action, Some(Action::Gaps(listing)) if listing.json));
    }
}
