//! The events that a transaction has enqueued, written right before COMMIT.

use event::TraceContext;
use sea_orm::{ConnectionTrait, DbErr, Value};
use store::sql;
use uuid::Uuid;

pub(crate) const SIGNAL: &str = "outbox";

/// The cause of a change: an external call, or an event. All its effects share the correlation id.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Printable text of at most 128 characters.
    pub correlation_id: String,
    /// `None` for a call.
    pub event_id: Option<Uuid>,
}

impl Cause {
    /// An external call, or a worker that continues the work of one.
    pub fn call(correlation_id: impl Into<String>) -> Self {
        Self {
            correlation_id: correlation_id.into(),
            event_id: None,
        }
    }
}

pub(crate) struct Enqueued {
    pub(super) id: Uuid,
    pub(super) exchange: &'static str,
    pub(super) routing_key: &'static str,
    pub(super) may_be_unrouted: bool,
    pub(super) event_type: String,
    pub(crate) aggregate_type: &'static str,
    pub(crate) aggregate_id: String,
    pub(super) version: i64,
    pub(super) payload: Vec<u8>,
    pub(super) person_id: Option<String>,
    pub(super) cause: Cause,
    pub(super) trace: TraceContext,
    pub(crate) held_until_ms: Option<i64>,
}

/// Each number of rows is another text, and a session caches a plan for each.
const ROWS: usize = 16;

pub(crate) async fn insert(db: &impl ConnectionTrait, events: Vec<Enqueued>) -> Result<(), DbErr> {
    if events.is_empty() {
        return Ok(());
    }
    let mut events = events.into_iter();
    loop {
        let rows: Vec<Enqueued> = events.by_ref().take(ROWS).collect();
        if rows.is_empty() {
            break;
        }
        let statement = format!("{INSERT}{}", placeholders(rows.len()));
        let values = rows.into_iter().flat_map(Enqueued::into_values);
        sql::execute(db, &statement, values).await?;
    }
    Ok(())
}

const INSERT: &str = "INSERT INTO angarium_outbox (event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type,
    aggregate_id, aggregate_version, payload, person_id, correlation_id, causation_id, traceparent, tracestate, baggage,
    held_until, created_at) VALUES ";
const PARAMETERS: usize = 16;
const EVENT_ID: usize = 1;
const CAUSATION_ID: usize = 12;
const HELD_UNTIL: usize = PARAMETERS;

fn placeholders(rows: usize) -> String {
    let row = |row: usize| {
        let value = |place: usize| match (place, row * PARAMETERS + place) {
            (EVENT_ID | CAUSATION_ID, number) => format!("{{uuid ${number}}}"),
            (HELD_UNTIL, number) => format!("{{time of ${number}}}"),
            (_, number) => format!("${number}"),
        };
        let values: Vec<String> = (1..=PARAMETERS).map(value).collect();
        format!("({}, {{time}})", values.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    rows.join(", ")
}

impl Enqueued {
    fn into_values(self) -> [Value; PARAMETERS] {
        [
            self.id.to_string().into(),
            self.exchange.into(),
            self.routing_key.into(),
            self.may_be_unrouted.into(),
            self.event_type.into(),
            self.aggregate_type.into(),
            self.aggregate_id.into(),
            self.version.into(),
            self.payload.into(),
            self.person_id.into(),
            self.cause.correlation_id.into(),
            self.cause.event_id.map(|id| id.to_string()).into(),
            self.trace.traceparent.into(),
            self.trace.tracestate.into(),
            self.trace.baggage.into(),
            self.held_until_ms.into(),
        ]
    }
}
