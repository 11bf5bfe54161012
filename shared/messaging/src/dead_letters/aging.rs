//! Discards dead letters that exceed their retention, and those without their personal data.
//!
//! Each is a decision like an operator's: recorded, in its turn, and waiting events follow. By default dead letters do
//! not age, because a discarded event never has its effect.

use std::time::Duration;

use opentelemetry::{KeyValue, global};
use sea_orm::{DbErr, Value};
use store::sql;
use tokio_util::sync::CancellationToken;

use super::{BATCH, DeadLetters};
use crate::retry::millis;

const ACTOR: &str = "retention";

const ERASED: &str = "its personal data was erased with its user";

// An event fails after its arrival, so the index on the arrival finds all that are old enough.
pub(crate) const AGED: &str = "
SELECT {text event_id} AS event_id FROM angarium_inbox
WHERE consumer = $1 AND state IN ('dead', 'skipped') AND state = 'dead' AND received_at < {time - $2}
  AND coalesce(last_failed_at, received_at) < {time - $2}
ORDER BY received_at, event_id LIMIT $3";

// Erased while held, and rejected by its handler afterwards.
pub(crate) const REJECTED: &str = "
SELECT {text event_id} AS event_id FROM angarium_inbox
WHERE consumer = $1 AND state IN ('dead', 'skipped') AND state = 'dead' AND erased_at IS NOT NULL
ORDER BY received_at, event_id LIMIT $2";

impl DeadLetters {
    pub(crate) async fn discard_old(
        &self,
        age: Option<Duration>,
        stop: &CancellationToken,
    ) -> Result<(), DbErr> {
        let consumer = || Value::from(self.consumer.as_str());
        let rejected = vec![consumer(), BATCH.into()];
        self.discard_each("erasure", ERASED, REJECTED, rejected, stop)
            .await?;
        let Some(age) = age else {
            return Ok(());
        };
        let reason = format!(
            "it was dead for longer than DEAD_LETTER_RETENTION ({})",
            humantime::format_duration(age)
        );
        let aged = vec![consumer(), millis(age).into(), BATCH.into()];
        self.discard_each("age", &reason, AGED, aged, stop).await
    }

    async fn discard_each(
        &self,
        why: &'static str,
        reason: &str,
        query: &str,
        values: Vec<Value>,
        stop: &CancellationToken,
    ) -> Result<(), DbErr> {
        let mut discarded = 1;
        while discarded > 0 && !stop.is_cancelled() {
            discarded = 0;
            let db = self.store.connection();
            for row in sql::query_all(db, query, values.clone()).await? {
                let event_id: String = row.try_get("", "event_id")?;
                if self.discard(&event_id, ACTOR, reason).await? {
                    let consumer = &self.consumer;
                    tracing::warn!(
                        consumer,
                        event.id = event_id,
                        reason,
                        "a dead letter was discarded"
                    );
                    discarded += 1;
                }
            }
            count(why, discarded);
        }
        Ok(())
    }
}

pub(crate) fn count(why: &'static str, discarded: u64) {
    if discarded == 0 {
        return;
    }
    global::meter("messaging")
        .u64_counter("angarium.dead_letters.discarded")
        .with_unit("{event}")
        .with_description("Dead letters discarded by age or with a user's data, not by an operator")
        .build()
        .add(discarded, &[KeyValue::new("angarium.discard.cause", why)]);
}
