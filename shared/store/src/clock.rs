//! The database's own clock, in Unix milliseconds: one for all replicas of a service.
//!
//! Within a statement it stands still, so an index can answer a comparison with it.

use sea_orm::DbBackend;

/// Names a file that holds how many milliseconds the clock is ahead. It may change at any moment. Only builds with the feature
/// `faults` read it.
pub const AHEAD: &str = "ANGARIUM_CLOCK";

const ARMED: bool = cfg!(all(feature = "faults", debug_assertions));

/// The expression for the time in Unix milliseconds, for statement builders. Statements in text use `{now}`, see
/// [`sql`](crate::sql).
pub fn now_sql(backend: DbBackend) -> String {
    let now = match backend {
        DbBackend::Sqlite => "cast(unixepoch('subsec') * 1000 as integer)",
        _ => "(extract(epoch from statement_timestamp()) * 1000)::bigint",
    };
    match ahead_ms() {
        0 => now.to_owned(),
        ahead_ms => format!("({now} + {ahead_ms})"),
    }
}

/// The expression for the time as a column stores it. In whole milliseconds on both stores, so that a time read in
/// milliseconds equals its column.
pub(crate) fn time_sql(backend: DbBackend) -> String {
    if backend == DbBackend::Sqlite {
        return now_sql(backend);
    }
    let time = "date_trunc('milliseconds', statement_timestamp())";
    match ahead_ms() {
        0 => time.to_owned(),
        ahead_ms => format!("({time} + {ahead_ms} * interval '1 millisecond')"),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "not a setting: it exists in test builds only, and is read where no configuration reaches"
)]
fn ahead_ms() -> i64 {
    static FILE: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    if !ARMED {
        return 0;
    }
    let file = FILE.get_or_init(|| std::env::var(AHEAD).ok()).as_deref();
    let text = file.and_then(|file| std::fs::read_to_string(file).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
