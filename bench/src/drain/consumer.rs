//! The consumer of a backlog: notification-service on one store, with the messages of its queue or with events that it holds.

use std::time::Duration;

use anyhow::{Context as _, Result};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement};

use super::{Backlog, Drained, held, seed, timed, until};
use crate::sink::{Manner, Sink};

/// The place of the service in [`crate::ours::SERVICES`].
pub(super) const SERVICE: usize = 2;

/// One database of notification-service.
pub(super) struct Consumer {
    mails: DatabaseConnection,
    url: String,
}

impl Consumer {
    pub(super) async fn at(url: &str) -> Result<Self> {
        Ok(Self {
            mails: Database::connect(url).await?,
            url: url.to_owned(),
        })
    }

    /// An empty database at `url`, which gets the schema and the one recipient of `other`.
    pub(super) async fn beside(other: &Self, backlog: &Backlog, url: &str) -> Result<Self> {
        let sink = Sink::start(Manner::Silent).await?;
        let program = backlog.start_on(SERVICE, url, &sink).await?;
        program.stop().await?;
        let consumer = Self::at(url).await?;
        let columns = "user_id, email, display_name, user_version";
        let select = format!("SELECT {columns} FROM recipient");
        let row = other.mails.query_one_raw(statement(&other.mails, &select));
        let row = row.await?.context("no recipient is known")?;
        let values = [
            row.try_get::<String>("", "user_id")?.into(),
            row.try_get::<String>("", "email")?.into(),
            row.try_get::<String>("", "display_name")?.into(),
            row.try_get::<i64>("", "user_version")?.into(),
        ];
        let insert = format!("INSERT INTO recipient ({columns}) VALUES ($1, $2, $3, $4)");
        let backend = consumer.mails.get_database_backend();
        let insert = Statement::from_sql_and_values(backend, insert, values);
        consumer.mails.execute_raw(insert).await?;
        Ok(consumer)
    }

    /// Handles the `rows` messages of the queue. No mail is sent meanwhile.
    pub(super) async fn fresh(
        &self,
        backlog: &Backlog,
        rows: u64,
        limit: Duration,
    ) -> Result<Drained> {
        self.drain(backlog, seed::CORRELATION, rows, limit).await
    }

    /// Handles `rows` events that the inbox holds and that are due.
    pub(super) async fn held(
        &self,
        backlog: &Backlog,
        event: &seed::Template,
        rows: u64,
        limit: Duration,
    ) -> Result<Drained> {
        held::fill(&self.mails, event, rows).await?;
        self.drain(backlog, held::CORRELATION, rows, limit).await
    }

    async fn drain(
        &self,
        backlog: &Backlog,
        correlation: &str,
        rows: u64,
        limit: Duration,
    ) -> Result<Drained> {
        let sink = Sink::start(Manner::Silent).await?;
        let mut program = backlog.start_on(SERVICE, &self.url, &sink).await?;
        let drained = timed(async {
            let taken = async || self.mails_of(correlation).await;
            until(&mut program, rows, limit, taken).await
        })
        .await?;
        // Its mails stay in flight, so an orderly shutdown would not end.
        drop(program);
        Ok(drained)
    }

    /// What is wrong with the mail rows after `expected` events: duplicates, or a missing one.
    pub(super) async fn judge(
        &self,
        correlation: &str,
        expected: Option<u64>,
    ) -> Result<Vec<String>> {
        let mails = self.mails_of(correlation).await?;
        let distinct = self.count("count(DISTINCT event_id)", correlation).await?;
        let mut wrong = Vec::new();
        if mails > distinct {
            wrong.push(format!("{} mail rows are duplicates", mails - distinct));
        }
        if let Some(expected) = expected
            && distinct != expected
        {
            wrong.push(format!("{expected} events have {distinct} mail rows"));
        }
        Ok(wrong)
    }

    async fn mails_of(&self, correlation: &str) -> Result<u64> {
        self.count("count(*)", correlation).await
    }

    async fn count(&self, what: &str, correlation: &str) -> Result<u64> {
        let select = format!(
            "SELECT {what} AS count FROM notification WHERE correlation_id = '{correlation}'"
        );
        let row = self.mails.query_one_raw(statement(&self.mails, &select));
        let row = row.await?.context("a count has a row")?;
        u64::try_from(row.try_get::<i64>("", "count")?).context("a count is not negative")
    }
}

fn statement(db: &DatabaseConnection, sql: &str) -> Statement {
    Statement::from_string(db.get_database_backend(), sql)
}

/// Whether a store is PostgreSQL, for what differs.
pub(super) fn is_postgres(db: &DatabaseConnection) -> bool {
    db.get_database_backend() == DbBackend::Postgres
}
