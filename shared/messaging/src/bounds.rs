//! Corrects times that lie further ahead than any code writes them. They remain when a clock was ahead or is set back.
//!
//! Guarantee: once the clock is right again, a lease or a wait for a retry lasts at most its normal length. Nothing waits for the
//! time that the wrong clock has shown, and no time that a right clock has written changes.

use std::time::Duration;

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::retry::millis;
use crate::store::Store;
use store::sql;

/// No transaction raises this signal: a clock that jumps raises none.
const SIGNAL: &str = "bounds";
/// Rows that one statement corrects.
const BATCH: u32 = 1000;

/// A column of points in time, and how far ahead they may lie.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The table.
    pub table: &'static str,
    /// The columns of its key.
    pub key: &'static str,
    /// Its column, a time by the database's clock. The column needs an index that covers `rows`.
    pub column: &'static str,
    /// How the column holds the time.
    pub form: TimeForm,
    /// The condition that selects the rows, as SQL.
    pub rows: String,
    /// The longest time ahead that the code writes.
    pub longest: Duration,
    /// A time that lies further ahead is set to this long from now. For a column of leases this is their length, so that a
    /// rightful holder has the time to notice.
    pub instead: Duration,
}

/// How a column holds a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// As the engine's tables do: the word `{time}` of [`store::sql`].
    Native,
    /// In Unix milliseconds, as services' tables do: the word `{now}`.
    Milliseconds,
}

impl TimeForm {
    /// The time in so many milliseconds, as SQL.
    fn ahead(self, ms: i64) -> String {
        match self {
            Self::Native => format!("{{time + {ms}}}"),
            Self::Milliseconds => format!("{{now}} + {ms}"),
        }
    }
}

impl Bound {
    /// Finds and corrects such times every few seconds, together with all other workers of `store`, until `stop`.
    pub async fn keep(self, store: Store, stop: CancellationToken) {
        let Self {
            table,
            key,
            column,
            form,
            rows,
            longest,
            instead,
        } = self;
        let (longest, instead) = (form.ahead(millis(longest)), form.ahead(millis(instead)));
        let beyond = format!("{rows} AND {column} > {longest}");
        let any = format!("SELECT 1 FROM {table} WHERE {beyond}");
        let question = format!("SELECT CASE WHEN EXISTS ({any}) THEN cast(0 as bigint) END");
        // In batches: a clock that is set back leaves as many as there are, and a statement has a time limit.
        let correcting = format!(
            "UPDATE {table} SET {column} = {instead}
             WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {beyond} LIMIT {BATCH})"
        );
        let correct = async || {
            let _turn = store.turn_to_write().await?;
            let corrected = sql::execute(store.connection(), &correcting, []).await?;
            let rows = corrected;
            if rows > 0 {
                tracing::warn!(
                    table,
                    column,
                    rows,
                    "corrected times that lay too far ahead: the clock was ahead or is set back"
                );
            }
            Ok::<_, DbErr>(rows > 0)
        };
        let failed = |error| tracing::debug!(%error, table, "times cannot be corrected now");
        store
            .due(SIGNAL, question)
            .work(&stop, correct, failed)
            .await;
    }
}
