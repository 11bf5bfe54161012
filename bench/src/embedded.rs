//! The embedded default: all services in one program, on SQLite files and the embedded transport, with mails as files.
//!
//! Only the folder and the addresses are set. The times come from the tables, in whole milliseconds.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::sqlx::{self, SqlitePool};
use serde::Serialize;
use tempfile::TempDir;

use crate::effects::{self, MailRow};
use crate::place_order::{self, Outcome, Shape, Target};
use crate::proc::{Memory, Processes};
use crate::system::DRAIN_LIMIT;
use crate::{machine, ours};
use scenarios::program::{self, Program};

const LOOK: Duration = Duration::from_millis(100);
const PREFIX: &str = "embedded-";
const ROWS: &str = "SELECT notification_id, order_id, created_at_ms * 1000 FROM notification
WHERE kind = 'order_placed' AND state = 'sent' AND correlation_id LIKE 'embedded-%'";
const ORDERS: &str =
    "SELECT order_id, created_at_ms * 1000 FROM orders WHERE created_at_ms * 1000 >= $1";
const LAST_SENT: &str =
    "SELECT max(sent_at_ms) FROM notification WHERE correlation_id LIKE 'embedded-%'";
const NOW: &str = "SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER)";

#[derive(clap::Args, Clone, Serialize)]
pub(crate) struct Settings {
    /// Duration of the load in seconds
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) seconds: u64,
    /// Callers of the closed loop
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) callers: usize,
    /// Users that order in turn
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) users: usize,
}

#[derive(Serialize)]
pub(crate) struct Measured {
    pub(crate) build: &'static str,
    pub(crate) machine: String,
    pub(crate) settings: Settings,
    pub(crate) placed: usize,
    pub(crate) failed: BTreeMap<String, u64>,
    pub(crate) commands_per_s: f64,
    pub(crate) sent_per_s: f64,
    pub command_p50_ms: f64,
    pub command_p99_ms: f64,
    pub(crate) command_max_ms: f64,
    pub effect_p50_ms: f64,
    pub effect_p99_ms: f64,
    pub(crate) cpu_ms_per_order: f64,
    pub(crate) memory_at_rest: Memory,
    pub(crate) memory: Memory,
    pub(crate) speed: [f64; 2],
    pub(crate) wrong: String,
}

pub(crate) async fn run(settings: &Settings, build: &'static str) -> Result<Measured> {
    let folder = TempDir::new()?;
    let addresses = three_in_a_row()?;
    let environment = [
        ("GRPC_LISTEN", addresses[0].to_string()),
        ("DATA_DIR", folder.path().display().to_string()),
    ];
    let path = program::beside("angarium")?;
    let mut program = Program::start("angarium", &path, &["serve"], &environment)?;
    for address in addresses {
        program.serving(address).await?;
    }
    let tokens = ours::tokens(addresses, settings.users).await?;
    let target = Target::at(addresses[1], tokens)?;
    let files = Files::open(folder.path()).await?;

    let pid = program.pid();
    let memory_at_rest = Processes::look()?.memory(pid);
    let before = machine::speed();
    let cpu_before = Processes::look()?.cpu_ms(pid);
    let began_us: i64 = sqlx::query_scalar(NOW).fetch_one(&files.orders).await?;
    let shape = Shape::Closed {
        callers: settings.callers,
    };
    let duration = Duration::from_secs(settings.seconds);
    let outcome = place_order::run(&target, shape, duration, PREFIX).await?;
    let memory = Processes::look()?.memory(pid);
    let rows = files.all_sent(&mut program, outcome.placed.len()).await?;
    let cpu_ms = Processes::look()?.cpu_ms(pid) - cpu_before;
    let speed = [before, machine::speed()];

    let orders: Vec<(String, i64)> = sqlx::query_as(ORDERS)
        .bind(began_us)
        .fetch_all(&files.orders)
        .await?;
    let orders: HashMap<String, i64> = orders.into_iter().collect();
    let mails = folder.path().join("mails");
    let sent = |id: &str| Some(u32::from(mails.join(format!("{id}.eml")).is_file()));
    let found = effects::judge(
        &outcome.placed,
        outcome.without_order(),
        &orders,
        &rows,
        sent,
    );
    let last_sent_ms: i64 = sqlx::query_scalar(LAST_SENT)
        .fetch_one(&files.mails)
        .await?;
    let sent_s = (last_sent_ms * 1000 - began_us).max(1) as f64 / 1e6;
    files.close().await;
    program.stop().await?;

    let (effect_p50_ms, effect_p99_ms) = found.to_effect_ms()?;
    let placed = outcome.placed.len();
    Ok(Measured {
        build,
        machine: machine::description(),
        settings: settings.clone(),
        placed,
        commands_per_s: placed as f64 / outcome.took.as_secs_f64(),
        sent_per_s: placed as f64 / sent_s,
        command_p50_ms: at(&outcome, 0.5),
        command_p99_ms: at(&outcome, 0.99),
        command_max_ms: at(&outcome, 1.0),
        effect_p50_ms,
        effect_p99_ms,
        cpu_ms_per_order: cpu_ms / placed.max(1) as f64,
        memory_at_rest,
        memory,
        speed,
        wrong: found.complaint(),
        failed: outcome.failed,
    })
}

impl Measured {
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "All services in one program, {} build, SQLite and the embedded transport, mails as files; {}. {} s at C={}.\n\n\
             | figure | value |\n| --- | --- |\n",
            self.build, self.machine, self.settings.seconds, self.settings.callers
        );
        let figures = [
            ("orders/s", self.commands_per_s, 0),
            ("mails sent/s, until the last one", self.sent_per_s, 0),
            ("command p50, ms", self.command_p50_ms, 1),
            ("command p99, ms", self.command_p99_ms, 1),
            ("command max, ms", self.command_max_ms, 1),
            ("order row → mail row p50, ms", self.effect_p50_ms, 0),
            ("order row → mail row p99, ms", self.effect_p99_ms, 0),
            ("CPU ms/order, mail included", self.cpu_ms_per_order, 2),
            (
                "RSS at rest, after the registrations, MB",
                self.memory_at_rest.rss_mb,
                0,
            ),
            ("RSS under load, MB", self.memory.rss_mb, 0),
            ("machine before, MB/s of SHA-256", self.speed[0], 0),
            ("machine after, MB/s of SHA-256", self.speed[1], 0),
        ];
        for (title, value, digits) in figures {
            let _ = writeln!(text, "| {title} | {value:.digits$} |");
        }
        let verdict = match self.wrong.as_str() {
            "" => format!(
                "\nEach of {} acknowledged orders has exactly one mail.",
                self.placed
            ),
            wrong => format!("\nWRONG: {wrong}."),
        };
        text.push_str(&verdict);
        for (reason, count) in &self.failed {
            let _ = write!(text, "\n{count} calls failed with {reason}.");
        }
        text
    }
}

/// The files of two services, read-only.
struct Files {
    orders: SqlitePool,
    mails: SqlitePool,
}

impl Files {
    async fn open(folder: &Path) -> Result<Self> {
        let open = async |service: &str| {
            let file = folder.join(service).with_extension("db");
            let options = SqliteConnectOptions::new().filename(file).read_only(true);
            SqlitePool::connect_with(options).await
        };
        Ok(Self {
            orders: open("order-service").await?,
            mails: open("notification-service").await?,
        })
    }

    /// The rows of the sent mails, after there is one for each order.
    async fn all_sent(&self, program: &mut Program, orders: usize) -> Result<Vec<MailRow>> {
        let began = Instant::now();
        loop {
            program.check()?;
            let rows: Vec<MailRow> = sqlx::query_as(ROWS).fetch_all(&self.mails).await?;
            if rows.len() >= orders {
                return Ok(rows);
            }
            if began.elapsed() > DRAIN_LIMIT {
                bail!(
                    "{} of {orders} mails were sent within {DRAIN_LIMIT:?}",
                    rows.len()
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn close(self) {
        self.orders.close().await;
        self.mails.close().await;
    }
}

fn at(outcome: &Outcome, quantile: f64) -> f64 {
    outcome.latency.value_at_quantile(quantile) as f64 / 1000.0
}

/// The program listens on three consecutive ports.
fn three_in_a_row() -> Result<[SocketAddr; 3]> {
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    for _ in 0..100 {
        let first = free(0)?;
        let port = first.local_addr()?.port();
        if port < u16::MAX - 2 && free(port + 1).is_ok() && free(port + 2).is_ok() {
            return Ok([0, 1, 2].map(|next| SocketAddr::from((Ipv4Addr::LOCALHOST, port + next))));
        }
    }
    Err(anyhow::anyhow!("no three ports in a row are free")).context("choosing ports")
}
