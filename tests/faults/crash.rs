//! Sudden death at each point, on each store and broker: what was promised is there once, in order, after the next start.
//!
//! Deterministic where random kills are not: a window of a millisecond is hit each time. What was acknowledged is looked for
//! before that start, which does all of it again. Where the point leaves something that must come twice, that it did is asserted
//! too, or the run would have tried nothing.

use std::ops::Range;

use anyhow::Result;
use messaging::faults;
use testkit::{BrokerKind, StoreKind};
use tokio::task::JoinSet;

use crate::checker::Verdict;

mod copies;
mod death;
mod left;

use death::Death;

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
    /// Handle each event on its own every time, and not every other one
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

    /// Which repeats handle events in order, and which each on its own: there the inbox alone keeps a second effect out.
    fn kinds(&self) -> [(bool, Range<u32>); 2] {
        let repeats = self.repeats.max(1);
        let in_order = if self.each { 0 } else { repeats.div_ceil(2) };
        [(false, 0..in_order), (true, in_order..repeats)]
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
        for (each, repeats) in crash.kinds() {
            if repeats.is_empty() {
                continue;
            }
            let kind = if each { "each on its own" } else { "in order" };
            let title = format!("crash {point} {store:?} {broker:?} {kind}");
            let death = Death {
                point,
                store,
                broker,
                each,
            };
            match death.repeated(repeats, seed, patience).await {
                Ok(verdict) => {
                    println!("{title}: {verdict}");
                    total = Some(total.map_or(verdict.clone(), |total| total.and(&verdict)));
                }
                Err(error) => {
                    println!("{title}: error: {error:#}");
                    failed = Some(error);
                }
            }
        }
    }
    failed.map_or(Ok(total.unwrap_or_default()), Err)
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
