//! Two databases, a broker and the processes on them; and what is known of it all in the end.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use messaging::faults;
use messaging::transport;
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tempfile::TempDir;
use testkit::{Broker, BrokerKind, Database, StoreKind};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use crate::checker::{Entry, History, Verdict, judge};
use crate::ledger::NOT_QUIET;
use crate::tables::{self, Migrator};
use crate::{deposit, text};

/// Longer than a child's own patience: past it, it hangs.
const HANGS: Duration = Duration::from_secs(180);

pub(crate) struct World {
    pub(crate) producer: Database,
    pub(crate) consumer: Database,
    broker: Option<Broker>,
    folder: TempDir,
    known: Known,
}

/// What the processes have said.
#[derive(Default)]
struct Known {
    attempted: HashSet<String>,
    acknowledged: HashSet<String>,
    drain: Option<Duration>,
}

/// How a process ended.
pub(crate) struct Ended {
    pub(crate) crashed: bool,
    pub(crate) code: Option<i32>,
}

impl World {
    pub(crate) async fn new(store: StoreKind, broker: BrokerKind) -> Result<Self> {
        let (producer, consumer) = (Database::create(store).await, Database::create(store).await);
        for database in [&producer, &consumer] {
            database.migrated::<Migrator>().await.close().await?;
        }
        Ok(Self {
            producer,
            consumer,
            // The queue file is the child's, which locks it.
            broker: match broker {
                BrokerKind::RabbitMq => Some(Broker::create(broker).await),
                BrokerKind::Embedded => None,
            },
            folder: TempDir::new()?,
            known: Known::default(),
        })
    }

    /// The record of what was delivered in a run.
    fn wire(&self, run: &str) -> PathBuf {
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
            .arg(self.folder.path().join("queue.db"))
            .env("LEDGER_PRODUCER_URL", self.producer.url())
            .env("LEDGER_CONSUMER_URL", self.consumer.url())
            .env_remove(faults::CRASH_AT)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(broker) = &self.broker {
            let topologies = [deposit::producer(), deposit::consumer()];
            if let transport::Broker::RabbitMq(config) = broker.of_services(&topologies) {
                command
                    .env("LEDGER_AMQP_URL", config.url.as_str())
                    .args(["--amqp-prefix", &config.prefix]);
            }
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

    /// The verdict over all runs so far; `run` is the one whose deliveries are counted.
    pub(crate) async fn verdict(&self, run: &str, ordered: bool) -> Result<Verdict> {
        let (producer, consumer) = (self.producer.connect().await, self.consumer.connect().await);
        let history = self.history(run, &producer, &consumer).await;
        producer.close().await?;
        consumer.close().await?;
        Ok(judge(&history?, ordered))
    }

    async fn history(
        &self,
        run: &str,
        producer: &DatabaseConnection,
        consumer: &DatabaseConnection,
    ) -> Result<History> {
        let count = async |db, sql| anyhow::Ok(usize::try_from(tables::number(db, sql).await?)?);
        let pending = "SELECT count(*) FROM outbox WHERE published_at_ms IS NULL";
        let held = "SELECT count(*) FROM inbox WHERE state NOT IN ('done', 'dead')";
        let dead = "SELECT count(*) FROM inbox WHERE state = 'dead'";
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
            held: count(consumer, held).await?,
            dead: count(consumer, dead).await?,
            redelivered: self.redelivered(run)?,
            drain: self.known.drain,
        })
    }

    /// Deliveries of a run that had come before.
    fn redelivered(&self, run: &str) -> Result<usize> {
        let record = std::fs::read_to_string(self.wire(run))?;
        let mut seen = HashSet::new();
        Ok(record.lines().filter(|id| !seen.insert(*id)).count())
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
                Some(("ok", op)) => drop(self.acknowledged.insert(op.to_owned())),
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
    let entry = |row: &sea_orm::QueryResult| {
        anyhow::Ok(Entry {
            op: row.try_get("", "op")?,
            account: row.try_get("", "account")?,
            version: row.try_get("", "version")?,
        })
    };
    rows.iter().map(entry).collect()
}
