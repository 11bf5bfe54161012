//! Metrics of a connection pool, named as in OpenTelemetry's database conventions.

use opentelemetry::{KeyValue, global};
use sea_orm::ConnectionTrait as _;

use crate::database::Database;

pub(crate) fn observe(db: &Database, name: &str, most: u32) {
    let pool = KeyValue::new("db.client.connection.pool.name", name.to_owned());
    let state = |state| KeyValue::new("db.client.connection.state", state);
    let meter = global::meter("runtime");
    let (of_pool, db) = (pool.clone(), db.clone());
    meter
        .i64_observable_up_down_counter("db.client.connection.count")
        .with_unit("{connection}")
        .with_description("Connections of the pool, by state")
        .with_callback(move |gauge| {
            let (all, idle) = size(&db);
            gauge.observe(idle, &[of_pool.clone(), state("idle")]);
            gauge.observe(all - idle, &[of_pool.clone(), state("used")]);
        })
        .build();
    meter
        .i64_observable_up_down_counter("db.client.connection.max")
        .with_unit("{connection}")
        .with_description("Maximum number of connections of the pool")
        .with_callback(move |gauge| gauge.observe(most.into(), std::slice::from_ref(&pool)))
        .build();
}

fn size(db: &Database) -> (i64, i64) {
    if db.get_database_backend() == sea_orm::DbBackend::Sqlite {
        let pool = db.get_sqlite_connection_pool();
        return (pool.size().into(), pool.num_idle() as i64);
    }
    let pool = db.get_postgres_connection_pool();
    (pool.size().into(), pool.num_idle() as i64)
}
