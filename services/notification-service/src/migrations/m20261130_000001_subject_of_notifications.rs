//! The order that a mail is about, and unwanted mails. The previous release does not use these columns; to it, a
//! suppressed mail is a failed one.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const ORDER: &str = "ALTER TABLE notification ADD COLUMN order_id text";
const SUPPRESSED: &str =
    "ALTER TABLE notification ADD COLUMN suppressed boolean NOT NULL DEFAULT false";
const BY_ORDER: &str = "
CREATE INDEX notification_by_order ON notification (order_id, notification_id) WHERE order_id IS NOT NULL";
const NO_VIEW: &str = "DROP VIEW readable_notification";
const VIEW: &str = "
CREATE VIEW readable_notification AS
SELECT notification_id, event_id, user_id, order_id, kind, CASE WHEN suppressed THEN 'suppressed' ELSE state END AS state, email,
       subject, original_id, correlation_id, attempts, repeats, failure, {readable created_at_ms} AS created_at,
       {readable due_at_ms} AS due_at, {readable attempt_began_at_ms} AS attempt_began_at, {readable sent_at_ms} AS sent_at,
       {readable failed_at_ms} AS failed_at
FROM notification";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = [ORDER, SUPPRESSED, BY_ORDER, NO_VIEW, VIEW];
        ::store::create(manager, &statements).await
    }
}
