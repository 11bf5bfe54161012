//! The rows of the service, read and changed by hand.

use sea_orm::{ConnectionTrait as _, TryGetable};
use service::Service;

use crate::service::TestService;

impl<S: Service> TestService<S> {
    /// The value that `sql` selects.
    pub async fn value<T: TryGetable>(&self, sql: &str) -> T {
        testkit::value(&self.db, sql).await
    }

    /// The number that `sql` selects.
    pub async fn count(&self, sql: &str) -> i64 {
        self.value(sql).await
    }

    /// Runs one or more statements.
    ///
    /// # Panics
    /// If the database refuses one.
    pub async fn execute(&self, sql: &str) {
        let done = self.db.execute_unprepared(sql).await;
        done.unwrap_or_else(|error| panic!("`{sql}`: {error}"));
    }
}
