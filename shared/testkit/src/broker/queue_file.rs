//! The queue file of the embedded transport, opened as a process does.

use std::path::{Path, PathBuf};

use messaging::transport::Embedded;
use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement};

pub(super) async fn open(folder: &Path) -> Embedded {
    Embedded::open(&path(folder))
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

pub(super) async fn messages(folder: &Path, queue: &str) -> u64 {
    let url = format!("sqlite://{}?mode=ro", path(folder).display());
    let db = Database::connect(url).await.expect("the queue file");
    let counting = Statement::from_sql_and_values(
        DbBackend::Sqlite,
        "SELECT count(*) FROM message WHERE queue = $1",
        [queue.into()],
    );
    let row = db.query_one_raw(counting).await.expect("a count");
    let count: i64 = row
        .and_then(|row| row.try_get_by_index(0).ok())
        .expect("a count");
    let _ = db.close().await;
    u64::try_from(count).expect("no count is below zero")
}

fn path(folder: &Path) -> PathBuf {
    folder.join("queue.db")
}
