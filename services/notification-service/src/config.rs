//! What the notification service can be told.

use crate::app::App;

mod mail;
mod notifications;

pub use mail::{Delivery, MailArgs, MailConfig};
pub use notifications::{NotificationArgs, NotificationConfig};

/// All its flags and variables.
pub type Args = service::Args<App>;

/// The checked configuration.
pub type Config = service::Config<NotificationConfig>;
