//! Between the domain and the contract, for answers and events alike.

use contracts::notification::v1::{
    Notification as NotificationMessage, NotificationKind, NotificationState,
};
use prost_types::Timestamp;

use crate::notification::{Kind, Notification, State};

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
    }
}

pub fn kind(kind: Kind) -> NotificationKind {
    match kind {
        Kind::Welcome => NotificationKind::Welcome,
        Kind::OrderPlaced => NotificationKind::OrderPlaced,
        Kind::OrderCancelled => NotificationKind::OrderCancelled,
    }
}

pub fn timestamp(unix_ms: i64) -> Timestamp {
    let nanos = unix_ms.rem_euclid(1000) * 1_000_000;
    Timestamp {
        seconds: unix_ms.div_euclid(1000),
        nanos: i32::try_from(nanos).unwrap_or_default(),
    }
}

fn state(state: State) -> NotificationState {
    match state {
        State::Pending => NotificationState::Pending,
        State::Sent => NotificationState::Sent,
        State::Failed => NotificationState::Failed,
    }
}
