//! The relay's rate by the state of its tables: empty, large, and full of dead rows that an old snapshot keeps.
//!
//! Each state has its own database in one server. The states take turns, because the speed of a machine changes within
//! minutes. A turn starts the order service and stops it after a number of published events.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lapin::options::QueuePurgeOptions;
use sea_orm::sqlx::{self, Executor as _, PgPool};
use serde::Serialize;

use crate::drain::{Backlog, Template};
use crate::floor::broker;
use crate::machine;
use crate::ours;
use crate::servers::Servers;
use crate::sink::{Manner, Sink};
use scenarios::program::Program;

mod snapshot;
mod table;

pub(crate) use self::table::markdown;

/// The queue that takes the events of orders.
const QUEUE: &str = "notifications_queue";
/// The index of the order service in [`crate::ours::SERVICES`].
const ORDER_SERVICE: usize = 1;
/// An index answers, so a check is cheap.
const LOOK: Duration = Duration::from_millis(5);
const TURN_LIMIT: Duration = Duration::from_secs(300);

const PUBLISHED: &str = "SELECT coalesce(max(position), 0) FROM angarium_outbox_history";
const PENDING: &str = "SELECT count(*) FROM angarium_outbox WHERE held_until IS NULL";
/// Positions begin with 1 again, so the highest position counts the published events.
const EMPTY: &str = "TRUNCATE angarium_outbox, angarium_outbox_history RESTART IDENTITY";

#[derive(clap::Args, Clone, Serialize)]
pub(crate) struct Settings {
    /// Published events in the large history
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) history: u64,
    /// Minimum number of pending events in the large outbox at the start of each turn
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) pending: u64,
    /// Events of one turn
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub(crate) events: u64,
    /// Turns of each state
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) turns: u32,
    /// Seconds that the relay publishes with the old snapshot open, before the turns begin
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub(crate) snapshot_seconds: u64,
}

/// One state of the tables, with the rate of each turn.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct State {
    pub(crate) name: &'static str,
    pub(crate) per_second: Vec<f64>,
    /// Before each turn, in megabytes a second.
    pub(crate) speed: Vec<f64>,
}

#[derive(Serialize)]
pub(crate) struct Measured {
    pub(crate) build: &'static str,
    pub(crate) machine: String,
    pub(crate) servers: String,
    pub(crate) settings: Settings,
    /// Deleted rows that the snapshot kept, when its turns began.
    pub(crate) dead_rows: u64,
    pub(crate) empty: State,
    pub(crate) large: State,
    pub(crate) snapshot: State,
    /// Lost events; empty if there are none.
    pub(crate) wrong: String,
}

pub(crate) async fn run(
    settings: &Settings,
    build: &'static str,
    set: &[ours::Setting],
) -> Result<Measured> {
    let servers = Servers::start().await?;
    let mut empty = Place::prepare(&servers, set, "empty tables").await?;
    let mut large = Place::prepare(&servers, set, "large tables").await?;
    let mut old = Place::prepare(&servers, set, "old snapshot").await?;

    eprintln!("the large history gets {} events", settings.history);
    let fill = large
        .event
        .fill_history(&large.backlog.orders, settings.history);
    fill.await?;
    let mut snapshot = snapshot::open(&old.backlog).await?;
    let dead_rows = old.use_up(settings).await?;
    for turn in 1..=settings.turns {
        eprintln!("turn {turn} of {}", settings.turns);
        empty.backlog.orders.execute(EMPTY).await?;
        empty.turn(settings.events, settings.events).await?;
        large.turn(settings.pending, settings.events).await?;
        old.turn(settings.events, settings.events).await?;
    }
    snapshot::close(&mut snapshot).await?;
    let wrong = [empty.wrong, large.wrong, old.wrong].concat();
    Ok(Measured {
        build,
        machine: machine::description(),
        servers: servers.versions.clone(),
        settings: settings.clone(),
        dead_rows,
        empty: empty.state,
        large: large.state,
        snapshot: old.state,
        wrong: wrong.join(", "),
    })
}

/// A separate system, with its tables in one state.
struct Place {
    backlog: Backlog,
    event: Template,
    state: State,
    wrong: Vec<String>,
}

impl Place {
    async fn prepare(servers: &Servers, set: &[ours::Setting], name: &'static str) -> Result<Self> {
        let backlog = Backlog::prepare(servers, set).await?;
        let event = Template::new(&backlog.user_id)?;
        backlog.orders.execute(EMPTY).await?;
        Ok(Self {
            backlog,
            event,
            state: State {
                name,
                per_second: Vec::new(),
                speed: Vec::new(),
            },
            wrong: Vec::new(),
        })
    }

    /// Publishes with the old snapshot open, for the configured time. Returns how many rows were deleted.
    async fn use_up(&mut self, settings: &Settings) -> Result<u64> {
        let began = Instant::now();
        let limit = Duration::from_secs(settings.snapshot_seconds);
        let mut deleted = 0;
        loop {
            deleted += settings.events;
            self.turn(settings.events, settings.events).await?;
            if began.elapsed() >= limit {
                break;
            }
        }
        // These turns were for the dead rows.
        self.state.per_second.clear();
        self.state.speed.clear();
        Ok(deleted)
    }

    /// Starts the service with at least `pending` events, and stops it after `events` of them.
    async fn turn(&mut self, pending: u64, events: u64) -> Result<()> {
        let orders = &self.backlog.orders;
        let missing = pending.saturating_sub(count(orders, PENDING).await?);
        self.event.fill(orders, missing).await?;
        let (pending, published) = (
            count(orders, PENDING).await?,
            count(orders, PUBLISHED).await?,
        );

        let sink = Sink::start(Manner::Silent).await?;
        self.state.speed.push(machine::speed());
        let mut program = self.backlog.start(ORDER_SERVICE, &sink).await?;
        let rate = rate(&mut program, orders, published, events).await?;
        self.state.per_second.push(rate);
        program.stop().await?;

        let left = count(orders, PENDING).await?;
        let gone = count(orders, PUBLISHED).await? - published;
        if pending != left + gone {
            let name = self.state.name;
            let wrong =
                format!("{name}: of {pending} events {left} are pending and {gone} published");
            self.wrong.push(wrong);
        }
        // A queue that only grows would slow down the broker from turn to turn.
        let link = broker::connect(self.backlog.virtual_host.url()).await?;
        let purging = link
            .channel
            .queue_purge(QUEUE.into(), QueuePurgeOptions::default());
        purging.await?;
        Ok(())
    }
}

/// Events per second from the first published one to the last of `events`, without the start of the service.
async fn rate(program: &mut Program, orders: &PgPool, before: u64, events: u64) -> Result<f64> {
    let limit = Instant::now() + TURN_LIMIT;
    let mut first = None;
    loop {
        program.check()?;
        let done = count(orders, PUBLISHED).await? - before;
        let now = Instant::now();
        let (since, already) = *first.get_or_insert((now, done));
        if done == 0 {
            first = None;
        } else if done >= events && done > already {
            return Ok((done - already) as f64 / (now - since).as_secs_f64());
        }
        ensure!(
            now < limit,
            "{done} of {events} events are published after {TURN_LIMIT:?}"
        );
        tokio::time::sleep(LOOK).await;
    }
}

async fn count(pool: &PgPool, query: &'static str) -> Result<u64> {
    let count: i64 = sqlx::query_scalar(query).fetch_one(pool).await?;
    u64::try_from(count).context("a count is not negative")
}
