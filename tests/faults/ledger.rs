//! The process that dies: a producing and a consuming service with a database each, joined by a broker.
//!
//! It does a run's commands and goes on until it is quiet: nothing pending, nothing held, an effect for each state. Started
//! again it does the same, so one program is both the run and the recovery from it. It ends with 0 when it was quiet and with
//! [`NOT_QUIET`] when that took too long.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use messaging::transport::{Broker, Embedded, RabbitMqConfig, Transport};
use messaging::{CheckpointPace, Consumer, ConsumerConfig, Relay, RelayConfig, RetryPolicy, Store};
use store::DatabaseConfig;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::wire::Wire;
use crate::{deposit, tables};

pub(crate) mod commands;
pub(crate) mod effects;
mod pace;
pub(crate) mod stopped;

use pace::Pace;

pub(crate) const NOT_QUIET: u8 = 3;

/// For many short runs, which must not wait, and for a relay that nobody tells of commits. Nowhere else: what saves a run is not
/// to be this look instead of whoever should have told.
pub(crate) const OFTEN: [&str; 2] = ["--look", "100"];

#[derive(clap::Args)]
pub(crate) struct Ledger {
    #[arg(long, env = "LEDGER_PRODUCER_URL", hide_env_values = true)]
    producer_url: String,
    #[arg(long, env = "LEDGER_CONSUMER_URL", hide_env_values = true)]
    consumer_url: String,
    /// Without it, the queue file is the broker
    #[arg(long, env = "LEDGER_AMQP_URL", hide_env_values = true)]
    amqp_url: Option<String>,
    /// The consuming service's way to the same broker, where it has one of its own
    #[arg(long, env = "LEDGER_CONSUMER_AMQP_URL", hide_env_values = true)]
    consumer_amqp_url: Option<String>,
    #[arg(long, default_value = "")]
    amqp_prefix: String,
    #[arg(long)]
    queue_file: PathBuf,
    /// Where deliveries are recorded
    #[arg(long)]
    wire: PathBuf,
    /// What the commands of this run are called
    #[arg(long)]
    run: String,
    #[arg(long, default_value_t = 4)]
    accounts: u32,
    #[arg(long, default_value_t = 24)]
    commands: u32,
    #[arg(long, default_value_t = 4)]
    writers: usize,
    /// So many commands a second, until the input is closed, instead of a fixed number
    #[arg(long)]
    rate: Option<u32>,
    #[arg(long, value_enum, default_value_t = Role::Both)]
    role: Role,
    /// Per cent of the handler's attempts that fail
    #[arg(long, default_value_t = 0)]
    handler_failures: u64,
    /// Per cent of the handler's attempts that take up to 200 ms
    #[arg(long, default_value_t = 0)]
    handler_delays: u64,
    /// Seconds; long for an insert, but a handler that waits for a database that says nothing waits for as long
    #[arg(long, default_value_t = 10)]
    handler_time_out: u64,
    /// The handler's attempts at an event before it is dead
    #[arg(long, default_value_t = 1000)]
    attempts: u32,
    /// Stop the process once at this place, until it is continued
    #[arg(long, value_enum)]
    stop_in: Option<stopped::Place>,
    /// The handler can do what it could not
    #[arg(long)]
    repaired: bool,
    /// Each so-manieth message is lost on its way to the broker
    #[arg(long, default_value_t = 0)]
    publish_losses: u32,
    /// Handle each event on its own
    #[arg(long)]
    each: bool,
    /// Look for work so often, in milliseconds, instead of as often as in production
    #[arg(long)]
    look: Option<u64>,
    /// Make the queue exist only after an event was published
    #[arg(long)]
    late_consumer: bool,
    /// Stop in order as soon as all is committed, in the middle of the deliveries
    #[arg(long)]
    stop_early: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// Everything
    Both,
    /// Commands, and nobody who publishes their events
    Producer,
    /// A relay, until killed
    Relay,
    /// A consumer, until killed
    Consumer,
}

struct Services {
    producer: Store,
    consumer: Store,
    running: JoinSet<()>,
    stop: CancellationToken,
}

pub(crate) async fn run(ledger: &Ledger, patience: Duration) -> Result<ExitCode> {
    // As an operator would see it; whoever started this process reads it where something went wrong.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    effects::FAILURES.store(ledger.handler_failures, Ordering::Relaxed);
    effects::DELAYS.store(ledger.handler_delays, Ordering::Relaxed);
    effects::REPAIRED.store(ledger.repaired, Ordering::Relaxed);
    if let Some(place) = ledger.stop_in {
        place.arm();
    }
    let [produces_on, consumes_on] = ledger.brokers().await?;
    let mut services = Services::connect(ledger).await?;
    let (producing, consuming) = (
        Wire::before(
            produces_on.transport("producer", deposit::producer()),
            &ledger.wire,
            ledger.publish_losses,
        )?,
        Wire::before(
            consumes_on.transport("consumer", deposit::consumer()),
            &ledger.wire,
            0,
        )?,
    );
    if matches!(ledger.role, Role::Both | Role::Relay) {
        if !ledger.late_consumer {
            consuming.declare().await?;
        }
        services.relay(producing);
    }
    let consumes = matches!(ledger.role, Role::Both | Role::Consumer);
    if consumes && !ledger.late_consumer {
        services.consume(Arc::clone(&consuming), ledger);
    }
    if matches!(ledger.role, Role::Relay | Role::Consumer) {
        std::future::pending::<()>().await;
    }

    ledger.command(&services.producer).await?;
    if consumes && ledger.late_consumer {
        services.wait_for_a_first_publish().await?;
        services.consume(consuming, ledger);
    }
    if ledger.stop_early {
        services.wait_for_an_effect_of(&ledger.run).await?;
        services.stop().await;
        return Ok(ExitCode::SUCCESS);
    }
    let begun = Instant::now();
    let code = match tokio::time::timeout(patience, services.settle(ledger)).await {
        Ok(settled) => {
            settled?;
            println!("quiet {}", begun.elapsed().as_millis());
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::from(NOT_QUIET),
    };
    services.stop().await;
    Ok(code)
}

impl Ledger {
    async fn command(&self, store: &Store) -> Result<()> {
        let Some(rate) = self.rate else {
            let plan = commands::plan(&self.run, self.accounts, self.commands);
            return commands::run(store, &plan, self.writers).await;
        };
        let pace = Pace {
            run: self.run.clone(),
            accounts: self.accounts,
            writers: self.writers,
            rate,
        };
        pace::keep(store, &pace).await
    }

    /// The producing service's, and the consuming one's: the same, by different ways.
    async fn brokers(&self) -> Result<[Broker; 2]> {
        let Some(url) = &self.amqp_url else {
            let embedded = Embedded::open(&self.queue_file).await?;
            return Ok([
                Broker::Embedded(embedded.clone()),
                Broker::Embedded(embedded),
            ]);
        };
        let by = |url: &String| {
            anyhow::Ok(Broker::RabbitMq(RabbitMqConfig {
                prefix: self.amqp_prefix.clone(),
                ..RabbitMqConfig::new(url.parse().context("the URL of the broker")?)
            }))
        };
        Ok([
            by(url)?,
            by(self.consumer_amqp_url.as_ref().unwrap_or(url))?,
        ])
    }
}

impl Services {
    async fn connect(ledger: &Ledger) -> Result<Self> {
        let connect = async |url: &str, name| {
            let db = store::connect(&DatabaseConfig::new(url), name).await?;
            let store = Store::new(db);
            anyhow::Ok(match ledger.look {
                Some(millis) => store.looking_every(Duration::from_millis(millis)),
                None => store,
            })
        };
        Ok(Self {
            producer: connect(&ledger.producer_url, "producer").await?,
            consumer: connect(&ledger.consumer_url, "consumer").await?,
            running: JoinSet::new(),
            stop: CancellationToken::new(),
        })
    }

    fn relay(&mut self, transport: Arc<dyn Transport>) {
        // As often as a short run needs them.
        let pace = CheckpointPace {
            busy: Duration::from_millis(500),
            idle: Duration::from_secs(2),
            ..CheckpointPace::default()
        };
        let exchanges = deposit::producer().published.into_iter().collect();
        let config = RelayConfig {
            checkpoints: Some((exchanges, pace)),
            ..RelayConfig::new("producer")
        };
        let relay = Relay::new(self.producer.clone(), transport, config);
        self.running.spawn(relay.run(self.stop.clone()));
    }

    fn consume(&mut self, transport: Arc<dyn Transport>, ledger: &Ledger) {
        let config = ConsumerConfig {
            handler_time_out: Duration::from_secs(ledger.handler_time_out),
            retry: RetryPolicy {
                first_delay: Duration::from_millis(20),
                longest_delay: Duration::from_millis(200),
                attempts: ledger.attempts,
                ..RetryPolicy::default()
            },
            // No other release runs beside this one.
            unknown_wait: Duration::ZERO,
            ..ConsumerConfig::default()
        };
        let (store, subscriptions) = (self.consumer.clone(), deposit::subscriptions(ledger.each));
        let consumer = Consumer::new(store, transport, subscriptions, config);
        self.running.spawn(consumer.run(self.stop.clone()));
    }

    async fn wait_for_a_first_publish(&self) -> Result<()> {
        let tried =
            "SELECT count(*) FROM angarium_events WHERE attempts > 0 OR published_at IS NOT NULL";
        while tables::number(self.producer.connection(), tried).await? == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// A consumer that has not connected yet has nothing to stop in the middle of.
    async fn wait_for_an_effect_of(&self, run: &str) -> Result<()> {
        let effect = "SELECT op FROM effect WHERE op LIKE $1 LIMIT 1";
        let db = self.consumer.connection();
        let ops = || [format!("{run}-%").into()];
        while tables::rows(db, effect, ops()).await?.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Until it is quiet, and then once more after a last event for each account: what came again before it has been seen
    /// by then, because an account's deliveries keep their order.
    async fn settle(&self, ledger: &Ledger) -> Result<()> {
        self.quiet().await;
        let boot = std::process::id();
        let last = |number| commands::Command {
            op: format!("{}-last-{number}-{boot}", ledger.run),
            account: commands::account(&ledger.run, number),
        };
        let last: Vec<_> = (0..ledger.accounts).map(last).collect();
        commands::run(&self.producer, &last, 1).await?;
        self.quiet().await;
        Ok(())
    }

    async fn quiet(&self) {
        // A database that is away says nothing, so it is not quiet.
        while !self.is_quiet().await.unwrap_or(false) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn is_quiet(&self) -> Result<bool> {
        let (producer, consumer) = (self.producer.connection(), self.consumer.connection());
        let pending = "SELECT count(*) FROM angarium_outbox";
        let held = "SELECT count(*) FROM angarium_inbox WHERE state IN ('waiting', 'deferred')";
        Ok(tables::number(producer, pending).await? == 0
            && tables::number(consumer, held).await? == 0
            && tables::number(consumer, "SELECT count(DISTINCT op) FROM effect").await?
                >= tables::number(producer, "SELECT count(*) FROM deposit").await?)
    }

    /// Nothing new is received, what has begun is finished, and the outbox is emptied.
    async fn stop(&mut self) {
        self.stop.cancel();
        let ending = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(10), ending)
            .await
            .is_err()
        {
            eprintln!("it does not end in order");
        }
    }
}
