//! Two databases, a broker and the processes on them; and what is known of it all in the end.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use messaging::faults;
use messaging::transport::{self, Embedded, Topology, Transport};
use sea_orm::{ConnectionTrait, QueryResult};
use store::DatabaseConfig;
use tempfile::TempDir;
use testkit::{Broker, BrokerKind, Database, StoreKind};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use url::Url;

use crate::checker::{Entry, History, Verdict, judge};
use crate::ledger::NOT_QUIET;
use crate::load::Load;
use crate::tables::{self, Migrator};
use crate::wire::{self, Recorded};
use crate::{deposit, text};

/// The embedded broker's file, in its folder.
pub(crate) const QUEUE_FILE: &str = "queue.db";

/// Longer than a child's own patience: past it, it hangs.
const HANGS: Duration = Duration::from_secs(180);

pub(crate) struct World {
    pub(crate) producer: Database,
    pub(crate) consumer: Database,
    pub(crate) broker: Option<Broker>,
    folder: TempDir,
    queue_file: PathBuf,
    known: Known,
    way: Way,
}

/// How the processes reach what they use: straight, or through something that breaks.
#[derive(Default)]
pub(crate) struct Way {
    pub(crate) producer: Option<String>,
    pub(crate) consumer: Option<String>,
    /// The producing service's to the broker, and the consuming one's.
    pub(crate) broker: Option<[String; 2]>,
}

/// What the processes have said.
#[derive(Default)]
struct Known {
    attempted: HashSet<String>,
    acknowledged: HashSet<String>,
    drain: Option<Duration>,
    /// The ids of messages that were lost on their way.
    lost: Vec<String>,
}

/// How a process ended.
pub(crate) struct Ended {
    pub(crate) crashed: bool,
    pub(crate) code: Option<i32>,
}

impl World {
    pub(crate) async fn new(store: StoreKind, broker: BrokerKind) -> Result<Self> {
        let databases = [Database::create(store).await, Database::create(store).await];
        // The queue file is the child's, which locks it.
        let broker = match broker {
            BrokerKind::RabbitMq => Some(Broker::create(broker).await),
            BrokerKind::Embedded => None,
        };
        Self::on(databases, broker).await
    }

    /// The producer's database and the consumer's, and a broker.
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

    /// Processes that are started from here on go this way.
    pub(crate) fn go_by(&mut self, way: Way) {
        self.way = way;
    }

    /// The embedded broker's file is there from here on.
    pub(crate) fn keep_queue_in(&mut self, folder: &Path) {
        self.queue_file = folder.join(QUEUE_FILE);
    }

    /// The broker before any process is there, which alone may have an embedded one's file open.
    pub(crate) async fn transport(&self) -> Result<Arc<dyn Transport>> {
        self.transport_of(deposit::consumer()).await
    }

    /// The same, as somebody sees it who declares `topology`.
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

    /// Where RabbitMQ is.
    pub(crate) fn amqp_url(&self) -> Result<Url> {
        self.rabbitmq().map(|(url, _)| url)
    }

    fn rabbitmq(&self) -> Result<(Url, String)> {
        let topologies = [deposit::producer(), deposit::consumer()];
        let broker = self.broker.as_ref().context("there is no broker")?;
        match broker.of_services(&topologies) {
            transport::Broker::RabbitMq(config) => Ok((config.url, config.prefix)),
            transport::Broker::Embedded(_) => bail!("the broker is embedded"),
        }
    }

    /// The record of what was delivered in a run.
    pub(crate) fn wire(&self, run: &str) -> PathBuf {
        self.folder.path().join(format!("{run}.wire"))
    }

    /// A process of [`crate::ledger`], not started yet, with `args` of the run's own.
    pub(crate) fn ledger(&self, run: &str, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["ledger", "--run", run])
            .args(args)
            .arg("--wire")
            .arg(self.wire(run))
            .arg("--queue-file")
            .arg(self.queue_file())
            .env(
                "LEDGER_PRODUCER_URL",
                self.way.producer.as_deref().unwrap_or(self.producer.url()),
            )
            .env(
                "LEDGER_CONSUMER_URL",
                self.way.consumer.as_deref().unwrap_or(self.consumer.url()),
            )
            .env_remove(faults::CRASH_AT)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if self.broker.is_some() {
            let (url, prefix) = self.rabbitmq()?;
            let straight = [url.to_string(), url.to_string()];
            let [produces_by, consumes_by] = self.way.broker.as_ref().unwrap_or(&straight);
            command
                .env("LEDGER_AMQP_URL", produces_by)
                .env("LEDGER_CONSUMER_AMQP_URL", consumes_by)
                .args(["--amqp-prefix", &prefix]);
        }
        Ok(command)
    }

    /// Runs it to its end, and takes in what it says.
    pub(crate) async fn run(&mut self, mut command: Command) -> Result<Ended> {
        let log = tempfile::tempfile()?;
        command.stdout(Stdio::piped()).stderr(log.try_clone()?);
        let mut child = command.spawn().context("starting the ledger")?;
        let said = tokio::time::timeout(HANGS, said(&mut child));
        let (said, status) = said.await.context("the ledger hangs")??;
        self.known.take_in(&said);
        let ended = Ended {
            crashed: status.code().is_none(),
            code: status.code(),
        };
        if !ended.crashed && !ended.has_an_orderly_code() {
            bail!(
                "the ledger ended with {status}: {}",
                text::of(log)?.trim_end()
            );
        }
        Ok(ended)
    }

    /// Starts a load that goes on until it is ended.
    pub(crate) fn load(&self, run: &str, args: &[&str]) -> Result<Load> {
        Load::start(self.ledger(run, args)?)
    }

    /// Ends it, and takes in what it has said.
    pub(crate) async fn end(&mut self, load: Load, patience: u64) -> Result<()> {
        let said = load.end(patience).await?;
        self.known.take_in(&said);
        Ok(())
    }

    /// Kills it, and takes in what it has said.
    pub(crate) async fn kill(&mut self, load: Load) -> Result<()> {
        let said = load.kill().await?;
        self.known.take_in(&said);
        Ok(())
    }

    /// Takes in what a run of its own has to say, line by line as a process says it.
    pub(crate) fn take_in(&mut self, said: &str) {
        self.known.take_in(said);
    }

    /// The verdict over all runs so far; `run` is the one whose deliveries are counted.
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
            attempted: self.known.attempted.clone(),
            acknowledged: self.known.acknowledged.clone(),
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

    /// A command that this process has given itself was answered with yes.
    pub(crate) fn was_done(&mut self, op: &str) {
        self.known.attempted.insert(op.to_owned());
        self.known.acknowledged.insert(op.to_owned());
    }

    /// The commands that were answered with yes so far.
    pub(crate) fn acknowledged(&self) -> &HashSet<String> {
        &self.known.acknowledged
    }

    /// The ids of messages that were lost on their way to the broker, as often as they were.
    pub(crate) fn lost(&self) -> &[String] {
        &self.known.lost
    }

    /// The ids of what was delivered in a run, each as often as it was.
    pub(crate) fn delivered(&self, run: &str) -> Result<Vec<String>> {
        let deliveries = self.deliveries(run)?.into_iter();
        Ok(deliveries.map(|delivery| delivery.id).collect())
    }

    /// What was delivered in a run.
    pub(crate) fn deliveries(&self, run: &str) -> Result<Vec<Recorded>> {
        wire::read(&self.wire(run))
    }

    /// Deliveries of a run that had come before.
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
                Some(("try", op)) => drop(self.attempted.insert(op.to_owned())),
                Some(("ok", answer)) => {
                    let (op, _) = answer.split_once(' ').unwrap_or((answer, ""));
                    self.acknowledged.insert(op.to_owned());
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

async fn entries(db: &impl ConnectionTrait, sql: &str) -> Result<Vec<Entry>> {
    let rows = tables::rows(db, sql, []).await?;
    rows.iter().map(entry).collect()
}

/// Connects as somebody who only looks: the load that the machine is under is not to be seen in the verdict.
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
