//! Writes the mail of an event, if the user has an account and wants such mails, in the transaction of the event.
//!
//! The recipient is locked meanwhile. A concurrent deletion of the account either comes first, and there is no mail, or
//! comes later and erases this mail, too.

use messaging::{Delivered, HandlerError, Received, Transaction, trace};
use sea_orm::DbErr;
use uuid::Uuid;

use crate::error::Error;
use crate::mailer;
use crate::notification::{Content, Kind, Letter, Recipient, SealedCode};
use crate::store::{self, recipients};
use crate::templates::one_line;

/// Writes the mail that `content` makes with the user's name, if the user has an account. For kinds that every user gets.
///
/// # Errors
/// *Retry* if the user is still unknown, *reject* if the id is invalid.
pub async fn user(
    transaction: &Transaction,
    user_id: &str,
    kind: Kind,
    delivered: &Delivered,
    content: impl FnOnce(&str) -> Content,
) -> Result<(), HandlerError> {
    let user_id = parse(user_id)?;
    let Some(recipient) = recipients::find(transaction, user_id).await? else {
        return Ok(());
    };
    let content = content(&recipient.display_name);
    enqueue(transaction, &recipient, kind, content, None, delivered).await?;
    Ok(())
}

/// Writes the mails that `content` makes for several events about orders, in one statement. Deleted accounts get none. A mail that
/// its user does not want is kept as *suppressed* and not sent.
///
/// # Errors
/// *Retry* if one of the users is still unknown, *reject* if an id is invalid.
pub async fn about_orders<E>(
    transaction: &Transaction,
    events: &[Received<'_, E>],
    kind: Kind,
    order_and_user: impl Fn(&E) -> (&str, &str),
    content: impl Fn(&str, &E) -> Content,
) -> Result<(), HandlerError> {
    let ids = events.iter().map(|it| parse(order_and_user(&it.event).1));
    let ids: Vec<Uuid> = ids.collect::<Result<_, Error>>()?;
    let known = recipients::find_all_with_preferences(transaction, &ids).await?;
    let mut letters = Vec::with_capacity(events.len());
    for (received, user_id) in events.iter().zip(ids) {
        let (recipient, wanted) = known
            .get(&user_id)
            .ok_or(Error::RecipientUnknown(user_id))?;
        let Some(recipient) = recipient else {
            continue;
        };
        let content = content(&recipient.display_name, &received.event);
        let (order_id, _) = order_and_user(&received.event);
        letters.push(received.in_scope(|| Letter {
            order_id: Uuid::parse_str(order_id).ok(),
            suppressed: !wanted.includes(kind),
            ..letter(recipient, kind, content, None, received.delivered)
        }));
    }
    if !letters.is_empty() {
        store::insert_letters(transaction, &letters).await?;
    }
    if letters.iter().any(|letter| !letter.suppressed) {
        mailer::wake(transaction);
    }
    Ok(())
}

/// Writes a mail with a code, to the address that the code was made for.
///
/// # Errors
/// *Reject* if the id is invalid.
pub async fn of_code(
    transaction: &Transaction,
    recipient: Recipient,
    kind: Kind,
    code: SealedCode,
    delivered: &Delivered,
    content: impl FnOnce(&str) -> Content,
) -> Result<(), HandlerError> {
    let (db, user_id) = (transaction, recipient.user_id);
    // This event may arrive before `user.created`: then its data is used until that event replaces it.
    recipients::learn(db, &recipient, recipients::NO_EVENT).await?;
    if recipients::find(db, user_id).await?.is_none() {
        return Ok(());
    }
    let content = content(&recipient.display_name);
    let code = Some(code);
    enqueue(transaction, &recipient, kind, content, code, delivered).await?;
    Ok(())
}

/// Writes a mail, which is sent after `transaction` has committed.
///
/// # Errors
/// If the database refuses the row.
pub async fn enqueue(
    transaction: &Transaction,
    recipient: &Recipient,
    kind: Kind,
    content: Content,
    code: Option<SealedCode>,
    delivered: &Delivered,
) -> Result<(), DbErr> {
    let letter = letter(recipient, kind, content, code, delivered);
    store::insert_letter(transaction, &letter).await?;
    mailer::wake(transaction);
    Ok(())
}

fn letter(
    recipient: &Recipient,
    kind: Kind,
    content: Content,
    code: Option<SealedCode>,
    delivered: &Delivered,
) -> Letter {
    Letter {
        id: Uuid::now_v7(),
        user_id: recipient.user_id,
        kind,
        event_id: delivered.envelope.id,
        email: recipient.email.clone(),
        display_name: one_line(&recipient.display_name),
        subject: content.subject.to_owned(),
        text: content.text,
        html: content.html,
        code,
        original_id: None,
        order_id: None,
        suppressed: false,
        created_at_ms: delivered.now_ms,
        correlation_id: delivered.envelope.correlation_id.clone(),
        trace: trace::current(),
    }
}

/// Parses the user id of an event.
///
/// # Errors
/// *Reject*: a retry would fail, too.
pub fn parse(user_id: &str) -> Result<Uuid, Error> {
    Uuid::parse_str(user_id).map_err(|_| Error::NotAUser)
}
