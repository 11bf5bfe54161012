//! Waiting in a `Drop`, where the test's own runtime cannot.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `future` to its end on a thread of its own. A panic in it is dropped: the test has its verdict already, and what could
/// not be removed stays behind on a server that is for tests only.
pub(crate) fn finish(future: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime for cleaning up").block_on(future);
    });
    let wait = || drop(thread.join());
    // What waits for this very thread is told to go elsewhere: it may be what `future` waits for. A database is dropped only once
    // every connection that is being made has come about or been given up, those of this process too.
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
            let (mut next, (tell, told)) = (JoinSet::new(), oneshot::channel());
            next.spawn(async move { tell.send(()) });
            finish(async move {
                let told = tokio::time::timeout(Duration::from_secs(10), told).await;
                let _ = done.send(told.is_ok());
            });
        });
        assert_eq!(is_done.await, Ok(true));
    }
}
