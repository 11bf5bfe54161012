//! Recipients, their mails, and their mail preferences.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

// `settled_at_ms`: the end of the work of a user's deletion; `correlation_id`: that of the deletion.
const RECIPIENT: &str = "
CREATE TABLE recipient (
    user_id           text   PRIMARY KEY,
    email             text   NOT NULL,
    display_name      text   NOT NULL,
    user_version      bigint NOT NULL,
    erased_at_ms      bigint,
    settled_at_ms     bigint,
    correlation_id    text,
    deletion_event_id text
)";

const UNSETTLED: &str = "
CREATE INDEX recipient_unsettled ON recipient (erased_at_ms) WHERE erased_at_ms IS NOT NULL AND settled_at_ms IS NULL";

// `due_at_ms`: during an attempt, the end of its lease. `attempt_began_at_ms`: set while the outcome of an attempt is
// unknown, also after a crash.
const NOTIFICATION: &str = "
CREATE TABLE notification (
    notification_id     text    PRIMARY KEY,
    event_id            text    NOT NULL,
    user_id             text    NOT NULL,
    kind                text    NOT NULL,
    state               text    NOT NULL,
    email               text    NOT NULL,
    display_name        text    NOT NULL,
    subject             text    NOT NULL,
    body_text           text    NOT NULL,
    body_html           text    NOT NULL,
    sealed_code         {bytes},
    code_expires_at_ms  bigint,
    original_id         text,
    correlation_id      text    NOT NULL,
    traceparent         text,
    tracestate          text,
    baggage             text,
    attempts            integer NOT NULL,
    repeats             integer NOT NULL,
    failure             text,
    created_at_ms       bigint  NOT NULL,
    due_at_ms           bigint  NOT NULL,
    attempt_began_at_ms bigint,
    sent_at_ms          bigint,
    failed_at_ms        bigint
)";
// One mail per event and user; copies have the same event.
const ONE_OF_EVENT: &str = "
CREATE UNIQUE INDEX notification_one_of_event ON notification (event_id, user_id) WHERE original_id IS NULL";
const COPIES: &str =
    "CREATE INDEX notification_copies ON notification (original_id) WHERE original_id IS NOT NULL";
const BY_USER: &str =
    "CREATE INDEX notification_by_user ON notification (user_id, notification_id)";
// Only pending mails.
const DUE: &str =
    "CREATE INDEX notification_due ON notification (due_at_ms) WHERE state = 'pending'";

const PREFERENCE: &str = "
CREATE TABLE preference (
    user_id         text    PRIMARY KEY,
    order_placed    boolean NOT NULL,
    order_confirmed boolean NOT NULL,
    order_shipped   boolean NOT NULL,
    order_cancelled boolean NOT NULL,
    version         bigint  NOT NULL,
    updated_at_ms   bigint
)";

// For people; no bodies and no codes.
const READABLE_RECIPIENT: &str = "
CREATE VIEW readable_recipient AS
SELECT user_id, email, display_name, user_version, {readable erased_at_ms} AS erased_at,
       {readable settled_at_ms} AS settled_at, correlation_id
FROM recipient";
const READABLE_NOTIFICATION: &str = "
CREATE VIEW readable_notification AS
SELECT notification_id, event_id, user_id, kind, state, email, subject, original_id, correlation_id, attempts, repeats,
       failure, {readable created_at_ms} AS created_at, {readable due_at_ms} AS due_at,
       {readable attempt_began_at_ms} AS attempt_began_at, {readable sent_at_ms} AS sent_at,
       {readable failed_at_ms} AS failed_at
FROM notification";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = [
            RECIPIENT,
            UNSETTLED,
            NOTIFICATION,
            ONE_OF_EVENT,
            COPIES,
            BY_USER,
            DUE,
            PREFERENCE,
            READABLE_RECIPIENT,
            READABLE_NOTIFICATION,
        ];
        ::store::create(manager, &statements).await
    }
}
