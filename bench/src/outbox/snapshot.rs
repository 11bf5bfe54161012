//! A transaction that reads once and stays open: VACUUM keeps every row that is deleted after that.

use anyhow::Result;
use sea_orm::sqlx::{Connection as _, Executor as _, PgConnection};

use crate::drain::Backlog;

pub(super) async fn open(backlog: &Backlog) -> Result<PgConnection> {
    let options = backlog.orders.connect_options();
    let mut connection = PgConnection::connect_with(&options).await?;
    connection
        .execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    connection
        .execute("SELECT count(*) FROM angarium_outbox")
        .await?;
    Ok(connection)
}

/// Proves that the snapshot existed all the time: the session still has it.
pub(super) async fn close(connection: &mut PgConnection) -> Result<()> {
    connection.execute("COMMIT").await?;
    Ok(())
}
