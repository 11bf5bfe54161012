//! A new password was requested: the code goes to the address of the account.

use contracts::user::v1::PasswordResetRequested;
use messaging::{Delivered, HandlerError, Transaction};
use service::time;

use crate::notification::{Recipient, SealedCode};
use crate::notify;

pub async fn handle(
    transaction: &Transaction,
    event: PasswordResetRequested,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let recipient = Recipient {
        user_id: notify::parse(&event.user_id)?,
        email: event.email.clone(),
        display_name: event.display_name.clone(),
    };
    let code = SealedCode {
        sealed: event.sealed_code.clone(),
        expires_at_ms: time::unix_ms(event.expire_time),
    };
    notify::of_code(transaction, recipient, &event, code, delivered).await
}
