//! Two databases and a broker, the processes of the workload on them, and what they have printed. Gives the verdict.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use load::Answers;
use messaging::transport::{self, Embedded, Topology, Transport};
use sea_orm::{ConnectionTrait, QueryResult};
use store::DatabaseConfig;
use tempfile::TempDir;
use testkit::{Broker, BrokerKind, Database, StoreKind};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use url::Url;

use crate::checker::{Entry, History, Verdict, judge};
use crate::load_process::LoadProcess;
use crate::tables::{self, Migrator};
use crate::wire::{self, Recorded};
use crate::workload::NOT_QUIET;
use crate::{deposit, text};

/// The name of the embedded broker's file.
pub(crate) const QUEUE_FILE: &str = "queue.db";

/// Longer than the patience of a child: a child that takes longer hangs.
const HANGS: Duration = Duration::from_secs(180);

pub(crate) struct Fixture {
    pub(crate) producer: Database,
    pub(crate) consumer: Database,
    pub(crate) broker: Option<Broker>,
    folder: TempDir,
    queue_file: PathBuf,
    known: Known,
    way: Way,
}

/// The addresses that the processes use: those of the servers, or those of proxies that break links.
#[derive(Default)]
pub(crate) struct Way {
    pub(crate) producer: Option<String>,
    pub(crate) consumer: Option<String>,
    /// The broker's address for the producing service, and that for the consuming service.
    pub(crate) broker: Option<[String; 2]>,
}

/// What the processes have printed.
#[derive(Default)]
struct Known {
    answers: Answers<String>,
    drain: Option<Duration>,
    /// The ids of messages that were lost on the way to the broker.
    lost: Vec<String>,
}

/// How a process ended.
pub(crate) struct Ended {
    pub(crate) crashed: bool,
    pub(crate) code: Option<i32>,
}

impl Fixture {
    pub(crate) async fn new(store: StoreKind, broker: BrokerKind) -> Result<Self> {
        let databases = [Database::create(store).await, Database::create(store).await];
        // The child opens the queue file and locks it.
        let broker = match broker {
            BrokerKind::RabbitMq => Some(Broker::create(broker).await),
            BrokerKind::Embedded => None,
        };
        Self::on(databases, broker).await
    }

    /// On the databases of the producer and of the consumer, and on this broker.
    pub(crate) async fn on(databases: [Database; 2], broker: Option<Broker>) -> Result<Self> {
        let [producer, consumer] = databases;
        for database in [&producer, &consumer] {
            database.migrated::<Migrator>().await.close().await?;
        }
        let folder = TempDir::new()?;
        Ok(Self {
            producer,
            consumer,
            broker,
            queue_file: folder.path().join(QUEUE_FILE),
            folder,
            known: Known::default(),
            way: Way::default(),
        })
    }

    /// Processes that start after this call use these addresses.
    pub(crate) fn go_by(&mut self, way: Way) {
        self.way = way;
    }

    /// Puts the embedded broker's file into this folder.
    pub(crate) fn keep_queue_in(&mut self, folder: &Path) {
        self.queue_file = folder.join(QUEUE_FILE);
    }

    /// The consumer's transport. Call it before any process runs: only one process may open the queue file.
    pub(crate) async fn transport(&self) -> Result<Arc<dyn Transport>> {
        self.transport_of(deposit::consumer()).await
    }

    /// The same with another topology.
    pub(crate) async fn transport_of(&self, topology: Topology) -> Result<Arc<dyn Transport>> {
        match &self.broker {
            Some(broker) => Ok(broker.transport(topology)),
            None => {
                let embedded = Embedded::open(&self.queue_file()).await?;
                Ok(Arc::new(embedded.transport(topology)))
            }
        }
    }

    pub(crate) fn queue_file(&self) -> PathBuf {
        self.queue_file.clone()
    }

    /// RabbitMQ's address.
    pub(crate) fn amqp_url(&self) -> Result<Url> {
        self.rabbitmq().map(|(url, _)| url)
    }

    fn rabbitmq(&self) -> Result<(Url, String)> {
        let topologies = [deposit::producer(), deposit::consumer()];
        let broker = self
            .broker
            .as_ref()
            .context("this fixture has no RabbitMQ")?;
        match broker.of_services(&topologies) {
            transport::Broker::RabbitMq(config) => Ok((config.url, config.prefix)),
            transport::Broker::Embedded(_) => bail!("this fixture has the embedded broker"),
        }
    }

    /// The file with the record of a run's deliveries.
    pub(crate) fn wire(&self, run: &str) -> PathBuf {
        self.folder.path().join(format!("{run}.wire"))
    }

    /// The command of a [`crate::workload`] process with these arguments.
    pub(crate) fn workload(&self, run: &str, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["workload", "--run", run])
            .args(args)
            .arg("--wire")
            .arg(self.wire(run))
            .arg("--queue-file")
            .arg(self.queue_file())
            .env(
                "WORKLOAD_PRODUCER_URL",
                self.way.producer.as_deref().unwrap_or(self.producer.url()),
            )
            .env(
                "WORKLOAD_CONSUMER_URL",
                self.way.consumer.as_deref().unwrap_or(self.consumer.url()),
            )
            .env_remove(switches::CRASH_AT)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if self.broker.is_some() {
            let (url, prefix) = self.rabbitmq()?;
            let straight = [url.to_string(), url.to_string()];
            let [produces_by, consumes_by] = self.way.broker.as_ref().unwrap_or(&straight);
            command
                .env("WORKLOAD_AMQP_URL", produces_by)
                .env("WORKLOAD_CONSUMER_AMQP_URL", consumes_by)
                .args(["--amqp-prefix", &prefix]);
        }
        Ok(command)
    }

    /// Runs it to its end, and keeps what it prints.
    pub(crate) async fn run(&mut self, mut command: Command) -> Result<Ended> {
        let log = tempfile::tempfile()?;
        command.stdout(Stdio::piped()).stderr(log.try_clone()?);
        let mut child = command.spawn().context("cannot start the workload")?;
        let said = tokio::time::timeout(HANGS, said(&mut child));
        let (said, status) = said.await.context("the workload did not end in time")??;
        self.known.take_in(&said);
        let ended = Ended {
            crashed: status.code().is_none(),
            code: status.code(),
        };
        if !ended.crashed && !ended.has_an_orderly_code() {
            bail!(
                "the workload ended with {status}: {}",
                text::of(log)?.trim_end()
            );
        }
        Ok(ended)
    }

    /// Starts a load that goes on until [`Self::end`].
    pub(crate) fn load(&self, run: &str, args: &[&str]) -> Result<LoadProcess> {
        LoadProcess::start(self.workload(run, args)?)
    }

    /// Ends it, and keeps what it has printed.
    pub(crate) async fn end(&mut self, load: LoadProcess, patience: u64) -> Result<()> {
        let said = load.end(patience).await?;
        self.known.take_in(&said);
        Ok(())
    }

    /// Kills it, and keeps what it has printed.
    pub(crate) async fn kill(&mut self, load: LoadProcess) -> Result<()> {
        let said = load.kill().await?;
        self.known.take_in(&said);
        Ok(())
    }

    /// Keeps lines in the form in which a process prints them.
    pub(crate) fn take_in(&mut self, said: &str) {
        self.known.take_in(said);
    }

    /// The verdict on all runs so far. Redeliveries are counted in `run` only.
    pub(crate) async fn verdict(&self, run: &str, ordered: bool) -> Result<Verdict> {
        let (producer, consumer) = (
            look_into(&self.producer).await?,
            look_into(&self.consumer).await?,
        );
        let history = self.history(run, &producer, &consumer).await;
        producer.close().await?;
        consumer.close().await?;
        Ok(judge(&history?, ordered))
    }

    async fn history(
        &self,
        run: &str,
        producer: &store::Database,
        consumer: &store::Database,
    ) -> Result<History> {
        let count = async |db, sql| anyhow::Ok(usize::try_from(tables::number(db, sql).await?)?);
        let pending = "SELECT count(*) FROM angarium_outbox";
        let passed_over = "SELECT count(*) FROM angarium_outbox
                           WHERE sequence < (SELECT max(sequence) FROM angarium_outbox_history)";
        let held =
            "SELECT count(*) FROM angarium_inbox WHERE state NOT IN ('done', 'dead', 'discarded')";
        let dead = "SELECT count(*) FROM angarium_inbox WHERE state = 'dead'";
        Ok(History {
            answers: self.known.answers.clone(),
            states: entries(producer, "SELECT op, account, version FROM deposit").await?,
            effects: entries(
                consumer,
                "SELECT op, account, version FROM effect ORDER BY sequence",
            )
            .await?,
            pending: count(producer, pending).await?,
            passed_over: count(producer, passed_over).await?,
            held: count(consumer, held).await?,
            dead: count(consumer, dead).await?,
            redelivered: self.redelivered(run)?,
            drain: self.known.drain,
        })
    }

    /// Notes a command that this process gave and that was acknowledged.
    pub(crate) fn was_done(&mut self, op: &str) {
        self.known.answers.attempt(op.to_owned());
        self.known.answers.acknowledge(op.to_owned());
    }

    /// The acknowledged commands so far.
    pub(crate) fn acknowledged(&self) -> &HashSet<String> {
        self.known.answers.acknowledged()
    }

    /// The ids of messages that were lost on the way to the broker, each as often as it was lost.
    pub(crate) fn lost(&self) -> &[String] {
        &self.known.lost
    }

    /// The ids of the deliveries of a run, each as often as it was delivered.
    pub(crate) fn delivered(&self, run: &str) -> Result<Vec<String>> {
        let deliveries = self.deliveries(run)?.into_iter();
        Ok(deliveries.map(|delivery| delivery.id).collect())
    }

    /// The deliveries of a run.
    pub(crate) fn deliveries(&self, run: &str) -> Result<Vec<Recorded>> {
        wire::read(&self.wire(run))
    }

    /// How many deliveries of a run were repetitions.
    fn redelivered(&self, run: &str) -> Result<usize> {
        let mut seen = HashSet::new();
        let delivered = self.delivered(run)?;
        Ok(delivered.iter().filter(|id| !seen.insert(*id)).count())
    }
}

impl Ended {
    pub(crate) fn was_quiet(&self) -> bool {
        self.code == Some(0)
    }

    fn has_an_orderly_code(&self) -> bool {
        self.was_quiet() || self.code == Some(NOT_QUIET.into())
    }
}

impl Known {
    fn take_in(&mut self, said: &str) {
        self.drain = None;
        for line in said.lines() {
            match line.split_once(' ') {
                Some(("try", op)) => self.answers.attempt(op.to_owned()),
                Some(("ok", answer)) => {
                    let (op, _) = answer.split_once(' ').unwrap_or((answer, ""));
                    self.answers.acknowledge(op.to_owned());
                }
                Some(("lost", id)) => self.lost.push(id.to_owned()),
                Some(("quiet", millis)) => {
                    self.drain = millis.parse().ok().map(Duration::from_millis);
                }
                _ => (),
            }
        }
    }
}

async fn said(child: &mut Child) -> Result<(String, std::process::ExitStatus)> {
    let mut said = String::new();
    if let Some(stdout) = &mut child.stdout {
        stdout.read_to_string(&mut said).await?;
    }
    Ok((said, child.wait().await?))
}

pub(crate) async fn entries(db: &impl ConnectionTrait, sql: &str) -> Result<Vec<Entry>> {
    let rows = tables::rows(db, sql, []).await?;
    rows.iter().map(entry).collect()
}

/// A connection to look at the data. Its time-out is long, because a busy machine must not change the verdict.
pub(crate) async fn look_into(database: &Database) -> Result<store::Database> {
    let config = DatabaseConfig {
        acquire_timeout: Duration::from_secs(60),
        ..database.config()
    };
    Ok(store::connect(&config, "faults").await?)
}

pub(crate) fn entry(row: &QueryResult) -> Result<Entry> {
    Ok(Entry {
        op: row.try_get("", "op")?,
        account: row.try_get("", "account")?,
        version: row.try_get("", "version")?,
    })
}
