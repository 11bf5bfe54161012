//! `bucket`: token buckets for limits.

use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use store::sql;

use crate::throttle::bucket::Bucket;

/// A full one if there is none.
pub async fn lock(db: &impl ConnectionTrait, subject: &str) -> Result<Bucket, DbErr> {
    // The update only locks the row, in the same round trip.
    let locking = "INSERT INTO bucket (subject, full_at_ms) VALUES ($1, 0)
         ON CONFLICT (subject) DO UPDATE SET full_at_ms = bucket.full_at_ms RETURNING full_at_ms";
    bucket(sql::query_one(db, locking, [subject.into()]).await?)
}

pub async fn read(db: &impl ConnectionTrait, subject: &str) -> Result<Bucket, DbErr> {
    let select = "SELECT full_at_ms FROM bucket WHERE subject = $1";
    bucket(sql::query_one(db, select, [subject.into()]).await?)
}

fn bucket(row: Option<QueryResult>) -> Result<Bucket, DbErr> {
    row.map_or(Ok(Bucket::default()), |row| {
        Ok(Bucket {
            full_at_ms: row.try_get("", "full_at_ms")?,
        })
    })
}

pub async fn write(db: &impl ConnectionTrait, subject: &str, bucket: Bucket) -> Result<(), DbErr> {
    let update = "UPDATE bucket SET full_at_ms = $2 WHERE subject = $1";
    sql::execute(db, update, [subject.into(), bucket.full_at_ms.into()]).await?;
    Ok(())
}

/// No limit allows emptier buckets: the clock was ahead. Now they expire in time.
pub async fn bring_back(db: &impl ConnectionTrait, emptiest_ms: i64) -> Result<u64, DbErr> {
    let update = "UPDATE bucket SET full_at_ms = $1 WHERE full_at_ms > $1";
    sql::execute(db, update, [emptiest_ms.into()]).await
}

/// A full bucket is the same as none.
pub async fn delete_full(db: &impl ConnectionTrait, now_ms: i64) -> Result<u64, DbErr> {
    let delete = "DELETE FROM bucket WHERE subject IN (
        SELECT subject FROM bucket WHERE full_at_ms <= $1 LIMIT 1000)";
    sql::execute(db, delete, [now_ms.into()]).await
}
