//! The access rules. A method without a rule is not served. The queries check who owns a notification.

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
