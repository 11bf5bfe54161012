//! Waiting in a `Drop`, where the test's own runtime cannot.

use std::cell::RefCell;
use std::pin::Pin;
use std::thread;

use tokio::runtime::{Builder, Handle, RuntimeFlavor};

/// Runs `future` to its end on a separate thread. Ignores a panic: the test already has its result.
pub(crate) fn finish(future: impl Future<Output = ()> + Send + 'static) {
    let wait = || run_apart(Box::pin(future));
    // Other tasks of this thread move to other threads.
    match flavor() {
        Some(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}

/// The same for a `future` that may wait for other tasks: PostgreSQL drops a database only when no session is about to
/// authenticate, also none of this process. In a runtime of one thread nothing else goes on during the wait. There the
/// future runs at the end of the thread, when its runtime and all tasks are gone.
pub(crate) fn finish_beside_tasks(future: impl Future<Output = ()> + Send + 'static) {
    if flavor() != Some(RuntimeFlavor::CurrentThread) {
        return finish(future);
    }
    LEFT.with_borrow_mut(|left| left.0.push(Box::pin(future)));
}

thread_local! {
    static LEFT: RefCell<Left> = RefCell::default();
}

/// What runs at the end of this thread.
#[derive(Default)]
struct Left(Vec<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.drain(..).for_each(run_apart);
    }
}

fn run_apart(future: Pin<Box<dyn Future<Output = ()> + Send>>) {
    let running = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime for cleaning up").block_on(future);
    });
    drop(running.join());
}

fn flavor() -> Option<RuntimeFlavor> {
    Handle::try_current()
        .ok()
        .map(|handle| handle.runtime_flavor())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
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

    #[test]
    fn in_a_runtime_of_one_thread_it_runs_when_the_tasks_are_gone() {
        let (answer, answered) = mpsc::channel();
        let test = thread::spawn(|| {
            let runtime = Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (held, gone) = oneshot::channel::<()>();
                let mut tasks = JoinSet::new();
                tasks.spawn(async move {
                    let _held = held;
                    std::future::pending::<()>().await;
                });
                tokio::task::yield_now().await;
                finish_beside_tasks(async move {
                    let gone = tokio::time::timeout(Duration::from_secs(10), gone).await;
                    answer.send(gone.is_ok()).unwrap();
                });
            });
        });
        test.join().unwrap();
        assert_eq!(answered.try_recv(), Ok(true));
    }
}
