//! Sudden death at each point, on each store and broker: what was promised is there once, in order, after the next start.
//!
//! Deterministic where random kills are not: a window of a millisecond is hit each time. Where the point leaves a message
//! that must come twice, that it did is asserted too, or the run would have tried nothing.

use anyhow::{Result, ensure};
use messaging::faults;
use testkit::{BrokerKind, StoreKind};
use tokio::task::JoinSet;

use crate::checker::Verdict;
use crate::world::World;

/// Whether something must be delivered again after a death here. What was published is with RabbitMQ by then; the embedded
/// broker writes only when its answer is waited for, so there `confirmed` is the first such point.
fn must_come_twice(point: &str, broker: BrokerKind) -> bool {
    matches!(point, "confirmed" | "done")
        || (point == "published" && broker == BrokerKind::RabbitMq)
}

#[derive(Clone, Default, clap::Args)]
pub(crate) struct Crash {
    /// This point only
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(faults::POINTS))]
    point: Option<String>,
    /// On this store only: postgres or sqlite
    #[arg(long, value_parser = store)]
    store: Option<StoreKind>,
    /// On this broker only: rabbitmq or embedded
    #[arg(long, value_parser = broker)]
    broker: Option<BrokerKind>,
    /// How often each point is tried, with another passage each time
    #[arg(long, default_value_t = 10)]
    pub(crate) repeats: u32,
    /// Handle each event on its own instead of in order
    #[arg(long)]
    each: bool,
}

impl Crash {
    pub(crate) fn everywhere() -> Self {
        Self {
            repeats: 10,
            ..Self::default()
        }
    }
}

pub(crate) async fn run(crash: &Crash, seed: u64, patience: u64) -> Result<Verdict> {
    let mut running = JoinSet::new();
    for store in [StoreKind::Postgres, StoreKind::Sqlite] {
        for broker in [BrokerKind::RabbitMq, BrokerKind::Embedded] {
            let chosen = crash.store.is_none_or(|only| only == store)
                && crash.broker.is_none_or(|only| only == broker);
            if chosen {
                let crash = crash.clone();
                running.spawn(
                    async move { all_points(&crash, store, broker, (seed, patience)).await },
                );
            }
        }
    }
    let mut total: Option<Verdict> = None;
    while let Some(verdict) = running.join_next().await {
        let verdict = verdict??;
        total = Some(total.map_or(verdict.clone(), |total| total.and(&verdict)));
    }
    Ok(total.unwrap_or_default())
}

async fn all_points(
    crash: &Crash,
    store: StoreKind,
    broker: BrokerKind,
    (seed, patience): (u64, u64),
) -> Result<Verdict> {
    let mut total: Option<Verdict> = None;
    let mut failed = None;
    let points = faults::POINTS.into_iter();
    for point in points.filter(|point| crash.point.as_deref().is_none_or(|only| only == *point)) {
        match at(point, crash, store, broker, (seed, patience)).await {
            Ok(verdict) => {
                println!("crash {point} {store:?} {broker:?}: {verdict}");
                total = Some(total.map_or(verdict.clone(), |total| total.and(&verdict)));
            }
            Err(error) => {
                println!("crash {point} {store:?} {broker:?}: error: {error:#}");
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(total.unwrap_or_default()), Err)
}

/// One point, again and again in the same world. The last verdict covers all of it.
async fn at(
    point: &str,
    crash: &Crash,
    store: StoreKind,
    broker: BrokerKind,
    (seed, patience): (u64, u64),
) -> Result<Verdict> {
    let mut world = World::new(store, broker).await?;
    let mut random = fastrand::Rng::with_seed(seed);
    let patience = patience.to_string();
    let mut verdict = Verdict::default();
    let mut redelivered = 0;
    for repeat in 0..crash.repeats.max(1) {
        let run = format!("{seed}-{repeat}");
        let mut args = vec!["--patience", &patience];
        if crash.each {
            args.push("--each");
        }
        let recovering = world.ledger(&run, &args)?;
        let passage = if point == "stopping" {
            args.push("--stop-early");
            1
        } else {
            random.u32(1..=3)
        };
        let mut dying = world.ledger(&run, &args)?;
        dying.env(faults::CRASH_AT, format!("{point}:{passage}"));
        let died = world.run(dying).await?;
        ensure!(
            died.crashed,
            "{run}: it did not come to its passage {passage} of {point}, so it proves nothing"
        );
        let recovered = world.run(recovering).await?;
        verdict = world.verdict(&run, !crash.each).await?;
        ensure!(
            !recovered.was_quiet() || verdict.redelivered > 0 || !must_come_twice(point, broker),
            "{run}: after its death at {point}:{passage} nothing was delivered again: {verdict}"
        );
        redelivered += verdict.redelivered;
        if !verdict.passes() {
            println!("{run} {point}:{passage} {store:?} {broker:?}: {verdict}");
            break;
        }
    }
    verdict.redelivered = redelivered;
    Ok(verdict)
}

fn store(text: &str) -> Result<StoreKind, String> {
    match text {
        "postgres" => Ok(StoreKind::Postgres),
        "sqlite" => Ok(StoreKind::Sqlite),
        _ => Err("postgres or sqlite".to_owned()),
    }
}

fn broker(text: &str) -> Result<BrokerKind, String> {
    match text {
        "rabbitmq" => Ok(BrokerKind::RabbitMq),
        "embedded" => Ok(BrokerKind::Embedded),
        _ => Err("rabbitmq or embedded".to_owned()),
    }
}
