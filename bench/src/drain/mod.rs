//! Backlogs: how fast the relay publishes the events of an outbox, and how fast a consumer handles the messages of its queue.
//!
//! SQL writes the relay's backlog into the outbox. The events that the relay publishes are the queue's backlog. Each rate is
//! compared with its upper bound: lapin alone with 500 outstanding confirms, and one statement for each 100 events. Then the
//! inbox holds as many events that are due, on PostgreSQL and on SQLite: their rate is compared with that of the queue.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sea_orm::sqlx::{self, PgPool};
use serde::Serialize;
use testkit::{Database, StoreKind, VirtualHost};

use crate::ours;
use crate::servers::Servers;
use crate::sink::{Manner, Sink};
use crate::{floor, machine};
use scenarios::program::{self, Program};

mod bare;
mod consumer;
mod held;
mod seed;
mod table;

use self::consumer::Consumer;
pub(crate) use self::seed::Template;
pub(crate) use self::table::markdown;

/// The shortest pause between two checks. A check counts the rows, so the pause grows with the time of a check.
const LOOK: Duration = Duration::from_millis(20);
/// The pause is this many times the time of a check, within the shortest and the longest pause.
const SHARE: u32 = 20;
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// The silent mail server never accepts a mail. Each waits this long, at no cost.
const MAIL_TIMEOUT: &str = "10m";

const PENDING: &str = "SELECT count(*) FROM angarium_outbox WHERE held_until IS NULL";

#[derive(clap::Args, Clone, Serialize)]
pub(crate) struct Settings {
    /// Events in the backlog
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) rows: u64,
    /// Time limit of each part in seconds; the rate is computed from the work done
    #[arg(long, value_name = "N", default_value_t = 600)]
    pub(crate) limit_seconds: u64,
}

/// The progress of one part.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Drained {
    pub(crate) events: u64,
    pub(crate) seconds: f64,
    /// Before and after, in megabytes a second.
    pub(crate) speed: [f64; 2],
}

#[derive(Serialize)]
pub(crate) struct Measured {
    pub(crate) build: &'static str,
    pub(crate) machine: String,
    pub(crate) servers: String,
    pub(crate) settings: Settings,
    pub(crate) relay: Drained,
    pub(crate) bare_publisher: Drained,
    pub(crate) inbox: Drained,
    pub(crate) bare_inbox: Drained,
    /// Events that the inbox holds.
    pub(crate) held: Drained,
    /// The same on SQLite: from the queue, and held.
    pub(crate) inbox_sqlite: Drained,
    pub(crate) held_sqlite: Drained,
    /// Lost or duplicated effects; empty if there are none.
    pub(crate) wrong: String,
}

pub(crate) async fn run(
    settings: &Settings,
    build: &'static str,
    set: &[ours::Setting],
) -> Result<Measured> {
    let servers = Servers::start().await?;
    let limit = Duration::from_secs(settings.limit_seconds);
    let backlog = Backlog::prepare(&servers, set).await?;
    let event = seed::Template::new(&backlog.user_id)?;

    eprintln!("writing {} events into the outbox", settings.rows);
    event.fill(&backlog.orders, settings.rows).await?;
    let (relay, published) = backlog.relay(settings.rows, limit).await?;
    eprintln!("the relay has published {published}");
    let host = backlog.virtual_host.url();
    let bare_publisher = timed(bare::publish(host, &event, published, limit)).await?;
    let postgres = Consumer::at(backlog.databases[consumer::SERVICE].url()).await?;
    let inbox = postgres.fresh(&backlog, published, limit).await?;
    eprintln!("the inbox has taken {}", inbox.events);
    // What it had no time for must not come beside the held events.
    bare::purge(host, held::CONSUMER).await?;
    sqlx::query("TRUNCATE angarium_outbox")
        .execute(&backlog.orders)
        .await?;
    let bare_inbox = bare_inbox(&servers, &event, published, limit).await?;
    let held = postgres.held(&backlog, &event, published, limit).await?;
    eprintln!("{} held events are handled", held.events);

    // The same once more, for a consumer on SQLite.
    let file = Database::create(StoreKind::Sqlite).await;
    let sqlite = Consumer::beside(&postgres, &backlog, file.url()).await?;
    event.fill(&backlog.orders, published).await?;
    let (_, again) = backlog.relay(published, limit).await?;
    let inbox_sqlite = sqlite.fresh(&backlog, again, limit).await?;
    bare::purge(host, held::CONSUMER).await?;
    let held_sqlite = sqlite.held(&backlog, &event, again, limit).await?;
    eprintln!(
        "SQLite: {} and {} held events",
        inbox_sqlite.events, held_sqlite.events
    );

    let parts = [
        (&postgres, seed::CORRELATION, &inbox, published),
        (&postgres, held::CORRELATION, &held, published),
        (&sqlite, seed::CORRELATION, &inbox_sqlite, again),
        (&sqlite, held::CORRELATION, &held_sqlite, again),
    ];
    let mut wrong = Vec::new();
    for (consumer, correlation, drained, all) in parts {
        let expected = (drained.events == all).then_some(all);
        wrong.extend(consumer.judge(correlation, expected).await?);
    }
    Ok(Measured {
        build,
        machine: machine::description(),
        servers: servers.versions.clone(),
        settings: settings.clone(),
        relay,
        bare_publisher,
        inbox,
        bare_inbox,
        held,
        inbox_sqlite,
        held_sqlite,
        wrong: wrong.join(", "),
    })
}

/// The databases and the virtual host after one run of the services: migrations and topology are done, and one user is
/// known.
pub(crate) struct Backlog {
    pub(crate) orders: PgPool,
    pub(crate) user_id: String,
    databases: Vec<Database>,
    pub(crate) virtual_host: VirtualHost,
    set: Vec<ours::Setting>,
}

impl Backlog {
    pub(crate) async fn prepare(servers: &Servers, set: &[ours::Setting]) -> Result<Self> {
        let system = ours::start(servers, 1, set).await?;
        let user_id = sqlx::query_scalar("SELECT user_id FROM orders LIMIT 1")
            .fetch_one(&system.databases.orders)
            .await?;
        // The start of the system placed one order. Wait for its mail, so that nothing is in flight at the end.
        let limit = Duration::from_secs(60);
        system.databases.all_written("", 1, limit).await?;
        system.databases.all_sent("", limit).await?;
        for program in system.programs {
            program.stop().await?;
        }
        Ok(Self {
            orders: system.databases.orders,
            user_id,
            databases: system.places.databases,
            virtual_host: system.places.virtual_host,
            set: set.to_vec(),
        })
    }

    /// Starts the order service. Returns its progress within the limit, and how many events it had published at its
    /// end.
    async fn relay(&self, rows: u64, limit: Duration) -> Result<(Drained, u64)> {
        let sink = Sink::start(Manner::Silent).await?;
        let mut program = self.start(1, &sink).await?;
        let drained = timed(async {
            let done = until(&mut program, rows, limit, async || {
                Ok(rows.saturating_sub(count(&self.orders, PENDING).await?))
            });
            done.await
        })
        .await?;
        program.stop().await?;
        let published = rows.saturating_sub(count(&self.orders, PENDING).await?);
        Ok((drained, published))
    }

    /// The service with this index in [`ours::SERVICES`].
    pub(crate) async fn start(&self, service: usize, sink: &Sink) -> Result<Program> {
        self.start_on(service, self.databases[service].url(), sink)
            .await
    }

    /// As [`start`](Self::start), on another database.
    async fn start_on(&self, service: usize, database: &str, sink: &Sink) -> Result<Program> {
        let [address] = program::free_addresses()?;
        let name = ours::SERVICES[service];
        let database = database.to_owned();
        let amqp = self.virtual_host.url().to_string();
        let mut environment = ours::environment(address, database, amqp, sink.url(), &self.set);
        environment.push(("SMTP_TIMEOUT", MAIL_TIMEOUT.to_owned()));
        let mut program = Program::start(name, &program::beside(name)?, &[""; 0], &environment)?;
        program.serving(address).await?;
        Ok(program)
    }
}

async fn bare_inbox(
    servers: &Servers,
    event: &seed::Template,
    rows: u64,
    limit: Duration,
) -> Result<Drained> {
    let database = Database::create_on(servers.postgres.url()).await;
    let pool = ours::pool(database.url()).await?;
    floor::schema::create(&pool).await?;
    let drained = timed(bare::consume(&pool, event, rows, limit)).await;
    pool.close().await;
    drained
}

/// Waits until `done` returns `rows`, or until the limit. Returns its last value.
async fn until(
    program: &mut Program,
    rows: u64,
    limit: Duration,
    done: impl AsyncFn() -> Result<u64>,
) -> Result<u64> {
    let began = Instant::now();
    loop {
        program.check()?;
        let looked = Instant::now();
        let done = done().await?;
        if done >= rows || began.elapsed() > limit {
            return Ok(done);
        }
        let pause = (looked.elapsed() * SHARE).clamp(LOOK, LONGEST_LOOK);
        tokio::time::sleep(pause).await;
    }
}

/// Measures `work`, which returns the number of its events.
async fn timed(work: impl Future<Output = Result<u64>>) -> Result<Drained> {
    let before = machine::speed();
    let began = Instant::now();
    let events = work.await?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(Drained {
        events,
        seconds,
        speed: [before, machine::speed()],
    })
}

async fn count(pool: &PgPool, query: &'static str) -> Result<u64> {
    let count: i64 = sqlx::query_scalar(query).fetch_one(pool).await?;
    u64::try_from(count).context("a count is not negative")
}
