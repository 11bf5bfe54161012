//! What became of the orders of a load: their mail rows, and the mails that were sent.
//!
//! Both tables have a column of the bench's own, `bench_at`, which the database fills with its clock when the row is inserted.
//! So both ends of "commit to effect" are read from one clock, in microseconds, and mean the same for every system: from the insert
//! of the order (its commit comes after) to the insert of the mail row (its commit is left out).

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sea_orm::sqlx::{self, AssertSqlSafe, PgPool};

use crate::load::{self, Placed};
use crate::sink::Sink;

const LOOK: Duration = Duration::from_millis(50);

/// The orders that were inserted since a time, and when.
const ORDERS: &str = "
SELECT order_id::text, at_us
FROM (SELECT order_id, (extract(epoch FROM bench_at) * 1000000)::bigint AS at_us FROM orders) AS placed
WHERE at_us >= $1";

/// The queries that find a system's effects. `$1` is a pattern for correlation ids.
#[derive(Clone, Copy)]
pub(crate) struct Queries {
    /// How many mail rows there are.
    pub(crate) count: &'static str,
    /// Their ids, their correlation ids, and when they were inserted, in microseconds.
    pub(crate) rows: &'static str,
    /// How many mails wait to be sent, or for the publishing of their event. `None`: the system sends none.
    pub(crate) unsent: Option<&'static str>,
    /// When the last mail was sent, in microseconds.
    pub(crate) last_sent: Option<&'static str>,
}

/// Where a system keeps orders and mail rows.
#[derive(Clone)]
pub(crate) struct Databases {
    pub(crate) orders: PgPool,
    pub(crate) mails: PgPool,
    pub(crate) queries: Queries,
}

/// What is there of a load's orders.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Acknowledged orders without a mail row.
    pub(crate) lost: usize,
    /// Mail rows beyond the first of an order.
    pub(crate) duplicated: usize,
    /// Mail rows of orders that do not exist.
    pub(crate) ghosts: usize,
    /// Mails that were sent never, or more than once.
    pub(crate) not_sent_once: usize,
    /// Each order's time from its insert to that of its mail row.
    pub(crate) to_effect: Vec<Duration>,
    /// When the last mail row was inserted, in microseconds of the database's clock.
    pub(crate) last_us: i64,
}

/// Its id, its correlation id, and when it was inserted, in microseconds.
pub(crate) type MailRow = (String, String, i64);

impl Databases {
    /// Adds `bench_at` to the tables of orders and mails.
    ///
    /// # Errors
    /// Where a table is missing.
    pub(crate) async fn add_clocks(&self, orders: &str, mails: &str) -> Result<()> {
        for (pool, table) in [(&self.orders, orders), (&self.mails, mails)] {
            let adding = format!(
                "ALTER TABLE {table} ADD COLUMN bench_at timestamptz NOT NULL DEFAULT clock_timestamp()"
            );
            sqlx::query(AssertSqlSafe(adding)).execute(pool).await?;
        }
        Ok(())
    }

    /// Has the server write what earlier loads have left to be written, so that it is not part of the next one's cost.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub(crate) async fn checkpoint(&self) -> Result<()> {
        sqlx::query("CHECKPOINT").execute(&self.mails).await?;
        Ok(())
    }

    /// The time by the database's clock, in microseconds.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub(crate) async fn now_us(&self) -> Result<i64> {
        let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        Ok(sqlx::query_scalar(now).fetch_one(&self.mails).await?)
    }

    /// Waits until there is a mail row for each of `orders` orders.
    ///
    /// # Errors
    /// Where they are not there in time.
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
    ///
    /// # Errors
    /// Where it does not come to that in time.
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

    /// Looks until `missing` says none.
    async fn until(
        &self,
        what: &str,
        limit: Duration,
        missing: impl AsyncFn(&Self) -> Result<i64>,
    ) -> Result<()> {
        let began = Instant::now();
        loop {
            let missing = missing(self).await?;
            if missing <= 0 {
                return Ok(());
            }
            if began.elapsed() > limit {
                bail!("{missing} {what} are missing after {limit:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Compares the acknowledged orders of a load that began at `since_us` with what is there.
    ///
    /// # Errors
    /// Where a database does not answer.
    pub(crate) async fn judge(
        &self,
        prefix: &str,
        since_us: i64,
        placed: &[Placed],
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
        judge(placed, &orders, &rows, |id| sink.map(|sink| sink.count(id)))
    }
}

/// Compares the acknowledged orders with orders and mail rows. `sent` says how often a mail was sent, where that is known.
///
/// # Errors
/// Where an acknowledged order is not there.
pub(crate) fn judge(
    placed: &[Placed],
    orders: &HashMap<String, i64>,
    rows: &[MailRow],
    sent: impl Fn(&str) -> Option<u32>,
) -> Result<Found> {
    let mut found = Found::default();
    let mut effects: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (id, correlation_id, at_us) in rows {
        effects.entry(correlation_id).or_default().push(*at_us);
        found.last_us = found.last_us.max(*at_us);
        if sent(id).is_some_and(|times| times != 1) {
            found.not_sent_once += 1;
        }
    }
    found.duplicated = effects.values().map(|times| times.len() - 1).sum();
    for order in placed {
        let created_us = orders.get(&order.order_id);
        let created_us = created_us.with_context(|| {
            format!("order {} was answered OK and is not there", order.order_id)
        })?;
        match effects.remove(order.correlation_id.as_str()) {
            None => found.lost += 1,
            Some(times) => {
                let took = times.iter().min().map_or(0, |at_us| at_us - created_us);
                let took = u64::try_from(took).unwrap_or_default();
                found.to_effect.push(Duration::from_micros(took));
            }
        }
    }
    // What is left belongs to calls that failed: an order may have been placed all the same, but not more mails than orders.
    found.ghosts = (effects.len() + placed.len()).saturating_sub(orders.len());
    Ok(found)
}

impl Found {
    /// What is wrong, for a person; empty where nothing is.
    pub(crate) fn complaint(&self) -> String {
        let counts = [
            (self.lost, "acknowledged orders have no mail row"),
            (self.duplicated, "mail rows are duplicates"),
            (self.ghosts, "mail rows have no order"),
            (self.not_sent_once, "mails were not sent exactly once"),
        ];
        let wrong = counts.iter().filter(|(count, _)| *count > 0);
        let wrong: Vec<String> = wrong
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        wrong.join(", ")
    }

    /// The median and the 99th percentile of the time to the effect, in milliseconds.
    ///
    /// # Errors
    /// Never in practice.
    pub(crate) fn to_effect_ms(&self) -> Result<(f64, f64)> {
        let mut histogram = load::histogram()?;
        for took in &self.to_effect {
            load::record(&mut histogram, *took);
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Ok((at(0.5), at(0.99)))
    }
}

fn pattern(prefix: &str) -> String {
    format!("{prefix}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(number: u32) -> Placed {
        Placed {
            correlation_id: format!("c-{number}"),
            order_id: format!("o-{number}"),
        }
    }

    fn mail(id: &str, number: u32) -> MailRow {
        (id.to_owned(), format!("c-{number}"), 3_000)
    }

    fn orders(count: u32) -> HashMap<String, i64> {
        (0..count)
            .map(|number| (format!("o-{number}"), 1_000))
            .collect()
    }

    #[test]
    fn one_mail_for_each_order_is_right() {
        let placed = [placed(0), placed(1)];
        let rows = [mail("a", 0), mail("b", 1)];
        let found = judge(&placed, &orders(2), &rows, |_| Some(1)).unwrap();
        assert_eq!(found.complaint(), "");
        assert_eq!(found.to_effect, [Duration::from_millis(2); 2]);
        assert_eq!(found.last_us, 3_000);
    }

    #[test]
    fn lost_and_doubled_effects_are_counted() {
        let placed = [placed(0), placed(1)];
        let rows = [mail("a", 0), mail("b", 0)];
        let found = judge(&placed, &orders(2), &rows, |_| None).unwrap();
        assert_eq!((found.lost, found.duplicated), (1, 1));
    }

    #[test]
    fn a_mail_without_an_order_is_a_ghost() {
        let rows = [mail("a", 0), mail("b", 7)];
        let found = judge(&[placed(0)], &orders(1), &rows, |_| Some(1)).unwrap();
        assert_eq!(found.ghosts, 1);
        let found = judge(&[placed(0)], &orders(2), &rows, |_| Some(1)).unwrap();
        assert_eq!(found.ghosts, 0);
    }

    #[test]
    fn a_mail_that_was_sent_twice_is_noticed() {
        let found = judge(&[placed(0)], &orders(1), &[mail("a", 0)], |_| Some(2)).unwrap();
        assert_eq!(found.not_sent_once, 1);
    }

    #[test]
    fn an_acknowledged_order_that_is_gone_is_an_error() {
        assert!(judge(&[placed(0)], &orders(0), &[], |_| None).is_err());
    }
}
