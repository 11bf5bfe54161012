//! The table `notification` and its queries. [`pending`] and [`ended`] have the mailer's queries, [`recipients`] and
//! [`preferences`] the other tables.
//!
//! Plain functions over a connection or a transaction: a command shows what it commits together.

use runtime::Page;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};
use service::{stored_id, unreadable};
use uuid::Uuid;

use crate::kinds::Kind;
use crate::notification::{Letter, Notification, State};

pub mod copies;
pub mod ended;
pub mod erasure;
pub mod notification;
pub mod pending;
pub mod preference;
pub mod preferences;
pub mod recipient;
pub mod recipients;

/// Of a suppressed mail.
const SUPPRESSED: &str = "the user wants no such mails";

/// Due now, unless it is suppressed. An existing mail of the event to this user stays.
pub async fn insert_letter(db: &impl ConnectionTrait, letter: &Letter) -> Result<(), DbErr> {
    insert_letters(db, std::slice::from_ref(letter)).await
}

/// As [`insert_letter`], in one statement.
pub async fn insert_letters(db: &impl ConnectionTrait, letters: &[Letter]) -> Result<(), DbErr> {
    let rows = letters.iter().map(|letter| row(letter).into_active_model());
    notification::Entity::insert_many(rows)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(())
}

fn row(letter: &Letter) -> notification::Model {
    let suppressed = letter.suppressed;
    let state = if suppressed {
        State::Failed
    } else {
        State::Pending
    };
    notification::Model {
        notification_id: letter.id.to_string(),
        event_id: letter.event_id.to_string(),
        user_id: letter.user_id.to_string(),
        kind: letter.kind.name().to_owned(),
        state: state_name(state).to_owned(),
        email: letter.email.clone(),
        display_name: letter.display_name.clone(),
        subject: letter.subject.clone(),
        body_text: letter.text.clone(),
        body_html: letter.html.clone(),
        sealed_code: letter.code.as_ref().map(|code| code.sealed.clone()),
        code_expires_at_ms: letter.code.as_ref().map(|code| code.expires_at_ms),
        original_id: letter.original_id.map(|id| id.to_string()),
        order_id: letter.order_id.map(|id| id.to_string()),
        suppressed,
        correlation_id: letter.correlation_id.clone(),
        traceparent: letter.trace.traceparent.clone(),
        tracestate: letter.trace.tracestate.clone(),
        baggage: letter.trace.baggage.clone(),
        attempts: 0,
        repeats: 0,
        failure: suppressed.then(|| SUPPRESSED.to_owned()),
        created_at_ms: letter.created_at_ms,
        due_at_ms: letter.created_at_ms,
        attempt_began_at_ms: None,
        sent_at_ms: None,
        failed_at_ms: suppressed.then_some(letter.created_at_ms),
    }
}

/// Any notification without `owner`.
pub async fn find(
    db: &impl ConnectionTrait,
    id: Uuid,
    owner: Option<Uuid>,
) -> Result<Option<Notification>, DbErr> {
    let row = shown(owner).filter(notification::Column::NotificationId.eq(id.to_string()));
    let row = row.into_model::<Listed>().one(db).await?;
    row.map(listed).transpose()
}

/// Newest first.
pub async fn list(
    db: &impl ConnectionTrait,
    owner: Option<Uuid>,
    order_id: Option<Uuid>,
    page: &Page,
) -> Result<Vec<Notification>, DbErr> {
    let mut rows = shown(owner)
        .order_by_desc(notification::Column::NotificationId)
        .limit(page.limit());
    if let Some(before) = page.before {
        rows = rows.filter(notification::Column::NotificationId.lt(before.to_string()));
    }
    if let Some(order_id) = order_id {
        rows = rows.filter(notification::Column::OrderId.eq(order_id.to_string()));
    }
    let rows = rows.into_model::<Listed>().all(db).await?;
    rows.into_iter().map(listed).collect()
}

fn shown(owner: Option<Uuid>) -> Select<notification::Entity> {
    use notification::Column;
    let rows = notification::Entity::find()
        .select_only()
        // Without bodies: a page of them would need too much memory.
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
            Column::OriginalId,
            Column::OrderId,
            Column::Suppressed,
        ]);
    match owner {
        Some(owner) => rows.filter(Column::UserId.eq(owner.to_string())),
        None => rows,
    }
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
    original_id: Option<String>,
    order_id: Option<String>,
    suppressed: bool,
}

fn listed(row: Listed) -> Result<Notification, DbErr> {
    Ok(Notification {
        id: stored_id(&row.notification_id)?,
        user_id: stored_id(&row.user_id)?,
        kind: stored_kind(&row.kind)?,
        state: match row.suppressed {
            true => State::Suppressed,
            false => stored_state(&row.state)?,
        },
        email: row.email,
        subject: row.subject,
        event_id: stored_id(&row.event_id)?,
        created_at_ms: row.created_at_ms,
        sent_at_ms: row.sent_at_ms,
        failure: row.failure.unwrap_or_default(),
        original_id: row.original_id.as_deref().map(stored_id).transpose()?,
        order_id: row.order_id.as_deref().map(stored_id).transpose()?,
    })
}

fn stored_kind(name: &str) -> Result<Kind, DbErr> {
    let known = Kind::all().find(|kind| kind.name() == name);
    known.ok_or_else(|| unreadable("notification.kind"))
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Sent => "sent",
        // The previous release has to read it.
        State::Failed | State::Suppressed => "failed",
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
