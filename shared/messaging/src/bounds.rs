//! Corrects times that are further ahead than any code writes them: a clock was ahead.
//!
//! Guarantee: once the clock is correct, a lease or a retry delay lasts at most its normal length. Times from a correct
//! clock stay unchanged.

use std::time::Duration;

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::retry::millis;
use crate::store::Store;
use store::sql;

/// A clock jump is no transaction.
const SIGNAL: &str = "bounds";
const BATCH: u32 = 1000;

/// A column of times, and how far ahead they may be.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The table.
    pub table: &'static str,
    /// The columns of its key.
    pub key: &'static str,
    /// A time by the database's clock. The column needs an index that covers `rows`.
    pub column: &'static str,
    /// The column's format.
    pub form: TimeForm,
    /// The condition that selects the rows, as SQL.
    pub rows: String,
    /// The furthest time ahead that the code writes.
    pub longest: Duration,
    /// A time further ahead becomes this long from now. For leases it is their length: a rightful holder notices in
    /// time.
    pub instead: Duration,
}

/// The format of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// As in the engine's tables: the word `{time}` of [`store::sql`].
    Native,
    /// In Unix milliseconds, as in services' tables: the word `{now}`.
    Milliseconds,
}

impl TimeForm {
    fn ahead(self, ms: i64) -> String {
        match self {
            Self::Native => format!("{{time + {ms}}}"),
            Self::Milliseconds => format!("{{now}} + {ms}"),
        }
    }
}

impl Bound {
    /// Corrects such times every few seconds, with the shared poll of `store`, until `stop`.
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
        // In batches: the clock may affect all rows, and a statement has a time limit.
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
                    "corrected times that were too far ahead: the clock was ahead or was set back"
                );
            }
            Ok::<_, DbErr>(rows > 0)
        };
        let failed = |error| tracing::debug!(%error, table, "cannot correct times, retrying");
        store
            .wakeup(SIGNAL, question)
            .work(&stop, correct, failed)
            .await;
    }
}
