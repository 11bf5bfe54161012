//! A process aborts at each point, on each store and broker. After the next start everything acknowledged is there, once and in
//! order.
//!
//! Unlike a random kill, an abort hits a window of a millisecond every time. The run looks for the acknowledged commands before
//! the next start, because that start repeats all commands. If an abort at the point must cause a second publication or
//! delivery, the run checks that there was one: otherwise it would prove nothing.

use std::ops::Range;

use anyhow::Result;
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
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(switches::POINTS))]
    point: Option<String>,
    /// On this store only: postgres or sqlite
    #[arg(long, value_parser = store)]
    store: Option<StoreKind>,
    /// On this broker only: rabbitmq or embedded
    #[arg(long, value_parser = broker)]
    broker: Option<BrokerKind>,
    /// How often each point is tried, each time at another passage
    #[arg(long, default_value_t = 10)]
    pub(crate) repeats: u32,
    /// Handle each event on its own in all repeats, instead of in half of them
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

    /// The repeats that handle events in order, and those that handle each on its own: there only the inbox keeps a second effect
    /// out.
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
    let points = switches::POINTS.into_iter();
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
        _ => Err("use postgres or sqlite".to_owned()),
    }
}

fn broker(text: &str) -> Result<BrokerKind, String> {
    match text {
        "rabbitmq" => Ok(BrokerKind::RabbitMq),
        "embedded" => Ok(BrokerKind::Embedded),
        _ => Err("use rabbitmq or embedded".to_owned()),
    }
}
