//! Counts what a test's PostgreSQL is asked, by what sqlx logs on the test's thread. SQLite has threads of its own, so that
//! neither such a database nor an embedded broker's queue file is counted.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant;

use tracing::Dispatch;
use tracing::field::{Field, Visit};
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};

const POISONED: &str = "a test failed while it was counting";

/// The statements of this thread, which is the one that a test's tasks run on: how each begins, and when it was answered.
#[derive(Clone, Default)]
pub struct Statements(Arc<Mutex<Vec<(Instant, String)>>>);

impl Statements {
    /// Listens for as long as the guard lives.
    pub fn listen() -> (Self, DefaultGuard) {
        /// Where there is only one subscriber, tracing asks the thread that comes to a place in the code first whether it is
        /// wanted, and remembers a "no" for all threads. So there are two.
        static ANOTHER: LazyLock<Dispatch> =
            LazyLock::new(|| Dispatch::new(NoSubscriber::default()));
        LazyLock::force(&ANOTHER);
        let statements = Self::default();
        let subscriber = tracing_subscriber::registry().with(statements.clone());
        (statements, tracing::subscriber::set_default(subscriber))
    }

    /// What was asked from then on.
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
