//! The end of work on a database at a stop, also if the database does not answer.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_millis(50);

/// Runs `work`, and drops it soon after `stop`: a statement of an unavailable database takes seconds. `None` if it was
/// dropped. Only for work that another process repeats; a dropped transaction is undone.
pub async fn end_soon<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(PATIENCE).await;
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = overdue => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_by_itself_or_soon_after_the_stop() {
        let stop = CancellationToken::new();
        assert_eq!(end_soon(&stop, async { 1 }).await, Some(1));
        stop.cancel();
        assert_eq!(end_soon(&stop, async { 2 }).await, Some(2));
        let hangs = std::future::pending::<()>();
        assert_eq!(end_soon(&stop, hangs).await, None);
    }
}
