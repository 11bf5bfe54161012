//! The outbox of a service, read by plain SQL.

use event::Event;
use sea_orm::{ConnectionTrait, Statement};

/// A row of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promised {
    /// The protobuf full name.
    pub event_type: String,
    /// The aggregate's id.
    pub aggregate_id: String,
    /// The aggregate's version after the event.
    pub version: i64,
    /// The correlation id.
    pub correlation_id: String,
    /// The encoded event.
    pub payload: Vec<u8>,
}

impl Promised {
    /// Decodes the event.
    ///
    /// # Panics
    /// If it is not an `E`.
    pub fn decode<E: Event>(&self) -> E {
        assert_eq!(self.event_type, E::full_name());
        E::decode(self.payload.as_slice()).expect("the payload is what its type says")
    }
}

/// All rows in the order of their enqueueing, published or not.
pub async fn outbox(db: &impl ConnectionTrait) -> Vec<Promised> {
    let statement = Statement::from_string(
        db.get_database_backend(),
        "SELECT sequence, event_type, aggregate_id, aggregate_version, correlation_id, payload FROM angarium_outbox
         UNION ALL
         SELECT sequence, event_type, aggregate_id, aggregate_version, correlation_id, payload FROM angarium_outbox_history
         ORDER BY sequence",
    );
    let rows = db.query_all_raw(statement).await.expect("the outbox");
    let read = rows.iter().map(|row| {
        Ok::<_, sea_orm::DbErr>(Promised {
            event_type: row.try_get("", "event_type")?,
            aggregate_id: row.try_get("", "aggregate_id")?,
            version: row.try_get("", "aggregate_version")?,
            correlation_id: row.try_get("", "correlation_id")?,
            payload: row.try_get("", "payload")?,
        })
    });
    read.collect::<Result<_, _>>()
        .expect("the columns of the outbox")
}
