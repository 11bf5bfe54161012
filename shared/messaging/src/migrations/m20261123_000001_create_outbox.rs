//! Events that a committed transaction has promised, until they are published and a while longer.

use sea_orm_migration::prelude::*;

use super::ddl;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

// `sequence` orders events of one aggregate, because the writers of an aggregate are serialised by its own row. It does not
// order events of different aggregates: such transactions commit in any order, so nothing may ever resume "after sequence n".
const OUTBOX: &str = "
CREATE TABLE outbox (
    sequence          {sequence},
    event_id          text   NOT NULL,
    exchange          text   NOT NULL,
    routing_key       text   NOT NULL,
    may_be_unrouted   boolean NOT NULL,
    event_type        text   NOT NULL,
    aggregate_type    text   NOT NULL,
    aggregate_id      text   NOT NULL,
    aggregate_version bigint NOT NULL,
    payload           {bytes} NOT NULL,
    correlation_id    text   NOT NULL,
    traceparent       text,
    tracestate        text,
    created_at_ms     bigint NOT NULL,
    held_until_ms     bigint,
    due_at_ms         bigint NOT NULL,
    published_at_ms   bigint,
    attempts          integer NOT NULL DEFAULT 0,
    last_error        text,
    UNIQUE (aggregate_type, aggregate_id, aggregate_version)
)";

// Partial, so that they hold what is pending and not what ever was.
const PENDING: &str = "
CREATE INDEX outbox_pending ON outbox (sequence) WHERE published_at_ms IS NULL AND held_until_ms IS NULL";
const TIMERS: &str =
    "CREATE INDEX outbox_timers ON outbox (held_until_ms) WHERE held_until_ms IS NOT NULL";
const PENDING_BY_AGGREGATE: &str = "
CREATE INDEX outbox_pending_by_aggregate ON outbox (aggregate_type, aggregate_id, aggregate_version)
WHERE published_at_ms IS NULL AND held_until_ms IS NULL";

const PUBLISHED: &str =
    "CREATE INDEX outbox_published ON outbox (published_at_ms) WHERE published_at_ms IS NOT NULL";

// Which relay publishes, and until when it does unless it renews.
const RELAY_LEASE: &str = "
CREATE TABLE relay_lease (
    name          text   PRIMARY KEY,
    holder        text   NOT NULL,
    expires_at_ms bigint NOT NULL
)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for statement in [
            OUTBOX,
            PENDING,
            PENDING_BY_AGGREGATE,
            TIMERS,
            PUBLISHED,
            RELAY_LEASE,
        ] {
            db.execute_unprepared(&ddl(statement, manager)).await?;
        }
        Ok(())
    }
}
