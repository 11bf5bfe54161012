//! Writes the mail of an event, if the user has an account, in the transaction of the event.
//!
//! The recipient is locked meanwhile: a concurrent deletion of the account either comes first, or comes later and
//! erases this mail, too.

use messaging::{Delivered, HandlerError, Received, Transaction, trace};
use sea_orm::DbErr;
use uuid::Uuid;

use crate::error::Error;
use crate::kinds::MailEvent;
use crate::mailer;
use crate::notification::{Letter, Recipient, SealedCode};
use crate::store::{self, recipients};
use crate::templates::one_line;

/// Writes the mail of `event`, if the user has an account. An unwanted mail is kept as *suppressed* and not sent.
///
/// # Errors
/// *Retry* if the user is still unknown, *reject* if the id is invalid.
pub async fn mail<E: MailEvent>(
    transaction: &Transaction,
    event: &E,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let user_id = parse(event.user_id())?;
    let known = recipients::find_all_with_preferences(transaction, &[user_id]).await?;
    let (recipient, wanted) = known
        .get(&user_id)
        .ok_or(Error::RecipientUnknown(user_id))?;
    let Some(recipient) = recipient else {
        return Ok(());
    };
    let letter = Letter {
        suppressed: !wanted.includes(E::KIND),
        ..letter(recipient, event, None, delivered)?
    };
    write(transaction, &[letter]).await?;
    Ok(())
}

/// As [`mail`], for several events in one statement.
///
/// # Errors
/// *Retry* if one of the users is still unknown, *reject* if an id is invalid.
pub async fn mails<E: MailEvent>(
    transaction: &Transaction,
    events: Vec<Received<'_, E>>,
) -> Result<(), HandlerError> {
    let ids = events.iter().map(|it| parse(it.event.user_id()));
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
        let letter = || letter(recipient, &received.event, None, received.delivered);
        letters.push(Letter {
            suppressed: !wanted.includes(E::KIND),
            ..received.in_scope(letter)?
        });
    }
    write(transaction, &letters).await?;
    Ok(())
}

/// To the address that the code was made for.
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
    // If this event comes before `user.created`, its data counts until then.
    recipients::learn(db, &recipient, recipients::NO_EVENT).await?;
    if recipients::find(db, user_id).await?.is_none() {
        return Ok(());
    }
    enqueue(transaction, &recipient, event, Some(code), delivered).await?;
    Ok(())
}

/// The mail is sent after the commit of `transaction`.
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
    write(transaction, &[letter]).await?;
    Ok(())
}

async fn write(transaction: &Transaction, letters: &[Letter]) -> Result<(), DbErr> {
    if !letters.is_empty() {
        store::insert_letters(transaction, letters).await?;
    }
    if letters.iter().any(|letter| !letter.suppressed) {
        mailer::wake(transaction);
    }
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
        order_id: order_id(event),
        suppressed: false,
        created_at_ms: delivered.now_ms,
        correlation_id: delivered.envelope.correlation_id.clone(),
        trace: trace::current(),
    })
}

fn order_id<E: MailEvent>(event: &E) -> Option<Uuid> {
    let is_about_an_order = E::AGGREGATE == "order";
    is_about_an_order
        .then(|| Uuid::parse_str(event.aggregate_id()).ok())
        .flatten()
}

/// # Errors
/// *Reject*: a retry would fail, too.
pub fn parse(user_id: &str) -> Result<Uuid, Error> {
    Uuid::parse_str(user_id).map_err(|_| Error::NotAUser)
}
