//! Faults on purpose, for the proof that the engine survives them: sudden death at a named point, and known mistakes that
//! the proof has to notice.
//!
//! Without the feature `faults`, and in every optimised build, nothing here does anything: no variable is read, and the hooks
//! cost nothing. Only the package of the end-to-end tests turns the feature on.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

/// Where a process may die, in the order of an event's way. `stated` and `committed` lie in the code that changes the state,
/// so the workload passes them; the engine passes all others. `noted` and `taken` are passed only where handlers fail: once that is
/// noted, and once a held event is in a worker's hands.
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

/// What a wrong engine would do. `publish-before-commit` is the workload's to do, `ack-before-commit` that of a transport.
pub const MISTAKES: [&str; 9] = [
    "publish-before-commit",
    "mark-before-confirm",
    "ignore-return",
    "return-by-position",
    "ack-before-commit",
    "no-inbox",
    "cursor-polling",
    "no-version-guard",
    "swallow-relay-error",
];

/// Names the point to die at and the passage that is the last: `confirmed:3`.
pub const CRASH_AT: &str = "ANGARIUM_CRASH_AT";
/// Names the mistake to make.
pub const BROKEN: &str = "ANGARIUM_BROKEN";
/// Names a file that holds how many milliseconds the databases' clocks are ahead. It may change at any moment.
pub const CLOCK: &str = store::clock::AHEAD;

const ARMED: bool = cfg!(all(feature = "faults", debug_assertions));

/// So long what was handed over before the point has to arrive: the crash is to lose what the point is about, and no more.
const ARRIVAL: Duration = Duration::from_millis(50);

/// Passes a point. Ends the process without any clean-up where this is the passage that it is to die at.
pub fn point(name: &str) {
    static PASSED: AtomicU32 = AtomicU32::new(0);
    if !ARMED || fatal().is_none_or(|(fatal, _)| fatal != name) {
        return;
    }
    let passage = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    if fatal().is_some_and(|(_, last)| passage == *last) {
        // Blocks this thread only; what passes meanwhile on others is part of what is tried.
        std::thread::sleep(ARRIVAL);
        std::process::abort();
    }
}

/// Whether to make this mistake.
pub fn broken(mistake: &str) -> bool {
    static MISTAKE: OnceLock<Option<String>> = OnceLock::new();
    ARMED && MISTAKE.get_or_init(|| variable(BROKEN)).as_deref() == Some(mistake)
}

/// Whether a row is to be looked at: for `cursor-polling`, only once and only beyond those that were.
pub(crate) fn is_beyond_cursor(sequence: i64) -> bool {
    static CURSOR: AtomicI64 = AtomicI64::new(0);
    !broken("cursor-polling") || CURSOR.fetch_max(sequence, Ordering::SeqCst) < sequence
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
    reason = "not a setting: it exists in test builds only, and is read where no configuration reaches"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
