//! The calls of the notification service, as an admin makes them, who sees everything.

use contracts::notification::v1::notification_service_client::NotificationServiceClient;
use contracts::notification::v1::{
    ListNotificationsRequest, ListNotificationsResponse, Notification, NotificationState,
};
use testkit::eventually;
use tonic::Status;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::fixture::Fixture;

impl Fixture {
    pub(crate) fn client(&self) -> NotificationServiceClient<Channel> {
        NotificationServiceClient::new(self.channel())
    }

    pub(crate) async fn list(
        &self,
        request: ListNotificationsRequest,
    ) -> Result<ListNotificationsResponse, Status> {
        let request = self.by_admin(request);
        let answer = self.client().list_notifications(request).await?;
        Ok(answer.into_inner())
    }

    /// All notifications of a user, or of all users if none is named.
    pub(crate) async fn of_user(&self, user_id: &str) -> Vec<Notification> {
        self.list(all_of(user_id)).await.unwrap().notifications
    }

    /// The notification of `event_id`, after it has reached this state.
    pub(crate) async fn notification(
        &self,
        event_id: Uuid,
        state: NotificationState,
    ) -> Notification {
        let event_id = event_id.to_string();
        eventually("the notification is there", async || {
            let answer = self.list(all_of("")).await;
            let mut all = answer
                .map_err(|refused| format!("{refused:?}"))?
                .notifications;
            let found = all.iter().position(|one| one.event_id == event_id);
            let found = found.map(|index| all.swap_remove(index));
            found
                .filter(|one| one.state() == state)
                .ok_or_else(|| format!("{all:?}"))
        })
        .await
    }
}

fn all_of(user_id: &str) -> ListNotificationsRequest {
    ListNotificationsRequest {
        user_id: user_id.to_owned(),
        page_size: 1000,
        ..ListNotificationsRequest::default()
    }
}
