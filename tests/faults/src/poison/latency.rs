//! The cost of poison for good messages: their time from the sender to the effect, with poison among them and without.
//!
//! Blocks with and without poison take turns, so other load on the machine affects both alike. Two medians are judged, which a few
//! disturbed blocks do not change: the median of the ratios of neighbouring blocks, and the ratio of the medians of all blocks. A
//! real cost shows in both; if it shows in one only, the machine caused it.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use messaging::transport::{Confirmation, Publisher};
use messaging::{Consumer, ConsumerConfig, RetryPolicy, Store};
use runtime::clock::{Clock as _, SystemClock};
use testkit::{Broker, BrokerKind, Database, StoreKind};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::wrong::{self, Sample};
use super::{ATTEMPTS, Wrongs, settled};
use crate::deposit;
use crate::tables::{self, Migrator};

/// The percentile of the good messages that is judged, and the factor by which poison may increase it.
const LONG: (usize, f64) = (99, 2.0);
/// The short form runs beside other tests, and its blocks are small: their 99th percentile is a single message, which any slow write
/// to the disk delays. A poison that delays its neighbours by 100 ms delays a quarter of a block.
const SHORT: (usize, f64) = (90, 10.0);

/// The time-out of the handler.
const TIME_OUT: Duration = Duration::from_secs(1);
/// How many time-outs of a hanging handler its neighbours may wait: one, and a margin of a half.
const HANGING: f64 = 1.5;

const APART: Duration = Duration::from_millis(10);
const PAUSE: Duration = Duration::from_millis(10);
const LIMIT: Duration = Duration::from_secs(60);

struct Bench {
    consumer: store::Database,
    publisher: Box<dyn Publisher>,
    sent: usize,
}

pub(super) async fn run(
    store: StoreKind,
    broker: BrokerKind,
    seed: u64,
    quick: bool,
    wrongs: &mut Wrongs,
) -> Result<()> {
    let (pairs, good) = if quick { (7, 40) } else { (11, 200) };
    let (percent, allowed) = if quick { SHORT } else { LONG };
    // A tenth of all is poison.
    let of_each = good / 100 + 1;
    let database = Database::create(store).await;
    let broker = Broker::create(broker).await;
    let consumer = database.migrated::<Migrator>().await;
    let transport = broker.transport(deposit::consumer());
    transport.declare().await?;
    let config = ConsumerConfig {
        retry: RetryPolicy {
            first_delay: Duration::from_millis(20),
            longest_delay: Duration::from_millis(200),
            attempts: ATTEMPTS.unsigned_abs(),
            ..RetryPolicy::default()
        },
        handler_time_out: TIME_OUT,
        // No other release runs at the same time.
        unknown_wait: Duration::ZERO,
        ..ConsumerConfig::default()
    };
    let consuming = Consumer::new(
        Store::new(consumer.clone()),
        transport.clone(),
        deposit::subscriptions(false),
        config,
    );
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(consuming.run(stop.clone()));
    let mut bench = Bench {
        publisher: transport.publisher().await?,
        consumer,
        sent: 0,
    };

    // The good messages continue their accounts from block to block; each poison has its own account.
    let mut goods = wrong::samples(good * (2 * pairs + 2), 0, 0, seed).into_iter();
    let mut poison = wrong::samples(0, of_each * pairs, 0, seed).into_iter();
    let mut block = async |poisoned: bool| {
        let mut samples: Vec<Sample> = goods.by_ref().take(good).collect();
        let amount = if poisoned {
            of_each * wrong::KINDS.len()
        } else {
            0
        };
        for other in poison.by_ref().take(amount) {
            samples.insert(fastrand::usize(..=samples.len()), other);
        }
        bench.percentile(&samples, percent).await
    };
    // The first block makes connections and plans and is not counted.
    block(false).await?;
    let mut measured = Vec::new();
    for _ in 0..pairs {
        measured.push((block(false).await?, block(true).await?));
    }
    let mut beside: Vec<Sample> = goods.by_ref().take(good).collect();
    beside.insert(good / 4, wrong::hanging());
    let beside = bench.percentile(&beside, 99).await?;
    stop.cancel();
    while let Some(ended) = running.join_next().await {
        ended?;
    }

    let allowed_ms = HANGING * TIME_OUT.as_secs_f64() * 1000.0;
    // SQLite has one writer: a hanging transaction blocks all others, at each attempt again.
    wrongs.judge(
        beside < allowed_ms || store == StoreKind::Sqlite,
        &format!(
            "percentile 99 of the good messages beside one with a hanging handler: {beside:.0} ms; \
             allowed on PostgreSQL: {allowed_ms:.0} ms, {HANGING} time-outs of the handler"
        ),
    );
    let neighbours = median(measured.iter().map(|(without, with)| with / without));
    let without = median(measured.iter().map(|(without, _)| *without));
    let with = median(measured.iter().map(|(_, with)| *with));
    let all = with / without;
    wrongs.judge(
        neighbours.min(all) < allowed,
        &format!(
            "percentile {percent} of the good messages: {without:.0} ms without poison, {with:.0} ms with poison, {all:.2} times as \
             long; compared with the neighbouring block {neighbours:.2} times as long (medians of {pairs} pairs of blocks of {good} \
             messages; allowed {allowed})"
        ),
    );
    Ok(())
}

impl Bench {
    /// Sends the messages at a fixed pace, waits until all are handled or kept, and returns this percentile of the good ones in
    /// milliseconds.
    async fn percentile(&mut self, samples: &[Sample], percent: usize) -> Result<f64> {
        let mut sent_at = HashMap::new();
        let mut ticks = tokio::time::interval(APART);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for sample in samples {
            ticks.tick().await;
            let now = SystemClock.now_ms();
            if sample.kind == wrong::GOOD {
                let effect = sample
                    .effect
                    .as_ref()
                    .context("a good message has an effect")?;
                sent_at.insert(effect.op.clone(), now);
            }
            let confirmation = self.publisher.publish(&sample.message).await?.await?;
            ensure!(confirmation == Confirmation::Routed, "{confirmation:?}");
        }
        self.sent += samples.len();
        let all_settled = async {
            while settled(&self.consumer).await? < self.sent {
                tokio::time::sleep(PAUSE).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(LIMIT, all_settled)
            .await
            .context("not all messages were handled or kept in time")??;

        let made = "SELECT op, made_at_ms FROM effect";
        let mut took = Vec::new();
        for row in tables::rows(&self.consumer, made, []).await? {
            let op: String = row.try_get("", "op")?;
            let made_at: i64 = row.try_get("", "made_at_ms")?;
            if let Some(sent_at) = sent_at.get(&op) {
                // The clocks count whole milliseconds, and a ratio needs more than 0.
                took.push((made_at - sent_at).max(1));
            }
        }
        ensure!(
            took.len() == sent_at.len(),
            "{} effects of {} good messages",
            took.len(),
            sent_at.len()
        );
        took.sort_unstable();
        Ok(took[(took.len() * percent).div_ceil(100) - 1] as f64)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
