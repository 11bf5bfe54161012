//! Counts the statements of a test to PostgreSQL, from sqlx's log on the test's thread. SQLite runs on other threads,
//! so it is not counted.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant;

use tracing::Dispatch;
use tracing::field::{Field, Visit};
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};

const POISONED: &str = "a test failed while it was counting";

/// The statements of this thread: the beginning of each text, and the time of its answer.
#[derive(Clone, Default)]
pub struct Statements(Arc<Mutex<Vec<(Instant, String)>>>);

impl Statements {
    /// Listens as long as the guard lives.
    pub fn listen() -> (Self, DefaultGuard) {
        /// With a single subscriber, tracing asks the first thread that reaches a log statement whether it is wanted,
        /// and caches a "no" for all threads. So there are two subscribers.
        static ANOTHER: LazyLock<Dispatch> =
            LazyLock::new(|| Dispatch::new(NoSubscriber::default()));
        LazyLock::force(&ANOTHER);
        let statements = Self::default();
        let subscriber = tracing_subscriber::registry().with(statements.clone());
        (statements, tracing::subscriber::set_default(subscriber))
    }

    /// The statements since `begun`.
    pub fn since(&self, begun: Instant) -> Vec<String> {
        let all = self.0.lock().expect(POISONED);
        let since = all.iter().filter(|(at, _)| *at >= begun);
        since.map(|(_, statement)| statement.clone()).collect()
    }
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            let mut summary = Summary::default();
            event.record(&mut summary);
            self.0
                .lock()
                .expect(POISONED)
                .push((Instant::now(), summary.0));
        }
    }
}

#[derive(Default)]
struct Summary(String);

impl Visit for Summary {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "summary" {
            self.0 = format!("{value:?}");
        }
    }
}
