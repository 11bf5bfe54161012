//! What each consumer has seen, what it still holds, and how far it is with each aggregate.

use sea_orm_migration::prelude::*;

use super::ddl;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

// One row for each consumer and event. The message is kept only while the event is not settled.
const INBOX: &str = "
CREATE TABLE inbox (
    consumer           text   NOT NULL,
    event_id           text   NOT NULL,
    state              text   NOT NULL CHECK (state IN ('done', 'waiting', 'deferred', 'dead', 'skipped', 'discarded')),
    event_type         text,
    aggregate_type     text,
    aggregate_id       text,
    aggregate_version  bigint,
    received_at_ms     bigint NOT NULL,
    settled_at_ms      bigint,
    due_at_ms          bigint,
    attempts           integer NOT NULL DEFAULT 0,
    first_failed_at_ms bigint,
    last_failed_at_ms  bigint,
    cause              text,
    replayed_at_ms     bigint,
    exchange           text,
    routing_key        text,
    properties         text,
    body               {bytes},
    PRIMARY KEY (consumer, event_id)
)";

const DUE: &str =
    "CREATE INDEX inbox_due ON inbox (consumer, due_at_ms) WHERE due_at_ms IS NOT NULL";
const UNSETTLED: &str = "
CREATE INDEX inbox_unsettled ON inbox (consumer, aggregate_type, aggregate_id, aggregate_version)
WHERE state <> 'done'";
const GIVEN_UP: &str = "
CREATE INDEX inbox_given_up ON inbox (consumer, received_at_ms, event_id) WHERE state IN ('dead', 'skipped')";
const SETTLED: &str =
    "CREATE INDEX inbox_settled ON inbox (settled_at_ms) WHERE settled_at_ms IS NOT NULL";

// The last version of each aggregate that a consumer has handled, for subscriptions that take events in order.
const POSITION: &str = "
CREATE TABLE position (
    consumer       text   NOT NULL,
    aggregate_type text   NOT NULL,
    aggregate_id   text   NOT NULL,
    version        bigint NOT NULL,
    PRIMARY KEY (consumer, aggregate_type, aggregate_id)
)";

// Who has replayed or discarded what, and what the row said before.
const DECISION: &str = "
CREATE TABLE dead_letter_decision (
    sequence      {sequence},
    consumer      text    NOT NULL,
    event_id      text    NOT NULL,
    decision      text    NOT NULL CHECK (decision IN ('replayed', 'discarded')),
    actor         text    NOT NULL,
    reason        text    NOT NULL,
    cause         text,
    attempts      integer NOT NULL,
    decided_at_ms bigint  NOT NULL
)";
const DECISION_OF: &str =
    "CREATE INDEX dead_letter_decision_of ON dead_letter_decision (consumer, event_id)";
const DECIDED: &str =
    "CREATE INDEX dead_letter_decision_age ON dead_letter_decision (decided_at_ms)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for statement in [
            INBOX,
            DUE,
            UNSETTLED,
            GIVEN_UP,
            SETTLED,
            POSITION,
            DECISION,
            DECISION_OF,
            DECIDED,
        ] {
            db.execute_unprepared(&ddl(statement, manager)).await?;
        }
        Ok(())
    }
}
