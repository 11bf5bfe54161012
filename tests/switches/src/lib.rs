//! The switches of the fault runs: points where a process can abort, deliberate mistakes, and a clock that can be set.
//!
//! The product does not depend on this crate. `tests/faults/overlay.patch` adds the dependency and all calls, in a copy of the
//! sources, for the program of the fault runs only.

#![forbid(unsafe_code)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Where a process can abort, in the order in which an event passes these points. The workload passes `stated` and `committed`,
/// the engine all others. `noted` and `taken` are passed only if handlers fail: after the failure is noted, and after a retry
/// worker has taken a held event.
pub const POINTS: [&str; 16] = [
    "begun",
    "stated",
    "enqueued",
    "committed",
    "claimed",
    "published",
    "confirmed",
    "marked",
    "delivered",
    "seen",
    "handled",
    "noted",
    "taken",
    "done",
    "acknowledged",
    "stopping",
];

/// What a wrong engine would do. The workload makes `publish-before-commit` and `ack-before-commit`, the engine all others.
pub const MISTAKES: [&str; 11] = [
    "publish-before-commit",
    "mark-before-confirm",
    "ignore-return",
    "return-by-position",
    "ack-before-commit",
    "no-inbox",
    "cursor-polling",
    "no-version-guard",
    "swallow-relay-error",
    "checkpoint-skips-an-id",
    "repair-ignores-inbox",
];

/// Environment variable: the point to abort at, and at which passage: `confirmed:3`.
pub const CRASH_AT: &str = "ANGARIUM_CRASH_AT";
/// Environment variable: the mistake to make.
pub const BROKEN: &str = "ANGARIUM_BROKEN";
/// Environment variable: a file with the number of milliseconds by which the databases' clocks are ahead. The number may change
/// at any time.
pub const CLOCK: &str = "ANGARIUM_CLOCK";

/// The time for messages that were sent before the point to arrive. The abort must lose only what the point is about.
const ARRIVAL: Duration = Duration::from_millis(50);

/// Passes a point. Aborts the process if this is the chosen passage of the chosen point.
pub fn point(name: &str) {
    static PASSED: AtomicU32 = AtomicU32::new(0);
    let Some((fatal, last)) = fatal() else {
        return;
    };
    if fatal == name && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *last {
        // Blocks this thread only: what other threads do meanwhile is part of the run.
        std::thread::sleep(ARRIVAL);
        std::process::abort();
    }
}

/// Whether to make this mistake.
pub fn broken(mistake: &str) -> bool {
    static MISTAKE: OnceLock<Option<String>> = OnceLock::new();
    MISTAKE.get_or_init(|| variable(BROKEN)).as_deref() == Some(mistake)
}

/// By how many milliseconds the databases' clocks are ahead.
pub fn ahead_ms() -> i64 {
    static FILE: OnceLock<Option<String>> = OnceLock::new();
    let file = FILE.get_or_init(|| variable(CLOCK)).as_deref();
    let text = file.and_then(|file| std::fs::read_to_string(file).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn fatal() -> Option<&'static (String, u32)> {
    static FATAL: OnceLock<Option<(String, u32)>> = OnceLock::new();
    let fatal = FATAL.get_or_init(|| {
        let text = variable(CRASH_AT)?;
        let (name, passage) = text.split_once(':')?;
        Some((name.to_owned(), passage.parse().ok()?))
    });
    fatal.as_ref()
}

#[expect(
    clippy::disallowed_methods,
    reason = "no setting of the product: it is read where no configuration reaches"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
