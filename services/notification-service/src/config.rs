//! The settings of the notification service.

mod mail;
mod notifications;

pub use mail::{Delivery, MailArgs, MailConfig};
pub use notifications::{NotificationArgs, NotificationConfig};
