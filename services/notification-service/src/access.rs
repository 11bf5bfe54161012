//! Who may call what: the one place that says it. A method that is not in it is not served.
//!
//! Whose a notification is, its query says.

use runtime::auth::{Access, Rules};

pub const RULES: Rules = &[
    (
        "angarium.notification.v1.NotificationService/ListNotifications",
        Access::Authenticated,
    ),
    (
        "angarium.notification.v1.NotificationService/GetNotification",
        Access::Authenticated,
    ),
    (
        "angarium.notification.v1.NotificationService/ResendNotification",
        Access::Authenticated,
    ),
    (
        "angarium.notification.v1.NotificationService/GetPreferences",
        Access::Authenticated,
    ),
    (
        "angarium.notification.v1.NotificationService/UpdatePreferences",
        Access::Authenticated,
    ),
];
