//! Converts between domain and contract, for answers and events.

use contracts::notification::v1::{
    Notification as NotificationMessage, NotificationKind, NotificationState,
    Preferences as PreferencesMessage,
};
use runtime::etag;
use service::time::timestamp;

use crate::notification::{Kind, Notification, State};
use crate::preferences::Preferences;

pub fn notification(notification: Notification) -> NotificationMessage {
    NotificationMessage {
        notification_id: notification.id.to_string(),
        user_id: notification.user_id.to_string(),
        kind: kind(notification.kind).into(),
        state: state(notification.state).into(),
        recipient: notification.email,
        subject: notification.subject,
        event_id: notification.event_id.to_string(),
        create_time: Some(timestamp(notification.created_at_ms)),
        send_time: notification.sent_at_ms.map(timestamp),
        failure: notification.failure,
        original_id: notification
            .original_id
            .map(|id| id.to_string())
            .unwrap_or_default(),
        order_id: notification
            .order_id
            .map(|id| id.to_string())
            .unwrap_or_default(),
    }
}

pub fn kind(kind: Kind) -> NotificationKind {
    match kind {
        Kind::Welcome => NotificationKind::Welcome,
        Kind::EmailVerification => NotificationKind::EmailVerification,
        Kind::PasswordReset => NotificationKind::PasswordReset,
        Kind::OrderPlaced => NotificationKind::OrderPlaced,
        Kind::OrderConfirmed => NotificationKind::OrderConfirmed,
        Kind::OrderShipped => NotificationKind::OrderShipped,
        Kind::OrderCancelled => NotificationKind::OrderCancelled,
        Kind::AccountDeleted => NotificationKind::AccountDeleted,
    }
}

pub fn preferences(preferences: &Preferences) -> PreferencesMessage {
    let wanted = preferences.wanted;
    PreferencesMessage {
        user_id: preferences.user_id.to_string(),
        order_placed_mails: Some(wanted.order_placed),
        order_confirmed_mails: Some(wanted.order_confirmed),
        order_shipped_mails: Some(wanted.order_shipped),
        order_cancelled_mails: Some(wanted.order_cancelled),
        etag: etag::of(preferences.version),
        update_time: preferences.updated_at_ms.map(timestamp),
    }
}

fn state(state: State) -> NotificationState {
    match state {
        State::Pending => NotificationState::Pending,
        State::Sent => NotificationState::Sent,
        State::Failed => NotificationState::Failed,
        State::Suppressed => NotificationState::Suppressed,
    }
}
