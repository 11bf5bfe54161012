//! Messages that no handler can process, among many good ones: the good ones have their effects, the others are kept with their
//! cause, and a message that aborts each process which handles it does not affect its neighbours.
//!
//! Then the handler is repaired and everything dead is replayed: what can be handled now has exactly one effect, and what can never
//! be handled is dead again.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use load::Answers;
use messaging::Store;
use messaging::dead_letters::DeadLetters;
use messaging::transport::Confirmation;
use testkit::{BrokerKind, StoreKind};
use tokio::process::Child;

use crate::checker::{Entry, History, Verdict, judge};
use crate::deposit;
use crate::fixture::Fixture;
use crate::tables;

mod latency;
mod letters;
pub(crate) mod wrong;

use wrong::{Fate, Sample};

/// The attempts at an event that fails.
const ATTEMPTS: i32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let servers = on(
        StoreKind::Postgres,
        BrokerKind::RabbitMq,
        seed,
        quick,
        patience,
    )
    .await?;
    println!("poison Postgres RabbitMq: {servers}");
    let files = on(
        StoreKind::Sqlite,
        BrokerKind::Embedded,
        seed,
        quick,
        patience,
    )
    .await?;
    println!("poison Sqlite Embedded: {files}");
    Ok(servers.and(&files))
}

async fn on(
    store: StoreKind,
    broker: BrokerKind,
    seed: u64,
    quick: bool,
    patience: u64,
) -> Result<Verdict> {
    let fixture = Fixture::new(store, broker).await?;
    let (good, of_each, killers) = if quick { (100, 2, 1) } else { (1000, 10, 10) };
    let samples = wrong::samples(good, of_each, killers, seed);
    publish(&fixture, &samples).await?;
    let db = fixture.consumer.connect().await;
    let letters = DeadLetters::new(Store::new(db.clone()), deposit::QUEUE);
    let mut wrongs = Wrongs {
        title: format!("poison {store:?} {broker:?}"),
        count: 0,
    };

    let run = seed.to_string();
    let begun = Instant::now();
    // Each abort costs another start, so there is more time.
    let limit = Duration::from_secs(patience * if quick { 2 } else { 10 });
    let deaths = until_settled(&fixture, &run, &db, samples.len(), limit).await?;
    let drain = begun.elapsed();
    check_states(&db, &samples, false, &mut wrongs).await?;
    letters::check(&letters, &samples, false, &mut wrongs).await?;
    check_deliveries(&fixture, &run, &samples, deaths, &mut wrongs)?;

    let replayed = letters.replay_all(None, "an operator", "repaired").await?;
    let kept = samples.iter().filter(|sample| sample.fate.is_kept());
    let kept = u64::try_from(kept.count())?;
    wrongs.judge(
        replayed == kept,
        &format!("{replayed} of {kept} kept messages were replayed"),
    );
    let repaired = fixture.workload(
        &run,
        &["--role", "consumer", "--attempts", "5", "--repaired"],
    )?;
    let mut consumer = Consumer::start(repaired)?;
    wait_until_settled(&mut consumer, &db, samples.len(), limit).await?;
    consumer.0.kill().await?;
    check_states(&db, &samples, true, &mut wrongs).await?;
    letters::check(&letters, &samples, true, &mut wrongs).await?;

    latency::run(store, broker, seed, quick, &mut wrongs).await?;
    let verdict = verdict(&db, &samples, drain, wrongs.count).await?;
    db.close().await?;
    Ok(verdict)
}

async fn publish(fixture: &Fixture, samples: &[Sample]) -> Result<()> {
    let publisher = fixture.transport().await?.publisher().await?;
    for batch in samples.chunks(100) {
        let mut confirms = Vec::new();
        for sample in batch {
            confirms.push(publisher.publish(&sample.message).await?);
        }
        for confirm in confirms {
            let confirmation = confirm.await?;
            ensure!(confirmation == Confirmation::Routed, "{confirmation:?}");
        }
    }
    Ok(())
}

/// A process with the consumer.
struct Consumer(Child);

impl Consumer {
    fn start(mut command: tokio::process::Command) -> Result<Self> {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().context("cannot start the consumer")?))
    }

    /// Whether it has aborted.
    fn is_dead(&mut self) -> Result<bool> {
        match self.0.try_wait()? {
            None => Ok(false),
            Some(status) if status.code().is_none() => Ok(true),
            Some(status) => bail!("the consumer ended with {status}"),
        }
    }
}

/// Starts the consumer again after each abort, until all messages are handled or kept. Returns the number of aborts.
async fn until_settled(
    fixture: &Fixture,
    run: &str,
    db: &store::Database,
    samples: usize,
    limit: Duration,
) -> Result<u32> {
    let start = || {
        let args = ["--role", "consumer", "--attempts", "5"];
        Consumer::start(fixture.workload(run, &args)?)
    };
    let (begun, mut deaths) = (Instant::now(), 0);
    let mut consumer = start()?;
    while settled(db).await? < samples {
        if consumer.is_dead()? {
            deaths += 1;
            consumer = start()?;
        }
        ensure!(
            begun.elapsed() < limit,
            "{} of {samples} messages are handled or kept after {deaths} aborts of the consumer",
            settled(db).await?
        );
        tokio::time::sleep(PAUSE).await;
    }
    consumer.0.kill().await?;
    Ok(deaths)
}

async fn wait_until_settled(
    consumer: &mut Consumer,
    db: &store::Database,
    samples: usize,
    limit: Duration,
) -> Result<()> {
    let begun = Instant::now();
    while settled(db).await? < samples {
        ensure!(!consumer.is_dead()?, "the repaired consumer aborted");
        ensure!(
            begun.elapsed() < limit,
            "{} of {samples} messages are handled or kept",
            settled(db).await?
        );
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn settled(db: &store::Database) -> Result<usize> {
    let settled = "SELECT count(*) FROM angarium_inbox WHERE state IN ('done', 'dead', 'skipped')";
    Ok(usize::try_from(tables::number(db, settled).await?)?)
}

struct Wrongs {
    title: String,
    count: usize,
}

impl Wrongs {
    fn judge(&mut self, kept: bool, what: &str) {
        let verdict = if kept { "" } else { " WRONG" };
        println!("{}{verdict}: {what}", self.title);
        self.count += usize::from(!kept);
    }
}

/// Each message has the state, the cause and the attempts of its kind, and its original bytes.
async fn check_states(
    db: &store::Database,
    samples: &[Sample],
    repaired: bool,
    wrongs: &mut Wrongs,
) -> Result<()> {
    let selecting =
        "SELECT {text event_id} AS event_id, state, cause, attempts, body FROM angarium_inbox";
    let mut rows = BTreeMap::new();
    for row in tables::rows(db, selecting, []).await? {
        let cause: Option<String> = row.try_get("", "cause")?;
        let state: String = row.try_get("", "state")?;
        let attempts: i32 = row.try_get("", "attempts")?;
        let body: Option<Vec<u8>> = row.try_get("", "body")?;
        let event_id: String = row.try_get("", "event_id")?;
        rows.insert(event_id, (state, cause.unwrap_or_default(), attempts, body));
    }
    let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for sample in samples {
        let fate = if repaired {
            sample.fate.mended()
        } else {
            sample.fate
        };
        let right = rows
            .get(&sample.event_id)
            .is_some_and(|(state, cause, attempts, body)| {
                let Some(expected) = fate.kept(ATTEMPTS, repaired) else {
                    return state == "done";
                };
                state == expected.state
                    && cause.contains(expected.cause)
                    && *attempts == expected.attempts
                    && body.as_deref() == Some(&sample.message.body[..])
            });
        let (all, as_expected) = kinds.entry(sample.kind).or_default();
        *all += 1;
        *as_expected += usize::from(right);
        if !right {
            println!(
                "{}: {}: {:?}",
                wrongs.title,
                sample.kind,
                rows.get(&sample.event_id)
                    .map(|row| (&row.0, &row.1, row.2))
            );
        }
    }
    let when = if repaired {
        "after the replay"
    } else {
        "at first"
    };
    let right = kinds.values().all(|(all, as_expected)| all == as_expected);
    let kinds: Vec<String> = kinds
        .iter()
        .map(|(kind, (all, as_expected))| format!("{kind} {as_expected}/{all}"))
        .collect();
    wrongs.judge(
        right && rows.len() == samples.len(),
        &format!("as expected {when}, of each kind: {}", kinds.join(", ")),
    );
    Ok(())
}

/// A message that aborts its process is delivered no more often than the delivery limit allows, and good messages are delivered
/// much less often than that.
fn check_deliveries(
    fixture: &Fixture,
    run: &str,
    samples: &[Sample],
    deaths: u32,
    wrongs: &mut Wrongs,
) -> Result<()> {
    let mut deliveries: BTreeMap<String, u32> = BTreeMap::new();
    for id in fixture.delivered(run)? {
        *deliveries.entry(id).or_default() += 1;
    }
    let most = |fate: Fate| {
        let of_fate = samples.iter().filter(|sample| sample.fate == fate);
        let counts = of_fate.filter_map(|sample| deliveries.get(&sample.event_id));
        counts.copied().max().unwrap_or(0)
    };
    let limit = u32::from(deposit::subscriptions(false).queue().delivery_limit);
    let (killers, good) = (most(Fate::Aborts), most(Fate::Handled));
    wrongs.judge(
        killers <= limit + 1 && good < limit / 2 && deaths >= limit,
        &format!(
            "the consumer aborted {deaths} times; a deadly message was delivered at most {killers} times, a good one at most {good} times"
        ),
    );
    Ok(())
}

/// For the checker, each sent message that can have an effect counts as a state.
pub(crate) async fn verdict(
    db: &store::Database,
    samples: &[Sample],
    drain: Duration,
    wrong: usize,
) -> Result<Verdict> {
    let states: Vec<Entry> = samples
        .iter()
        .filter_map(|sample| sample.effect.clone())
        .collect();
    let rows = tables::rows(
        db,
        "SELECT op, account, version FROM effect ORDER BY sequence",
        [],
    )
    .await?;
    let effects: Result<Vec<Entry>> = rows.iter().map(crate::fixture::entry).collect();
    let history = History {
        answers: Answers::all_acknowledged(states.iter().map(|entry| entry.op.clone())),
        states,
        effects: effects?,
        drain: Some(drain),
        ..History::default()
    };
    Ok(Verdict {
        wrong,
        ..judge(&history, true)
    })
}
