//! The process that a run kills: a producing and a consuming service, each with its database, and a broker between them.
//!
//! It gives the commands of a run and goes on until it is quiet: nothing pending, nothing held, an effect for each state. After
//! a crash the same command line repeats the commands, so it is the recovery too. It ends with 0 when it was quiet, and with
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

/// Short intervals between looks for work: for many short runs, and for a relay in a process without commits. Other runs keep
/// the usual interval, so that a look cannot hide a missing signal.
pub(crate) const OFTEN: [&str; 2] = ["--look", "100"];

#[derive(clap::Args)]
pub(crate) struct Workload {
    #[arg(long, env = "WORKLOAD_PRODUCER_URL", hide_env_values = true)]
    producer_url: String,
    #[arg(long, env = "WORKLOAD_CONSUMER_URL", hide_env_values = true)]
    consumer_url: String,
    /// Without it, the queue file is the broker
    #[arg(long, env = "WORKLOAD_AMQP_URL", hide_env_values = true)]
    amqp_url: Option<String>,
    /// Another address of the same broker, for the consuming service
    #[arg(long, env = "WORKLOAD_CONSUMER_AMQP_URL", hide_env_values = true)]
    consumer_amqp_url: Option<String>,
    #[arg(long, default_value = "")]
    amqp_prefix: String,
    #[arg(long)]
    queue_file: PathBuf,
    /// The file for the record of deliveries
    #[arg(long)]
    wire: PathBuf,
    /// The prefix of the names of all commands
    #[arg(long)]
    run: String,
    #[arg(long, default_value_t = 4)]
    accounts: u32,
    #[arg(long, default_value_t = 24)]
    commands: u32,
    #[arg(long, default_value_t = 4)]
    writers: usize,
    /// Commands a second, until the standard input is closed, instead of a fixed number
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
    /// Seconds. Long for an insert, but a handler may wait for a database that does not answer
    #[arg(long, default_value_t = 10)]
    handler_time_out: u64,
    /// Attempts of the handler before an event is dead
    #[arg(long, default_value_t = 1000)]
    attempts: u32,
    /// Stop the process (SIGSTOP) the first time that it comes to this place
    #[arg(long, value_enum)]
    stop_in: Option<stopped::Place>,
    /// Handle also the events that otherwise fail, abort or hang
    #[arg(long)]
    repaired: bool,
    /// Lose every Nth message on the way to the broker; 0 loses none
    #[arg(long, default_value_t = 0)]
    publish_losses: u32,
    /// Handle each event on its own
    #[arg(long)]
    each: bool,
    /// Milliseconds between looks for work; the default is the interval of production
    #[arg(long)]
    look: Option<u64>,
    /// Declare the queue only after the first attempt to publish
    #[arg(long)]
    late_consumer: bool,
    /// The release of the consumer, if two of them run at the same time
    #[arg(long, value_enum)]
    release: Option<Release>,
    /// Shut down as soon as all commands are committed, while events are being delivered
    #[arg(long)]
    stop_early: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// Everything
    Both,
    /// Commands; their events stay in the outbox
    Producer,
    /// A relay, until killed
    Relay,
    /// A consumer, until killed
    Consumer,
}

/// A release of the consumer.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Release {
    Old,
    /// Knows one more type of event
    New,
}

struct Services {
    producer: Store,
    consumer: Store,
    running: JoinSet<()>,
    stop: CancellationToken,
}

pub(crate) async fn run(workload: &Workload, patience: Duration) -> Result<ExitCode> {
    // The log that an operator would see. The parent process shows it if something goes wrong.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    effects::FAILURES.store(workload.handler_failures, Ordering::Relaxed);
    effects::DELAYS.store(workload.handler_delays, Ordering::Relaxed);
    effects::REPAIRED.store(workload.repaired, Ordering::Relaxed);
    if let Some(place) = workload.stop_in {
        place.arm();
    }
    let [produces_on, consumes_on] = workload.brokers().await?;
    let mut services = Services::connect(workload).await?;
    let (producing, consuming) = (
        Wire::before(
            produces_on.transport("producer", deposit::producer()),
            &workload.wire,
            workload.publish_losses,
        )?,
        Wire::before(
            consumes_on.transport("consumer", deposit::consumer()),
            &workload.wire,
            0,
        )?,
    );
    if matches!(workload.role, Role::Both | Role::Relay) {
        if !workload.late_consumer {
            consuming.declare().await?;
        }
        services.relay(producing);
    }
    let consumes = matches!(workload.role, Role::Both | Role::Consumer);
    if consumes && !workload.late_consumer {
        services.consume(Arc::clone(&consuming), workload);
    }
    if matches!(workload.role, Role::Relay | Role::Consumer) {
        std::future::pending::<()>().await;
    }

    workload.command(&services.producer).await?;
    if consumes && workload.late_consumer {
        services.wait_for_a_first_publish().await?;
        services.consume(consuming, workload);
    }
    if workload.stop_early {
        services.wait_for_an_effect_of(&workload.run).await?;
        services.stop().await;
        return Ok(ExitCode::SUCCESS);
    }
    let begun = Instant::now();
    let code = match tokio::time::timeout(patience, services.settle(workload)).await {
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

impl Workload {
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

    /// The same broker for the producing and for the consuming service, by different addresses.
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
                ..RabbitMqConfig::new(
                    url.parse()
                        .context("the address of the broker is not a URL")?,
                )
            }))
        };
        Ok([
            by(url)?,
            by(self.consumer_amqp_url.as_ref().unwrap_or(url))?,
        ])
    }
}

impl Services {
    async fn connect(workload: &Workload) -> Result<Self> {
        let connect = async |url: &str, name| {
            let db = store::connect(&DatabaseConfig::new(url), name).await?;
            let store = Store::new(db);
            anyhow::Ok(match workload.look {
                Some(millis) => store.looking_every(Duration::from_millis(millis)),
                None => store,
            })
        };
        Ok(Self {
            producer: connect(&workload.producer_url, "producer").await?,
            consumer: connect(&workload.consumer_url, "consumer").await?,
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

    fn consume(&mut self, transport: Arc<dyn Transport>, workload: &Workload) {
        let config = ConsumerConfig {
            handler_time_out: Duration::from_secs(workload.handler_time_out),
            retry: RetryPolicy {
                first_delay: Duration::from_millis(20),
                longest_delay: Duration::from_millis(200),
                attempts: workload.attempts,
                ..RetryPolicy::default()
            },
            unknown_wait: match workload.release {
                Some(_) => ConsumerConfig::default().unknown_wait,
                // No other release runs at the same time.
                None => Duration::ZERO,
            },
            ..ConsumerConfig::default()
        };
        let subscriptions = match workload.release {
            Some(Release::New) => deposit::newer_subscriptions(workload.each),
            _ => deposit::subscriptions(workload.each),
        };
        let store = self.consumer.clone();
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

    /// Before its first effect a consumer may not be connected, so there would be nothing to interrupt.
    async fn wait_for_an_effect_of(&self, run: &str) -> Result<()> {
        let effect = "SELECT op FROM effect WHERE op LIKE $1 LIMIT 1";
        let db = self.consumer.connection();
        let ops = || [format!("{run}-%").into()];
        while tables::rows(db, effect, ops()).await?.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Waits until it is quiet, sends a last event for each account, and waits again. An account's deliveries keep their order, so
    /// all repeated deliveries have come by then.
    async fn settle(&self, workload: &Workload) -> Result<()> {
        self.quiet().await;
        let boot = std::process::id();
        let last = |number| commands::Command {
            op: format!("{}-last-{number}-{boot}", workload.run),
            account: commands::account(&workload.run, number),
        };
        let last: Vec<_> = (0..workload.accounts).map(last).collect();
        commands::run(&self.producer, &last, 1).await?;
        self.quiet().await;
        Ok(())
    }

    async fn quiet(&self) {
        // A database that does not answer is not quiet.
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

    /// Shuts the services down: they receive nothing new, finish what has begun, and publish what is pending.
    async fn stop(&mut self) {
        self.stop.cancel();
        let ending = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(10), ending)
            .await
            .is_err()
        {
            eprintln!("the services did not shut down within 10 s");
        }
    }
}
