//! Converts between domain and contract, for answers and events.

use contracts::notification::v1::{
    Notification as NotificationMessage, NotificationState, Preferences as PreferencesMessage,
};
use runtime::etag;
use service::time::timestamp;

use crate::kinds::Kind;
use crate::notification::{Notification, State};
use crate::preferences::{Given, Preferences};

pub fn notification(notification: Notification) -> NotificationMessage {
    NotificationMessage {
        notification_id: notification.id.to_string(),
        user_id: notification.user_id.to_string(),
        kind: notification.kind.row().proto.into(),
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

pub fn preferences(preferences: &Preferences) -> PreferencesMessage {
    let mut message = PreferencesMessage {
        user_id: preferences.user_id.to_string(),
        etag: etag::of(preferences.version),
        update_time: preferences.updated_at_ms.map(timestamp),
        ..PreferencesMessage::default()
    };
    for (kind, choice) in Kind::refusable() {
        *(choice.value)(&mut message) = Some(preferences.wanted.includes(kind));
    }
    message
}

pub fn given(mut message: PreferencesMessage) -> Given {
    let refusable = Kind::refusable();
    let given = refusable.map(|(kind, choice)| (kind, *(choice.value)(&mut message)));
    given.collect()
}

fn state(state: State) -> NotificationState {
    match state {
        State::Pending => NotificationState::Pending,
        State::Sent => NotificationState::Sent,
        State::Failed => NotificationState::Failed,
        State::Suppressed => NotificationState::Suppressed,
    }
}
