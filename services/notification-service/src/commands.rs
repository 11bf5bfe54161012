//! The commands: each is one transaction with the change and the stored answer for repeated calls.

use contracts::notification::v1::Preferences as PreferencesMessage;
use messaging::{Cause, trace};
use prost::Message as _;
use runtime::idempotency::Call;
use runtime::{FieldMask, etag};
use sea_orm::{ConnectionTrait, DbErr};
use service::{Begun, CommandStore};
use uuid::Uuid;

use crate::error::{Error, NotResendable};
use crate::notification::{Letter, Notification, State};
use crate::preferences::{Given, Preferences};
use crate::store::{copies, preferences, recipients};
use crate::{convert, mailer, store};

/// Enough for a user who lost it, too few to fill a mailbox.
const MOST_COPIES: u64 = 5;

#[derive(Clone)]
pub struct Commands {
    store: CommandStore,
}

impl Commands {
    pub fn new(store: CommandStore) -> Self {
        Self { store }
    }

    /// Sends a copy with its own state. The original must belong to `owner`, if given.
    pub async fn resend(
        &self,
        id: Uuid,
        owner: Option<Uuid>,
        call: Option<&Call>,
        cause: &Cause,
    ) -> Result<Notification, Error> {
        let command = match self.store.begin(call).await? {
            Begun::Replay(first) => return copy(self.store.connection(), &first, owner).await,
            Begun::Fresh(command) => command,
        };
        let db = &*command;
        let named = store::find(db, id, owner).await?;
        let named = named.ok_or_else(|| Error::no_notification(id, owner))?;
        let refused = |why| Err(Error::NotResendable { id, why });
        if named.kind.row().code.is_some() {
            return refused(NotResendable::HoldsCode);
        }
        // The recipient before the mails, as in a deletion.
        let Some(recipient) = recipients::find(db, named.user_id).await? else {
            return refused(NotResendable::Erased);
        };
        // The original, even if the request names a copy: it counts the copies.
        let original = copies::lock(db, named.original_id.unwrap_or(named.id)).await?;
        let (original, state) = original.ok_or_else(|| Error::no_notification(id, owner))?;
        if state == State::Pending || copies::any_pending(db, original.id).await? {
            return refused(NotResendable::Pending);
        }
        if copies::count(db, original.id).await? >= MOST_COPIES {
            return refused(NotResendable::CopiedTooOften);
        }

        let letter = Letter {
            id: Uuid::now_v7(),
            email: recipient.email,
            original_id: Some(original.id),
            // The caller wants this one.
            suppressed: false,
            created_at_ms: ::store::now_ms(db).await?,
            correlation_id: cause.correlation_id.clone(),
            trace: trace::current(),
            ..original
        };
        store::insert_letter(db, &letter).await?;
        mailer::wake(&command);
        let copy = store::find(db, letter.id, owner).await?;
        let copy = copy.ok_or_else(|| Error::no_notification(letter.id, owner))?;
        // Only the id: personal data stays in one place, where it can be erased.
        command.commit_with(letter.id.as_bytes().to_vec()).await?;
        Ok(copy)
    }

    /// Another user's (`is_own` is false, the caller is an admin) only if that user is known.
    pub async fn preferences(&self, user_id: Uuid, is_own: bool) -> Result<Preferences, Error> {
        let db = self.store.connection();
        must_be_there(recipients::find(db, user_id).await, user_id, is_own)?;
        Ok(preferences::find(db, user_id).await?)
    }

    /// Applies the fields of `given` that `mask` selects, if `etag` is current.
    pub async fn update_preferences(
        &self,
        (user_id, is_own): (Uuid, bool),
        (given, mask): (&Given, &FieldMask),
        etag: &str,
        call: Option<&Call>,
    ) -> Result<PreferencesMessage, Error> {
        let command = match self.store.begin(call).await? {
            Begun::Replay(first) => {
                return PreferencesMessage::decode(first.as_slice()).map_err(|_| {
                    DbErr::Type("idempotency.response does not contain preferences".to_owned())
                        .into()
                });
            }
            Begun::Fresh(command) => command,
        };
        let db = &*command;
        must_be_there(recipients::find(db, user_id).await, user_id, is_own)?;
        let mut preferences = preferences::lock(db, user_id).await?;
        etag::check(etag, preferences.version)?;
        preferences.change(given, mask, ::store::now_ms(db).await?);
        preferences::update(db, &preferences).await?;
        let answer = convert::preferences(&preferences);
        command.commit_with(answer.encode_to_vec()).await?;
        Ok(answer)
    }
}

/// Callers themselves exist, although their event may still be on its way.
fn must_be_there<T>(
    found: Result<Option<T>, Error>,
    user_id: Uuid,
    is_own: bool,
) -> Result<(), Error> {
    match found {
        Ok(Some(_)) => Ok(()),
        Err(Error::RecipientUnknown(_)) if is_own => Ok(()),
        Ok(None) if is_own => Err(Error::PermissionDenied),
        Ok(None) => Err(Error::RecipientUnknown(user_id)),
        Err(error) => Err(error),
    }
}

async fn copy(
    db: &impl ConnectionTrait,
    first: &[u8],
    owner: Option<Uuid>,
) -> Result<Notification, Error> {
    let id = Uuid::from_slice(first).map_err(|_| {
        DbErr::Type("idempotency.response is not the id of a notification".to_owned())
    })?;
    let copy = store::find(db, id, owner).await?;
    copy.ok_or_else(|| Error::no_notification(id, owner))
}
