//! Formats values for the listings.

use std::time::{Duration, UNIX_EPOCH};

/// Rows per page when listing all.
pub(super) const PAGE: u32 = 200;

pub(super) fn or_none(text: Option<&str>) -> &str {
    text.unwrap_or("(none)")
}

pub(super) fn time(unix_ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}
