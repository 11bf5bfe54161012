//! Waiting in a `Drop`, where the test's own runtime cannot.

/// Runs `future` to its end on a thread of its own. A panic in it is dropped: the test has its verdict already, and what could
/// not be removed stays behind on a server that is for tests only.
pub(crate) fn finish(future: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime for cleaning up").block_on(future);
    });
    let _ = thread.join();
}
