//! The outbox: pending events, and the history of published ones.
//!
//! Guarantee: a version of an aggregate exists once in both tables. Each has a unique key, and a trigger refuses a new
//! event with a version in the history.

pub(super) const TABLES: &[&str] = &[
    OUTBOX,
    READY,
    TIMERS,
    ASIDE,
    AGE,
    PERSONAL,
    HISTORY,
    PERSONAL_HISTORY,
    RELAY_LEASE,
    EVENTS,
];

pub(super) const ON_POSTGRES: &[&str] = &[
    NO_HOLDER,
    GUARD,
    GUARD_TRIGGER,
    VACUUM_OUTBOX,
    VACUUM_HISTORY,
    VACUUM_LEASE,
];
pub(super) const ON_SQLITE: &[&str] = &[NO_HOLDER_ON_SQLITE, GUARD_ON_SQLITE];

// `sequence` orders the events of one aggregate, because the aggregate's own row serialises their transactions. Other
// transactions commit in any order, so nothing may resume "after sequence n".
const OUTBOX: &str = "
CREATE TABLE angarium_outbox (
    sequence          {sequence},
    event_id          {uuid}  NOT NULL,
    exchange          text    NOT NULL,
    routing_key       text    NOT NULL,
    may_be_unrouted   boolean NOT NULL,
    event_type        text    NOT NULL,
    aggregate_type    text    NOT NULL,
    aggregate_id      text    NOT NULL,
    aggregate_version bigint  NOT NULL,
    payload           {bytes} NOT NULL,
    person_id         text,
    correlation_id    text    NOT NULL,
    causation_id      {uuid},
    traceparent       text,
    tracestate        text,
    baggage           text,
    created_at        {time}  NOT NULL,
    held_until        {time},
    set_aside_at      {time},
    due_at            {time},
    unroutable_since  {time},
    attempts          integer NOT NULL DEFAULT 0,
    last_error        text,
    to_erase          boolean NOT NULL DEFAULT false,
    CONSTRAINT angarium_outbox_version UNIQUE (aggregate_type, aggregate_id, aggregate_version)
)";

const READY: &str = "
CREATE INDEX angarium_outbox_ready ON angarium_outbox (sequence)
WHERE held_until IS NULL AND set_aside_at IS NULL";
const TIMERS: &str = "
CREATE INDEX angarium_outbox_timers ON angarium_outbox (held_until) WHERE held_until IS NOT NULL";
const ASIDE: &str = "
CREATE INDEX angarium_outbox_aside ON angarium_outbox (due_at) WHERE set_aside_at IS NOT NULL";
const AGE: &str = "
CREATE INDEX angarium_outbox_age ON angarium_outbox (created_at)
WHERE held_until IS NULL AND unroutable_since IS NULL";
const PERSONAL: &str = "
CREATE INDEX angarium_outbox_personal ON angarium_outbox (person_id) WHERE person_id IS NOT NULL";

// `position` is in the order of the publishing commits.
const HISTORY: &str = "
CREATE TABLE angarium_outbox_history (
    position          {sequence},
    sequence          bigint  NOT NULL,
    event_id          {uuid}  NOT NULL,
    exchange          text    NOT NULL,
    routing_key       text    NOT NULL,
    may_be_unrouted   boolean NOT NULL,
    event_type        text    NOT NULL,
    aggregate_type    text    NOT NULL,
    aggregate_id      text    NOT NULL,
    aggregate_version bigint  NOT NULL,
    payload           {bytes} NOT NULL,
    person_id         text,
    correlation_id    text    NOT NULL,
    causation_id      {uuid},
    traceparent       text,
    tracestate        text,
    baggage           text,
    created_at        {time}  NOT NULL,
    attempts          integer NOT NULL DEFAULT 0,
    published_at      {time}  NOT NULL,
    erased_at         {time},
    CONSTRAINT angarium_outbox_history_version UNIQUE (aggregate_type, aggregate_id, aggregate_version)
)";
const PERSONAL_HISTORY: &str = "
CREATE INDEX angarium_outbox_history_personal ON angarium_outbox_history (person_id)
WHERE person_id IS NOT NULL AND erased_at IS NULL";

// One row. It is locked while rows move to the history.
const RELAY_LEASE: &str = "
CREATE TABLE angarium_relay_lease (
    name       text   PRIMARY KEY,
    holder     text   NOT NULL,
    expires_at {time} NOT NULL
)";
const NO_HOLDER: &str =
    "INSERT INTO angarium_relay_lease (name, holder, expires_at) VALUES ('relay', '', 'epoch')";
const NO_HOLDER_ON_SQLITE: &str =
    "INSERT INTO angarium_relay_lease (name, holder, expires_at) VALUES ('relay', '', 0)";

// For people to search.
const EVENTS: &str = "
CREATE VIEW angarium_events AS
SELECT sequence, NULL AS position, event_id, event_type, aggregate_type, aggregate_id, aggregate_version,
       CASE WHEN held_until IS NOT NULL THEN 'timer' WHEN unroutable_since IS NOT NULL THEN 'unroutable'
            WHEN set_aside_at IS NOT NULL THEN 'refused' ELSE 'pending' END AS state,
       correlation_id, causation_id, created_at, held_until, due_at, NULL AS published_at, attempts, last_error
FROM angarium_outbox
UNION ALL
SELECT sequence, position, event_id, event_type, aggregate_type, aggregate_id, aggregate_version, 'published',
       correlation_id, causation_id, created_at, NULL, NULL, published_at, attempts, NULL
FROM angarium_outbox_history";

// After the insert, it reads the history at that time. A check inside the INSERT would miss a row that is just moving.
const GUARD: &str = "
CREATE FUNCTION angarium_refuse_used_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM angarium_outbox_history AS past
               WHERE past.aggregate_type = NEW.aggregate_type AND past.aggregate_id = NEW.aggregate_id
                 AND past.aggregate_version = NEW.aggregate_version) THEN
        RAISE unique_violation USING
            MESSAGE = format('version %s of %s %s was published before',
                             NEW.aggregate_version, NEW.aggregate_type, NEW.aggregate_id),
            TABLE = 'angarium_outbox_history', CONSTRAINT = 'angarium_outbox_history_version';
    END IF;
    RETURN NULL;
END $$";
const GUARD_TRIGGER: &str = "
CREATE TRIGGER angarium_outbox_used_version AFTER INSERT ON angarium_outbox
FOR EACH ROW EXECUTE FUNCTION angarium_refuse_used_version()";
const GUARD_ON_SQLITE: &str = "
CREATE TRIGGER angarium_outbox_used_version BEFORE INSERT ON angarium_outbox
WHEN EXISTS (SELECT 1 FROM angarium_outbox_history AS past
             WHERE past.aggregate_type = NEW.aggregate_type AND past.aggregate_id = NEW.aggregate_id
               AND past.aggregate_version = NEW.aggregate_version)
BEGIN
    SELECT RAISE(ABORT, 'this version of the aggregate was published before');
END";

// A queue: nearly all rows are dead at any time, so vacuum goes by number, not by share. Truncation would lock a table
// that grows again immediately.
const VACUUM_OUTBOX: &str = "
ALTER TABLE angarium_outbox SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000, vacuum_truncate = false)";
// It grows at its end and shrinks at its start, by the rows of the retention.
const VACUUM_HISTORY: &str = "
ALTER TABLE angarium_outbox_history SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05, vacuum_truncate = false)";
const VACUUM_LEASE: &str = "
ALTER TABLE angarium_relay_lease SET (
    fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, vacuum_truncate = false)";
