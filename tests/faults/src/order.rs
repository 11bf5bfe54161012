//! Order with everything at once: several relays and consumers, handlers that fail or are slow, an account with a handler that always
//! fails, and killed processes.
//!
//! The process that commits has no relay, so each relay may be killed. The oldest relay and a consumer are killed in turn, so the
//! holder of the lease is killed after as many kills as there are relays. After each kill the system must go on.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use anyhow::{Context as _, Result};
use messaging::Store;
use testkit::{BrokerKind, StoreKind, eventually_is};

use crate::broker::RECOVERY;
use crate::checker::Verdict;
use crate::fixture::Fixture;
use crate::load_process::LoadProcess;
use crate::tables;
use crate::watch::{Recovery, Watch};
use crate::workload::{OFTEN, commands, effects};

mod process;

use process::Process;

/// Events of the blocked account, where the first event always fails.
const BLOCKED: u32 = 20;

struct Plan {
    accounts: &'static str,
    /// At least this many; more while there were too few kills.
    events: i64,
    rate: &'static str,
    relays: usize,
    kills: usize,
    /// Relays that must have held the lease, one after the other.
    holders: usize,
    /// Per cent of the handler's attempts that fail.
    failures: &'static str,
    /// The longest pause between a recovery and the next kill.
    pause_ms: u64,
}

impl Plan {
    fn new(quick: bool) -> Self {
        if quick {
            return Self {
                accounts: "10",
                events: 300,
                rate: "60",
                relays: 2,
                kills: 3,
                holders: 2,
                failures: "20",
                pause_ms: 500,
            };
        }
        Self {
            accounts: "100",
            events: 10_000,
            rate: "130",
            relays: 3,
            kills: 12,
            holders: 3,
            failures: "5",
            pause_ms: 3000,
        }
    }
}

/// 100 accounts, 10 000 events, 4 writers, 3 relays, 2 consumers; 5 % of the attempts fail. The short form has fewer of all, and 20 %
/// fail.
pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let plan = Plan::new(quick);
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (run, text) = (seed.to_string(), patience.to_string());
    let mut watch = Watch::over(&fixture, "order").await?;
    let mut running = Running::start(&fixture, &run, &plan)?;

    let blocked = commands::account(&run, u32::MAX);
    watch.leave_out(&blocked);
    block(&mut fixture, &blocked).await?;
    let args = [
        "--role",
        "producer",
        "--accounts",
        plan.accounts,
        "--rate",
        plan.rate,
    ];
    let mut load = fixture.load(&run, &[&args[..], &["--patience", &text]].concat())?;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut longest = Recovery::none();
    watch.recovers(&mut load, RECOVERY, &mut longest).await?;
    while running.kills() < plan.kills || watch.deposits().await? < plan.events {
        tokio::time::sleep(Duration::from_millis(random.u64(..plan.pause_ms))).await;
        running.note_holder(&watch).await?;
        running.kill_one(&fixture, &mut random).await?;
        if !watch.recovers(&mut load, RECOVERY, &mut longest).await? {
            break;
        }
    }
    running.note_holder(&watch).await?;
    watch.recovered("after each kill", longest);
    watch.judge(
        running.kills() >= plan.kills && running.holders.len() >= plan.holders,
        &format!(
            "{} relays and {} consumers were killed, {} relays held the lease in turn",
            running.relay_kills,
            running.consumer_kills,
            running.holders.len()
        ),
    );
    stops_only_itself(&blocked, &mut load, &mut watch).await?;

    running.repair(&fixture).await?;
    fixture.end(load, patience).await?;
    let verdict = fixture.verdict(&run, true).await?;
    running.end().await?;
    no_deadlocks(&mut watch).await?;
    watch.close(verdict).await
}

/// Fills an account with events. The first one fails at every consumer until the handler is repaired.
async fn block(fixture: &mut Fixture, account: &str) -> Result<()> {
    let store = Store::new(fixture.producer.connect().await);
    for number in 0..BLOCKED {
        let kind = if number == 0 {
            effects::FAILS
        } else {
            "behind"
        };
        let op = format!("{kind}-{number}");
        let account = account.to_owned();
        commands::deposit(
            &store,
            &commands::Command {
                op: op.clone(),
                account,
            },
        )
        .await?;
        fixture.was_done(&op);
    }
    Ok(())
}

/// All other accounts have their effects while the blocked one has none. Their pace is not compared, because a busy machine would
/// change it.
async fn stops_only_itself(blocked: &str, load: &mut LoadProcess, watch: &mut Watch) -> Result<()> {
    let mut longest = Recovery::none();
    let others = watch.recovers(load, RECOVERY, &mut longest).await?;
    let made = "SELECT count(*) FROM effect WHERE account = $1";
    let made = tables::number_of(&watch.consumer, made, [blocked.into()]).await?;
    let held = "SELECT count(*) FROM angarium_inbox WHERE aggregate_id = $1 AND state IN ('deferred', 'waiting')";
    let held = tables::number_of(&watch.consumer, held, [blocked.into()]).await?;
    watch.judge(
        others && made == 0 && held == i64::from(BLOCKED),
        &format!(
            "the account that always fails has {held} held events and {made} effects, all others have their effects within {:.1?}",
            longest.drains
        ),
    );
    Ok(())
}

/// Relays and consumers take their locks in one order, so PostgreSQL counts no deadlock.
async fn no_deadlocks(watch: &mut Watch) -> Result<()> {
    let mut deadlocks = 0;
    for database in [&watch.producer, &watch.consumer] {
        // A session reports its counts when it ends.
        let others = "SELECT count(*) FROM pg_stat_activity
                      WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'faults'";
        eventually_is("no session is left", Some(0), async || {
            tables::number(database, others).await.ok()
        })
        .await;
        let counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        deadlocks += tables::number(database, counted).await?;
    }
    watch.judge(deadlocks == 0, &format!("{deadlocks} deadlocks"));
    Ok(())
}

/// The processes that are killed, the oldest relay first.
struct Running {
    relays: VecDeque<Process>,
    consumers: Vec<Process>,
    relay_kills: usize,
    consumer_kills: usize,
    holders: BTreeSet<String>,
    run: String,
    failures: &'static str,
}

impl Running {
    fn start(fixture: &Fixture, run: &str, plan: &Plan) -> Result<Self> {
        let mut running = Self {
            relays: VecDeque::new(),
            consumers: Vec::new(),
            relay_kills: 0,
            consumer_kills: 0,
            holders: BTreeSet::new(),
            run: run.to_owned(),
            failures: plan.failures,
        };
        for _ in 0..plan.relays {
            running.relays.push_back(running.relay(fixture)?);
        }
        for _ in 0..2 {
            running.consumers.push(running.consumer(fixture)?);
        }
        Ok(running)
    }

    fn relay(&self, fixture: &Fixture) -> Result<Process> {
        // The process that commits has no relay that would wake this one.
        let args = [&["--role", "relay"][..], &OFTEN].concat();
        Process::start(fixture.workload(&self.run, &args)?)
    }

    fn consumer(&self, fixture: &Fixture) -> Result<Process> {
        let args = [
            "--role",
            "consumer",
            "--handler-failures",
            self.failures,
            "--handler-delays",
            "3",
            // Another process takes over the events of a killed one after this time and a margin.
            "--handler-time-out",
            "2",
            "--attempts",
            "1000000",
        ];
        Process::start(fixture.workload(&self.run, &args)?)
    }

    fn kills(&self) -> usize {
        self.relay_kills + self.consumer_kills
    }

    /// Kills one process, and starts another one.
    async fn kill_one(&mut self, fixture: &Fixture, random: &mut fastrand::Rng) -> Result<()> {
        self.check()?;
        if self.kills().is_multiple_of(2) {
            let oldest = self.relays.pop_front().context("there are relays")?;
            oldest.kill().await?;
            self.relay_kills += 1;
            self.relays.push_back(self.relay(fixture)?);
            return Ok(());
        }
        let victim = random.usize(..self.consumers.len());
        self.consumers.swap_remove(victim).kill().await?;
        self.consumer_kills += 1;
        self.consumers.push(self.consumer(fixture)?);
        Ok(())
    }

    async fn note_holder(&mut self, watch: &Watch) -> Result<()> {
        let holding = tables::rows(
            &watch.producer,
            "SELECT holder FROM angarium_relay_lease",
            [],
        )
        .await?;
        for row in holding {
            self.holders.insert(row.try_get("", "holder")?);
        }
        Ok(())
    }

    /// Fails if a process has ended without being killed.
    fn check(&mut self) -> Result<()> {
        let all = self.relays.iter_mut().chain(&mut self.consumers);
        all.into_iter().try_for_each(Process::check)
    }

    /// Replaces the consumers by one that can handle everything.
    async fn repair(&mut self, fixture: &Fixture) -> Result<()> {
        self.check()?;
        for consumer in std::mem::take(&mut self.consumers) {
            consumer.kill().await?;
        }
        let repaired = fixture.workload(&self.run, &["--role", "consumer", "--repaired"])?;
        self.consumers.push(Process::start(repaired)?);
        Ok(())
    }

    async fn end(mut self) -> Result<()> {
        self.check()?;
        for process in self.relays.into_iter().chain(self.consumers) {
            process.kill().await?;
        }
        Ok(())
    }
}
