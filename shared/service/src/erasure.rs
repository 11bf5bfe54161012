//! Connects the personal data of the contracts with the inbox, which knows no event types. A new event with a sensitive
//! field needs no change here.

use contracts::{EVENTS, EventInfo};
use messaging::{EraseError, PersonalData, Store, Transaction, outbox};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// No code raises it: the regular check for due work finds late dead letters.
const SIGNAL: &str = "erasure";

/// Erases the personal data of a user from some of the events that the service stores: held, dead and published ones.
/// Returns whether there may be more.
///
/// # Errors
/// If a consumer is handling one of the events, or the database refuses.
pub(crate) async fn erase_some(
    transaction: &Transaction,
    user_id: Uuid,
) -> Result<bool, EraseError> {
    let user_id = user_id.to_string();
    if messaging::erase_held(transaction, &user_id, &personal_data()).await? {
        return Ok(true);
    }
    outbox::erase(transaction, &user_id).await?;
    Ok(false)
}

/// Until `stop`, erases dead letters that arrive after their user was erased.
pub(crate) async fn erase_late(store: Store, stop: CancellationToken) {
    let wakeup = store.wakeup(SIGNAL, messaging::late_due_in_ms(&personal_data()));
    let erasing = || async {
        let transaction = store.begin().await?;
        let is_more = messaging::erase_late(&transaction, &personal_data()).await?;
        transaction.commit().await.map(|()| is_more)
    };
    let failed = |error: DbErr| tracing::warn!(%error, "personal data in dead letters cannot be erased, trying again");
    wakeup.work(&stop, erasing, failed).await;
}

fn personal_data() -> PersonalData {
    let personal = EVENTS.iter().filter(|info| info.person_id_field.is_some());
    PersonalData {
        types: personal.map(|info| info.type_name).collect(),
        person,
        blanked: |event_type, body| (info(event_type)?.blanked)(body).ok(),
    }
}

fn person(event_type: &str, body: &[u8], aggregate_id: Option<&str>) -> Option<String> {
    let info = info(event_type)?;
    if let Ok(person) = (info.person_id)(body) {
        return person;
    }
    let is_aggregate = info.person_id_field == Some(info.aggregate_id_field);
    aggregate_id.filter(|_| is_aggregate).map(str::to_owned)
}

fn info(event_type: &str) -> Option<&'static EventInfo> {
    EVENTS.iter().find(|info| info.type_name == event_type)
}
