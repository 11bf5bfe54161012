//! Waiting in a `Drop`, where the test's own runtime cannot.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `future` to its end on a separate thread. Ignores a panic: the test already has its result.
pub(crate) fn finish(future: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime for cleaning up").block_on(future);
    });
    let wait = || drop(thread.join());
    // Other tasks of this thread move to other threads, because `future` may wait for them: a database is dropped only
    // after all connections that are being opened have succeeded or failed, also those of this process.
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_it_waits_for_may_be_the_next_task_of_the_same_thread() {
        let (mut both, (done, is_done)) = (JoinSet::new(), oneshot::channel());
        both.spawn(async {
            let (mut next, (send, sent)) = (JoinSet::new(), oneshot::channel());
            next.spawn(async move { send.send(()) });
            finish(async move {
                let sent = tokio::time::timeout(Duration::from_secs(10), sent).await;
                let _ = done.send(sent.is_ok());
            });
        });
        assert_eq!(is_done.await, Ok(true));
    }
}
