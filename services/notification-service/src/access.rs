//! Who may call what: the one place that says it. A method that is not in it is not served.

use runtime::auth::{Access, Rules};

pub const RULES: Rules = &[(
    "angarium.notification.v1.NotificationService/ListNotifications",
    Access::Public,
)];
