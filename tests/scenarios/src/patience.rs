//! Waits for a fact; after the limit, the error says what was seen instead.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Result, bail};

/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(50);

/// Enough for an event to have its effect.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Calls `look` until it returns `Ok`, and returns that value. `Err` is what was seen instead.
pub async fn eventually<T, S: Debug>(
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> Result<T, S>,
) -> Result<T> {
    let mut last = None;
    let looking = async {
        loop {
            match look().await {
                Ok(found) => return found,
                Err(seen) => last = Some(seen),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    match tokio::time::timeout(patience, looking).await {
        Ok(found) => Ok(found),
        Err(_) => bail!("not within {patience:?}: {what}; last seen: {last:?}"),
    }
}
