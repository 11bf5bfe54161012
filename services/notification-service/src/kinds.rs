//! The table of mails: a row per kind, and the event and the templates of each.
//!
//! A new mail is a row here and its two files in `templates/` (CONTRIBUTING.md, "Add a mail").

use askama::Template;
use contracts::Event;
use contracts::notification::v1::{NotificationKind, Preferences};
use contracts::order::v1::{OrderCancelled, OrderConfirmed, OrderPlaced, OrderShipped};
use contracts::user::v1::{
    EmailVerificationRequested, PasswordResetRequested, SessionStartedAtNewPlace, UserCreated,
    UserDeleted, UserPasswordChanged, UserRoleChanged, UserUpdated,
};
use mail_codes::Purpose;
use sea_orm::{EnumIter, Iterable as _};

use crate::templates::{CODE, Content, filters, one_line};

/// A later release, before a rollback, may have written others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumIter)]
pub enum Kind {
    Welcome,
    EmailVerification,
    PasswordReset,
    OrderPlaced,
    OrderConfirmed,
    OrderShipped,
    OrderCancelled,
    AccountDeleted,
    PasswordChanged,
    /// To the address before.
    EmailChanged,
    RoleChanged,
    NewPlace,
}

pub struct Row {
    /// In the database and of its templates. It never changes.
    pub name: &'static str,
    pub proto: NotificationKind,
    /// The same for all users: subjects appear in lists and on lock screens.
    pub subject: &'static str,
    pub refusable: Option<Choice>,
    /// Of the code in the mail.
    pub code: Option<Purpose>,
}

/// The preference that refuses mails of a kind.
#[derive(Clone, Copy)]
pub struct Choice {
    /// As the field mask names it.
    pub field: &'static str,
    pub value: fn(&mut Preferences) -> &mut Option<bool>,
}

/// The welcome and mails that protect the account.
const ALWAYS_SENT: Option<Choice> = None;

fn by(field: &'static str, value: fn(&mut Preferences) -> &mut Option<bool>) -> Option<Choice> {
    Some(Choice { field, value })
}

impl Kind {
    pub fn row(self) -> Row {
        match self {
            Self::Welcome => Row {
                name: "welcome",
                proto: NotificationKind::Welcome,
                subject: "Welcome to Angarium",
                refusable: ALWAYS_SENT,
                code: None,
            },
            Self::EmailVerification => Row {
                name: "email_verification",
                proto: NotificationKind::EmailVerification,
                subject: "Confirm your e-mail address",
                refusable: ALWAYS_SENT,
                code: Some(Purpose::EmailVerification),
            },
            Self::PasswordReset => Row {
                name: "password_reset",
                proto: NotificationKind::PasswordReset,
                subject: "Set a new password",
                refusable: ALWAYS_SENT,
                code: Some(Purpose::PasswordReset),
            },
            Self::OrderPlaced => Row {
                name: "order_placed",
                proto: NotificationKind::OrderPlaced,
                subject: "We have received your order",
                refusable: by("order_placed_mails", |it| &mut it.order_placed_mails),
                code: None,
            },
            Self::OrderConfirmed => Row {
                name: "order_confirmed",
                proto: NotificationKind::OrderConfirmed,
                subject: "Your order has been confirmed",
                refusable: by("order_confirmed_mails", |it| &mut it.order_confirmed_mails),
                code: None,
            },
            Self::OrderShipped => Row {
                name: "order_shipped",
                proto: NotificationKind::OrderShipped,
                subject: "Your order is on its way",
                refusable: by("order_shipped_mails", |it| &mut it.order_shipped_mails),
                code: None,
            },
            Self::OrderCancelled => Row {
                name: "order_cancelled",
                proto: NotificationKind::OrderCancelled,
                subject: "Your order has been cancelled",
                refusable: by("order_cancelled_mails", |it| &mut it.order_cancelled_mails),
                code: None,
            },
            Self::AccountDeleted => Row {
                name: "account_deleted",
                proto: NotificationKind::AccountDeleted,
                subject: "Your account has been deleted",
                refusable: ALWAYS_SENT,
                code: None,
            },
            Self::PasswordChanged => Row {
                name: "password_changed",
                proto: NotificationKind::PasswordChanged,
                subject: "Your password has been changed",
                refusable: ALWAYS_SENT,
                code: None,
            },
            Self::EmailChanged => Row {
                name: "email_changed",
                proto: NotificationKind::EmailChanged,
                subject: "Your e-mail address has been changed",
                refusable: ALWAYS_SENT,
                code: None,
            },
            Self::RoleChanged => Row {
                name: "role_changed",
                proto: NotificationKind::RoleChanged,
                subject: "The rights of your account have changed",
                refusable: ALWAYS_SENT,
                code: None,
            },
            Self::NewPlace => Row {
                name: "new_place",
                proto: NotificationKind::NewPlace,
                subject: "A login from a new place",
                refusable: ALWAYS_SENT,
                code: None,
            },
        }
    }

    pub fn all() -> impl Iterator<Item = Self> {
        Self::iter()
    }

    pub fn name(self) -> &'static str {
        self.row().name
    }

    pub fn refusable() -> impl Iterator<Item = (Self, Choice)> {
        Self::all().filter_map(|kind| Some((kind, kind.row().refusable?)))
    }
}

/// An event that causes a mail.
pub trait MailEvent: Event {
    const KIND: Kind;

    fn user_id(&self) -> &str;

    /// The mail to a user with this name.
    ///
    /// # Errors
    /// If a template cannot write a value.
    fn content(&self, display_name: &str) -> askama::Result<Content>;
}

/// Binds an event to its kind and its templates. They see the recipient's `name` and, by the last word, the event. A
/// macro: askama derives one type for each file.
macro_rules! mail {
    ($kind:ident: $event:ty, $text:literal, $html:literal $(, $seen_as:ident)?) => {
        impl MailEvent for $event {
            const KIND: Kind = Kind::$kind;

            fn user_id(&self) -> &str {
                &self.user_id
            }

            fn content(&self, display_name: &str) -> askama::Result<Content> {
                #[derive(Template)]
                #[template(path = $text)]
                struct Text<'a> {
                    name: &'a str,
                    $($seen_as: &'a $event,)?
                }
                #[derive(Template)]
                #[template(path = $html)]
                struct Html<'a> {
                    name: &'a str,
                    subject: &'static str,
                    $($seen_as: &'a $event,)?
                }
                let name = &*one_line(display_name);
                let subject = Self::KIND.row().subject;
                $(let $seen_as = self;)?
                Ok(Content {
                    subject,
                    text: Text { name, $($seen_as,)? }.render()?,
                    html: Html { name, subject, $($seen_as,)? }.render()?,
                })
            }
        }
    };
}

mail!(Welcome: UserCreated, "welcome.txt", "welcome.html");
mail!(EmailVerification: EmailVerificationRequested, "email_verification.txt", "email_verification.html");
mail!(PasswordReset: PasswordResetRequested, "password_reset.txt", "password_reset.html");
mail!(OrderPlaced: OrderPlaced, "order_placed.txt", "order_placed.html", order);
mail!(OrderConfirmed: OrderConfirmed, "order_confirmed.txt", "order_confirmed.html", order);
mail!(OrderShipped: OrderShipped, "order_shipped.txt", "order_shipped.html", order);
mail!(OrderCancelled: OrderCancelled, "order_cancelled.txt", "order_cancelled.html", order);
mail!(AccountDeleted: UserDeleted, "account_deleted.txt", "account_deleted.html");
mail!(PasswordChanged: UserPasswordChanged, "password_changed.txt", "password_changed.html");
mail!(EmailChanged: UserUpdated, "email_changed.txt", "email_changed.html");
mail!(RoleChanged: UserRoleChanged, "role_changed.txt", "role_changed.html", change);
mail!(NewPlace: SessionStartedAtNewPlace, "new_place.txt", "new_place.html", session);
