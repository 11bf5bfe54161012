//! What poison costs its good neighbours: how long they take from their sender to their effect, with it and without it.
//!
//! Blocks with poison and blocks without take turns, so that whatever else the machine does meets both alike. Judged are
//! medians, which a few disturbed blocks do not move: that of the ratios of neighbouring blocks, and the ratio of those of all
//! blocks. What poison really costs shows in both; what only one of them shows is the machine's.

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

/// What is judged, in percent of the good ones, and how many times as long it may take with poison.
const LONG: (usize, f64) = (99, 2.0);
/// The short form runs beside other tests, and its blocks are small: their 99th percentile is a single message, which any slow write to
/// the disk delays. One poison that holds up its neighbours for 100 ms holds up a quarter of a block.
const SHORT: (usize, f64) = (90, 10.0);

/// When a handler counts as failed because it does not end.
const TIME_OUT: Duration = Duration::from_secs(1);
/// How many time-outs of a handler that hangs its neighbours may wait: one, and half of one for the machine.
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
    // A tenth of them is not good.
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
        // No other release runs beside this one.
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

    // Accounts go on from block to block, and each poison is of an account of its own.
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
    // Connections and plans are made in a block that nobody counts.
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
    // SQLite has one writer: a transaction that hangs keeps it from all others, with each attempt again.
    wrongs.judge(
        beside < allowed_ms || store == StoreKind::Sqlite,
        &format!(
            "percentile 99 of the good ones beside one that its handler never ends: {beside:.0} ms; \
             allowed on PostgreSQL {allowed_ms:.0} ms, {HANGING} of its time-outs"
        ),
    );
    let neighbours = median(measured.iter().map(|(without, with)| with / without));
    let without = median(measured.iter().map(|(without, _)| *without));
    let with = median(measured.iter().map(|(_, with)| *with));
    let all = with / without;
    wrongs.judge(
        neighbours.min(all) < allowed,
        &format!(
            "percentile {percent} of the good ones: {without:.0} ms without poison, {with:.0} ms with it; {all:.2} times as long, \
             {neighbours:.2} times as long as in the neighbouring block (medians of {pairs} pairs of blocks of {good}; allowed {allowed})"
        ),
    );
    Ok(())
}

impl Bench {
    /// Sends them at their pace, waits until all are settled, and returns this percentile of the good ones in milliseconds.
    async fn percentile(&mut self, samples: &[Sample], percent: usize) -> Result<f64> {
        let mut sent_at = HashMap::new();
        let mut ticks = tokio::time::interval(APART);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for sample in samples {
            ticks.tick().await;
            let now = SystemClock.now_ms();
            if sample.kind == wrong::GOOD {
                let effect = sample.effect.as_ref().context("a good one has one")?;
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
            .context("not all is settled")??;

        let made = "SELECT op, made_at_ms FROM effect";
        let mut took = Vec::new();
        for row in tables::rows(&self.consumer, made, []).await? {
            let op: String = row.try_get("", "op")?;
            let made_at: i64 = row.try_get("", "made_at_ms")?;
            if let Some(sent_at) = sent_at.get(&op) {
                // Less than a millisecond is none by these clocks.
                took.push((made_at - sent_at).max(1));
            }
        }
        ensure!(took.len() == sent_at.len(), "each good one has one effect");
        took.sort_unstable();
        Ok(took[(took.len() * percent).div_ceil(100) - 1] as f64)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
