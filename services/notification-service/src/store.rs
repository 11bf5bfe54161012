//! The tables `recipient` and `notification`, and the queries on them; [`pending`] has those of the mailer.
//!
//! Plain functions over a connection or a transaction, so that what is committed together is visible where it is committed.

use runtime::Page;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::error::Error;
use crate::notification::{Kind, Letter, Notification, Recipient, State};

pub mod notification;
pub mod pending;
pub mod recipient;

/// From now on this user can be written to. A row that is there shows a later version.
pub async fn insert_recipient(
    db: &impl ConnectionTrait,
    recipient: &Recipient,
    user_version: i64,
) -> Result<(), DbErr> {
    let row = recipient::Model {
        user_id: recipient.user_id.to_string(),
        email: recipient.email.clone(),
        display_name: recipient.display_name.clone(),
        user_version,
    };
    recipient::Entity::insert(row.into_active_model())
        .on_conflict(
            OnConflict::column(recipient::Column::UserId)
                .do_nothing()
                .to_owned(),
        )
        .exec_without_returning(db)
        .await?;
    Ok(())
}

/// The user that an event names.
pub async fn recipient(db: &impl ConnectionTrait, user_id: &str) -> Result<Recipient, Error> {
    let user_id = Uuid::parse_str(user_id).map_err(|_| Error::NotAUser)?;
    let row = recipient::Entity::find_by_id(user_id.to_string())
        .one(db)
        .await?
        .ok_or(Error::RecipientUnknown(user_id))?;
    Ok(Recipient {
        user_id,
        email: row.email,
        display_name: row.display_name,
    })
}

/// Writes a mail that is to be sent at once. Where the event has one to this user already, that one stays.
pub async fn insert_letter(db: &impl ConnectionTrait, letter: &Letter) -> Result<(), DbErr> {
    let row = notification::Model {
        notification_id: letter.id.to_string(),
        event_id: letter.event_id.to_string(),
        user_id: letter.user_id.to_string(),
        kind: kind_name(letter.kind).to_owned(),
        state: state_name(State::Pending).to_owned(),
        email: letter.email.clone(),
        display_name: letter.display_name.clone(),
        subject: letter.subject.clone(),
        body_text: letter.text.clone(),
        body_html: letter.html.clone(),
        correlation_id: letter.correlation_id.clone(),
        traceparent: letter.trace.traceparent.clone(),
        tracestate: letter.trace.tracestate.clone(),
        attempts: 0,
        repeats: 0,
        failure: None,
        created_at_ms: letter.created_at_ms,
        due_at_ms: letter.created_at_ms,
        attempt_began_at_ms: None,
        sent_at_ms: None,
        failed_at_ms: None,
    };
    let unique = [notification::Column::EventId, notification::Column::UserId];
    notification::Entity::insert(row.into_active_model())
        .on_conflict(OnConflict::columns(unique).do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(())
}

/// The notifications of a page, newest first: those of `user_id`, where it is given.
pub async fn list(
    db: &impl ConnectionTrait,
    user_id: Option<Uuid>,
    page: &Page,
) -> Result<Vec<Notification>, DbErr> {
    use notification::Column;
    let mut rows = notification::Entity::find()
        .select_only()
        // Not the bodies: a page of them would not fit into an answer's memory, and nobody asked.
        .columns([
            Column::NotificationId,
            Column::EventId,
            Column::UserId,
            Column::Kind,
            Column::State,
            Column::Email,
            Column::Subject,
            Column::Failure,
            Column::CreatedAtMs,
            Column::SentAtMs,
        ])
        .order_by_desc(Column::NotificationId)
        .limit(page.limit());
    if let Some(user_id) = user_id {
        rows = rows.filter(Column::UserId.eq(user_id.to_string()));
    }
    if let Some(before) = page.before {
        rows = rows.filter(Column::NotificationId.lt(before.to_string()));
    }
    let rows = rows.into_model::<Listed>().all(db).await?;
    rows.into_iter().map(listed).collect()
}

#[derive(FromQueryResult)]
struct Listed {
    notification_id: String,
    event_id: String,
    user_id: String,
    kind: String,
    state: String,
    email: String,
    subject: String,
    failure: Option<String>,
    created_at_ms: i64,
    sent_at_ms: Option<i64>,
}

fn listed(row: Listed) -> Result<Notification, DbErr> {
    Ok(Notification {
        id: stored_id(&row.notification_id)?,
        user_id: stored_id(&row.user_id)?,
        kind: stored_kind(&row.kind)?,
        state: stored_state(&row.state)?,
        email: row.email,
        subject: row.subject,
        event_id: stored_id(&row.event_id)?,
        created_at_ms: row.created_at_ms,
        sent_at_ms: row.sent_at_ms,
        failure: row.failure.unwrap_or_default(),
    })
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Welcome => "welcome",
        Kind::OrderPlaced => "order_placed",
        Kind::OrderCancelled => "order_cancelled",
    }
}

fn stored_kind(name: &str) -> Result<Kind, DbErr> {
    match name {
        "welcome" => Ok(Kind::Welcome),
        "order_placed" => Ok(Kind::OrderPlaced),
        "order_cancelled" => Ok(Kind::OrderCancelled),
        _ => Err(unreadable("notification.kind")),
    }
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Sent => "sent",
        State::Failed => "failed",
    }
}

fn stored_state(name: &str) -> Result<State, DbErr> {
    match name {
        "pending" => Ok(State::Pending),
        "sent" => Ok(State::Sent),
        "failed" => Ok(State::Failed),
        _ => Err(unreadable("notification.state")),
    }
}

fn stored_id(text: &str) -> Result<Uuid, DbErr> {
    Uuid::parse_str(text).map_err(|_| unreadable("an id"))
}

fn unreadable(column: &str) -> DbErr {
    DbErr::Type(format!("{column} holds what this release never writes"))
}
