//! Checkpoints and repair: what a producer has published, what a consumer misses, and what was done about it.
//!
//! It only adds, and an older release does not read it. A producer's first number is 1, and its list begins after this
//! migration: consumers cannot know what came before.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        store::create(manager, TABLES).await?;
        let zero = match manager.get_database_backend() {
            sea_orm::DbBackend::Sqlite => ZERO_ON_SQLITE,
            _ => ZERO,
        };
        store::create(manager, &[zero]).await
    }
}

const TABLES: &[&str] = &[
    CHECKPOINT,
    OPEN,
    STREAM,
    GAP,
    MISSING,
    MISSING_DUE,
    MISSING_SINCE,
    REPAIR,
    REPAIRED,
    LATE,
];

// The positions after the first one, up to the last one. At most one checkpoint is unconfirmed, and its publisher has
// claimed it.
const CHECKPOINT: &str = "
CREATE TABLE angarium_checkpoint (
    number         bigint PRIMARY KEY,
    checkpoint_id  {uuid} NOT NULL,
    after_position bigint NOT NULL,
    last_position  bigint NOT NULL,
    stamp          bigint NOT NULL,
    taken_at       {time} NOT NULL,
    claimed_until  {time},
    confirmed_at   {time}
)";
const OPEN: &str = "
CREATE INDEX angarium_checkpoint_open ON angarium_checkpoint (claimed_until) WHERE confirmed_at IS NULL";

const ZERO: &str = "
INSERT INTO angarium_checkpoint (number, checkpoint_id, after_position, last_position, stamp, taken_at, confirmed_at)
SELECT 0, '00000000-0000-0000-0000-000000000000', 0, coalesce(max(position), 0), 0, now(), now() FROM angarium_outbox_history";
const ZERO_ON_SQLITE: &str = "
INSERT INTO angarium_checkpoint (number, checkpoint_id, after_position, last_position, stamp, taken_at, confirmed_at)
SELECT 0, '00000000-0000-0000-0000-000000000000', 0, coalesce(max(position), 0), 0,
       cast(unixepoch('subsec') * 1000 as integer), cast(unixepoch('subsec') * 1000 as integer) FROM angarium_outbox_history";

// `patterns`: the number from which the events of each binding are expected.
const STREAM: &str = "
CREATE TABLE angarium_checkpoint_stream (
    consumer    text   NOT NULL,
    source      text   NOT NULL,
    exchange    text   NOT NULL,
    number      bigint NOT NULL,
    stamp       bigint NOT NULL,
    patterns    text   NOT NULL,
    retention_s bigint NOT NULL,
    received_at {time} NOT NULL,
    silent_at   {time} NOT NULL,
    diverged_at {time},
    PRIMARY KEY (consumer, source, exchange)
)";

// Shown once `due_at` has passed.
const GAP: &str = "
CREATE TABLE angarium_checkpoint_gap (
    consumer     text   NOT NULL,
    source       text   NOT NULL,
    exchange     text   NOT NULL,
    first_number bigint NOT NULL,
    last_number  bigint NOT NULL,
    seen_at      {time} NOT NULL,
    due_at       {time} NOT NULL,
    PRIMARY KEY (consumer, source, exchange, first_number)
)";

// Missing once `missing_since` is set; before that they may be on their way. `due_at` is the next comparison.
const MISSING: &str = "
CREATE TABLE angarium_missing (
    consumer      text   NOT NULL,
    event_id      {uuid} NOT NULL,
    source        text   NOT NULL,
    exchange      text   NOT NULL,
    event_type    text   NOT NULL,
    routing_key   text   NOT NULL,
    number        bigint NOT NULL,
    listed_at     {time} NOT NULL,
    due_at        {time} NOT NULL,
    missing_since {time},
    PRIMARY KEY (consumer, event_id)
)";
const MISSING_DUE: &str =
    "CREATE INDEX angarium_missing_due ON angarium_missing (consumer, due_at)";
const MISSING_SINCE: &str = "
CREATE INDEX angarium_missing_since ON angarium_missing (consumer, source, event_id) WHERE missing_since IS NOT NULL";

const REPAIR: &str = "
CREATE TABLE angarium_repair (
    sequence {sequence},
    consumer text   NOT NULL,
    action   text   NOT NULL,
    detail   text   NOT NULL,
    events   bigint NOT NULL,
    actor    text   NOT NULL,
    reason   text   NOT NULL,
    done_at  {time} NOT NULL
)";

// An event that was handed over is handled even below the position; then it is late.
const REPAIRED: &str = "ALTER TABLE angarium_inbox ADD COLUMN repaired_at {time}";
const LATE: &str = "ALTER TABLE angarium_inbox ADD COLUMN late boolean";
