//! Finds the effects of a load's orders: their mail rows, and the mails that were sent.
//!
//! Both tables have an extra column `bench_at`, which the database fills with its clock when the row is inserted. So
//! both ends of "commit to effect" come from one clock, in microseconds, and mean the same for every system: from the
//! insert of the order (before its commit) to the insert of the mail row (before its commit).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sea_orm::sqlx::{self, AssertSqlSafe, PgPool};

use crate::place_order::Outcome;
use crate::sink::Sink;

mod judgement;

pub(crate) use self::judgement::{Found, MailRow, judge};

/// The shortest pause between checks. A check counts rows at the servers' cost, so the pause grows with it.
const LOOK: Duration = Duration::from_millis(200);
/// The pause is this many times the time of a check, up to the longest pause.
const SHARE: u32 = 50;
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// The orders inserted since a time, with the times.
const ORDERS: &str = "
SELECT order_id::text, at_us
FROM (SELECT order_id, (extract(epoch FROM bench_at) * 1000000)::bigint AS at_us FROM orders) AS placed
WHERE at_us >= $1";

/// The queries that find a system's effects. `$1` is a pattern for correlation ids.
#[derive(Clone, Copy)]
pub(crate) struct Queries {
    /// The number of mail rows.
    pub(crate) count: &'static str,
    /// Ids, orders and insert times (microseconds) of the mail rows.
    pub(crate) rows: &'static str,
    /// The number of mails that are not sent, or whose event is not published. `None`: the system sends no mails.
    pub(crate) unsent: Option<&'static str>,
    /// When the last mail was sent, in microseconds.
    pub(crate) last_sent: Option<&'static str>,
}

/// The databases with a system's orders and mail rows.
#[derive(Clone)]
pub(crate) struct Databases {
    pub(crate) orders: PgPool,
    pub(crate) mails: PgPool,
    pub(crate) queries: Queries,
}

impl Databases {
    /// Adds `bench_at` to the tables of orders and mails.
    pub(crate) async fn add_clocks(&self, orders: &str, mails: &str) -> Result<()> {
        for (pool, table) in [(&self.orders, orders), (&self.mails, mails)] {
            let adding = format!(
                "ALTER TABLE {table} ADD COLUMN bench_at timestamptz NOT NULL DEFAULT clock_timestamp()"
            );
            sqlx::query(AssertSqlSafe(adding)).execute(pool).await?;
        }
        Ok(())
    }

    /// Makes the server write the dirty pages of earlier loads, so that they are not part of the next load's cost. The
    /// planner gets statistics, as autovacuum gives them to a new database within a minute.
    pub(crate) async fn come_to_rest(&self) -> Result<()> {
        for pool in [&self.orders, &self.mails] {
            sqlx::query("ANALYZE").execute(pool).await?;
        }
        sqlx::query("CHECKPOINT").execute(&self.mails).await?;
        Ok(())
    }

    /// The database's time in microseconds.
    pub(crate) async fn now_us(&self) -> Result<i64> {
        let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        Ok(sqlx::query_scalar(now).fetch_one(&self.mails).await?)
    }

    /// Waits until there is a mail row for each of `orders` orders.
    pub(crate) async fn all_written(
        &self,
        prefix: &str,
        orders: usize,
        limit: Duration,
    ) -> Result<()> {
        let orders = i64::try_from(orders)?;
        self.until("mail rows", limit, async |databases| {
            let written: i64 = sqlx::query_scalar(databases.queries.count)
                .bind(pattern(prefix))
                .fetch_one(&databases.mails)
                .await?;
            Ok(orders - written)
        })
        .await
    }

    /// Waits until every mail is sent and its event published. Returns when the last one was sent.
    pub(crate) async fn all_sent(&self, prefix: &str, limit: Duration) -> Result<Option<i64>> {
        let (Some(unsent), Some(last)) = (self.queries.unsent, self.queries.last_sent) else {
            return Ok(None);
        };
        self.until("sent mails", limit, async |databases| {
            let unsent = sqlx::query_scalar(unsent).bind(pattern(prefix));
            Ok(unsent.fetch_one(&databases.mails).await?)
        })
        .await?;
        let last = sqlx::query_scalar(last).bind(pattern(prefix));
        Ok(last.fetch_one(&self.mails).await?)
    }

    /// Checks until `missing` returns zero.
    async fn until(
        &self,
        what: &str,
        limit: Duration,
        missing: impl AsyncFn(&Self) -> Result<i64>,
    ) -> Result<()> {
        let began = Instant::now();
        loop {
            let looked = Instant::now();
            let missing = missing(self).await?;
            if missing <= 0 {
                return Ok(());
            }
            if began.elapsed() > limit {
                bail!("{missing} {what} are missing after {limit:?}");
            }
            let pause = (looked.elapsed() * SHARE).clamp(LOOK, LONGEST_LOOK);
            tokio::time::sleep(pause).await;
        }
    }

    /// Compares the acknowledged orders of a load that began at `since_us` with the stored rows.
    pub(crate) async fn judge(
        &self,
        prefix: &str,
        since_us: i64,
        outcome: &Outcome,
        sink: Option<&Sink>,
    ) -> Result<Found> {
        let orders: Vec<(String, i64)> = sqlx::query_as(ORDERS)
            .bind(since_us)
            .fetch_all(&self.orders)
            .await?;
        let orders: HashMap<String, i64> = orders.into_iter().collect();
        let rows: Vec<MailRow> = sqlx::query_as(self.queries.rows)
            .bind(pattern(prefix))
            .fetch_all(&self.mails)
            .await?;
        let sent = |id: &str| sink.map(|sink| sink.count(id));
        Ok(judge(
            &outcome.placed,
            outcome.without_order(),
            &orders,
            &rows,
            sent,
        ))
    }
}

fn pattern(prefix: &str) -> String {
    format!("{prefix}%")
}
