//! The inbox: the events that each consumer has seen and holds, and its progress in each aggregate.

pub(super) const TABLES: &[&str] = &[
    INBOX,
    DUE,
    SUSPECT,
    UNSETTLED,
    GIVEN_UP,
    SETTLED,
    BY_CORRELATION,
    POSITION,
    DECISION,
    DECISION_OF,
    DECIDED,
];

// The message is kept only until the event is settled. `begun` counts the attempts since the last one that ended: an
// event that kills its process leaves nothing else.
const INBOX: &str = "
CREATE TABLE angarium_inbox (
    consumer          text    NOT NULL,
    event_id          {uuid}  NOT NULL,
    state             text    NOT NULL CHECK (state IN ('done', 'waiting', 'deferred', 'dead', 'skipped', 'discarded')),
    event_type        text,
    aggregate_type    text,
    aggregate_id      text,
    aggregate_version bigint,
    source            text,
    correlation_id    text,
    trace_id          text,
    received_at       {time}  NOT NULL,
    settled_at        {time},
    due_at            {time},
    attempts          integer NOT NULL DEFAULT 0,
    begun             integer NOT NULL DEFAULT 0,
    replays           integer NOT NULL DEFAULT 0,
    first_failed_at   {time},
    last_failed_at    {time},
    cause             text,
    fingerprint       text,
    replayed_at       {time},
    exchange          text,
    routing_key       text,
    properties        text,
    body              {bytes},
    PRIMARY KEY (consumer, event_id)
)";

// Partial: only held events.
const DUE: &str =
    "CREATE INDEX angarium_inbox_due ON angarium_inbox (consumer, due_at) WHERE due_at IS NOT NULL";
// A consumer queries it before each held event, and would otherwise read all due events.
const SUSPECT: &str =
    "CREATE INDEX angarium_inbox_suspect ON angarium_inbox (consumer, due_at) WHERE begun > 0";
const UNSETTLED: &str = "
CREATE INDEX angarium_inbox_unsettled ON angarium_inbox (consumer, aggregate_type, aggregate_id, aggregate_version)
WHERE state <> 'done'";
const GIVEN_UP: &str = "
CREATE INDEX angarium_inbox_given_up ON angarium_inbox (consumer, received_at, event_id)
WHERE state IN ('dead', 'skipped')";
const SETTLED: &str = "CREATE INDEX angarium_inbox_settled ON angarium_inbox (settled_at) WHERE settled_at IS NOT NULL";
// An operator has the correlation id from a call or a log line.
const BY_CORRELATION: &str =
    "CREATE INDEX angarium_inbox_by_correlation ON angarium_inbox (correlation_id)";

const POSITION: &str = "
CREATE TABLE angarium_position (
    consumer       text   NOT NULL,
    aggregate_type text   NOT NULL,
    aggregate_id   text   NOT NULL,
    version        bigint NOT NULL,
    PRIMARY KEY (consumer, aggregate_type, aggregate_id)
)";

const DECISION: &str = "
CREATE TABLE angarium_dead_letter_decision (
    sequence   {sequence},
    consumer   text    NOT NULL,
    event_id   {uuid}  NOT NULL,
    decision   text    NOT NULL CHECK (decision IN ('replayed', 'discarded')),
    actor      text    NOT NULL,
    reason     text    NOT NULL,
    cause      text,
    attempts   integer NOT NULL,
    decided_at {time}  NOT NULL
)";
const DECISION_OF: &str = "
CREATE INDEX angarium_dead_letter_decision_of ON angarium_dead_letter_decision (consumer, event_id)";
const DECIDED: &str = "
CREATE INDEX angarium_dead_letter_decision_age ON angarium_dead_letter_decision (decided_at)";

// How long an event of an unknown type waits. Not a state, because the previous release knows only its own states.
pub(super) const UNKNOWN_TYPES: &[&str] = &[UNKNOWN_UNTIL, UNKNOWN];

const UNKNOWN_UNTIL: &str = "ALTER TABLE angarium_inbox ADD COLUMN unknown_until {time}";
const UNKNOWN: &str = "
CREATE INDEX angarium_inbox_unknown ON angarium_inbox (consumer, unknown_until) WHERE unknown_until IS NOT NULL";
