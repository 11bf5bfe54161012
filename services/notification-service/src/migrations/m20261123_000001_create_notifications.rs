//! Recipients, and the mails to them.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const RECIPIENT: &str = "
CREATE TABLE recipient (
    user_id      text   PRIMARY KEY,
    email        text   NOT NULL,
    display_name text   NOT NULL,
    user_version bigint NOT NULL
)";

// `due_at_ms` is when a pending mail is to be taken up; while it is being sent, the end of the lease on it.
// `attempt_began_at_ms` is there while the outcome of an attempt is not known: during the attempt, and after a crash in it.
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
    correlation_id      text    NOT NULL,
    traceparent         text,
    tracestate          text,
    attempts            integer NOT NULL,
    repeats             integer NOT NULL,
    failure             text,
    created_at_ms       bigint  NOT NULL,
    due_at_ms           bigint  NOT NULL,
    attempt_began_at_ms bigint,
    sent_at_ms          bigint,
    failed_at_ms        bigint,
    UNIQUE (event_id, user_id)
)";
const BY_USER: &str =
    "CREATE INDEX notification_by_user ON notification (user_id, notification_id)";
// Partial, so that it holds what is pending and not what ever was.
const DUE: &str =
    "CREATE INDEX notification_due ON notification (due_at_ms) WHERE state = 'pending'";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in [RECIPIENT, NOTIFICATION, BY_USER, DUE] {
            manager
                .get_connection()
                .execute_unprepared(statement)
                .await?;
        }
        Ok(())
    }
}
