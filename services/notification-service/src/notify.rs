//! Writes the mail of an event, if the user has an account and wants such mails, in the transaction of the event.
//!
//! The recipient is locked meanwhile. A concurrent deletion of the account either comes first, and there is no mail, or
//! comes later and erases this mail, too.

use messaging::{Delivered, HandlerError, Received, Transaction, trace};
use uuid::Uuid;

use crate::error::Error;
use crate::kinds::MailEvent;
use crate::mailer;
use crate::notification::{Letter, Recipient, SealedCode};
use crate::store::{self, recipients};
use crate::templates::one_line;

/// Writes the mail of `event`, if the user has an account and wants it.
///
/// # Errors
/// *Retry* if the user is still unknown, *reject* if the id is invalid.
pub async fn mail<E: MailEvent>(
    transaction: &Transaction,
    event: &E,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let user_id = parse(event.user_id())?;
    let Some((recipient, wanted)) = recipients::find_with_preferences(transaction, user_id).await?
    else {
        return Ok(());
    };
    if !wanted.includes(E::KIND) {
        tracing::debug!(kind = ?E::KIND, "the user wants no such mails");
        return Ok(());
    }
    enqueue(transaction, &recipient, event, None, delivered).await?;
    Ok(())
}

/// The handler of events that only cause a mail: writes the mails in one statement. Deleted accounts get none.
///
/// # Errors
/// *Retry* if one of the users is still unknown, *reject* if an id is invalid.
pub async fn mails<E: MailEvent>(
    transaction: &Transaction,
    events: Vec<Received<'_, E>>,
) -> Result<(), HandlerError> {
    let ids = events.iter().map(|it| parse(it.event.user_id()));
    let ids: Result<Vec<Uuid>, Error> = ids.collect();
    let ids = ids?;
    let known = recipients::find_all_with_preferences(transaction, &ids).await?;
    let mut letters = Vec::with_capacity(events.len());
    for (received, user_id) in events.iter().zip(ids) {
        let (recipient, wanted) = known
            .get(&user_id)
            .ok_or(Error::RecipientUnknown(user_id))?;
        let Some(recipient) = recipient else {
            continue;
        };
        if !wanted.includes(E::KIND) {
            let kind = E::KIND;
            received.in_scope(|| tracing::debug!(?kind, "the user wants no such mails"));
            continue;
        }
        let letter = || letter(recipient, &received.event, None, received.delivered);
        letters.push(received.in_scope(letter)?);
    }
    if !letters.is_empty() {
        store::insert_letters(transaction, &letters).await?;
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
    event: &impl MailEvent,
    code: SealedCode,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let (db, user_id) = (transaction, recipient.user_id);
    // This event may arrive before `user.created`: then its data is used until that event replaces it.
    recipients::learn(db, &recipient, recipients::NO_EVENT).await?;
    if recipients::find(db, user_id).await?.is_none() {
        return Ok(());
    }
    enqueue(transaction, &recipient, event, Some(code), delivered).await?;
    Ok(())
}

/// Writes the mail of `event`, which is sent after `transaction` has committed.
///
/// # Errors
/// If a template cannot write a value, or the database refuses the row.
pub async fn enqueue(
    transaction: &Transaction,
    recipient: &Recipient,
    event: &impl MailEvent,
    code: Option<SealedCode>,
    delivered: &Delivered,
) -> Result<(), Error> {
    let letter = letter(recipient, event, code, delivered)?;
    store::insert_letter(transaction, &letter).await?;
    mailer::wake(transaction);
    Ok(())
}

fn letter<E: MailEvent>(
    recipient: &Recipient,
    event: &E,
    code: Option<SealedCode>,
    delivered: &Delivered,
) -> Result<Letter, Error> {
    let content = event.content(&recipient.display_name)?;
    Ok(Letter {
        id: Uuid::now_v7(),
        user_id: recipient.user_id,
        kind: E::KIND,
        event_id: delivered.envelope.id,
        email: recipient.email.clone(),
        display_name: one_line(&recipient.display_name),
        subject: content.subject.to_owned(),
        text: content.text,
        html: content.html,
        code,
        original_id: None,
        created_at_ms: delivered.now_ms,
        correlation_id: delivered.envelope.correlation_id.clone(),
        trace: trace::current(),
    })
}

/// Parses the user id of an event.
///
/// # Errors
/// *Reject*: a retry would fail, too.
pub fn parse(user_id: &str) -> Result<Uuid, Error> {
    Uuid::parse_str(user_id).map_err(|_| Error::NotAUser)
}
