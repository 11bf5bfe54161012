//! Brings back points in time that lie further ahead than any code writes them: what a clock leaves behind that was ahead, or
//! that was set back since.
//!
//! Guarantee: a lease or the time of the next attempt ends at most its own length after the clock is right again, and nothing
//! waits for the time that the wrong clock has shown. Nothing that a right clock has written is changed.

use std::time::Duration;

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::retry::millis;
use crate::sql;
use crate::store::Store;

/// No transaction raises it: a clock step gives no signal.
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
    /// Its column, in Unix milliseconds by the database's clock. An index on it has to answer for the rows of `rows`.
    pub column: &'static str,
    /// Which rows are meant, as SQL.
    pub rows: String,
    /// What is written as longest.
    pub longest: Duration,
    /// What stands in the place of a time that lies further ahead: so long from now. Where the column holds leases, their length:
    /// who holds one by right has to have the time to notice.
    pub instead: Duration,
}

impl Bound {
    /// Looks for such times every few seconds, together with all other workers of `store`, and corrects them, until `stop`.
    pub async fn keep(self, store: Store, stop: CancellationToken) {
        let Self {
            table,
            key,
            column,
            rows,
            longest,
            instead,
        } = self;
        let (longest, instead) = (millis(longest), millis(instead));
        let beyond = format!("{rows} AND {column} > {{now}} + {longest}");
        let any = format!("SELECT 1 FROM {table} WHERE {beyond}");
        let question = format!("SELECT CASE WHEN EXISTS ({any}) THEN cast(0 as bigint) END");
        // In batches: a clock that is set back leaves as many as there are, and a statement has a time limit.
        let correcting = format!(
            "UPDATE {table} SET {column} = {{now}} + {instead}
             WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {beyond} LIMIT {BATCH})"
        );
        let correct = async || {
            let _turn = store.turn_to_write().await?;
            let corrected = sql::execute(store.connection(), &correcting, []).await?;
            let rows = corrected.rows_affected();
            if rows > 0 {
                tracing::warn!(
                    table,
                    column,
                    rows,
                    "points in time lay too far ahead: the clock was set back"
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
