//! `angarium.notification.v1.NotificationService`: reads a request, asks the store, writes the answer.

use contracts::Validate as _;
use contracts::notification::v1::notification_service_server::NotificationService;
use contracts::notification::v1::{ListNotificationsRequest, ListNotificationsResponse};
use messaging::Store;
use runtime::status::Violations;
use runtime::{Page, PageTokens};
use tonic::{Request, Response, Status};

use crate::error::Error;
use crate::{convert, store};

pub struct Notifications {
    store: Store,
    tokens: PageTokens,
}

impl Notifications {
    pub fn new(store: Store, tokens: PageTokens) -> Self {
        Self { store, tokens }
    }
}

#[tonic::async_trait]
impl NotificationService for Notifications {
    async fn list_notifications(
        &self,
        request: Request<ListNotificationsRequest>,
    ) -> Result<Response<ListNotificationsResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let filter = request.user_id;
        let user_id = (!filter.is_empty()).then(|| violations.uuid("user_id", &filter));
        let page = Page::read(
            request.page_size,
            &request.page_token,
            format!("ListNotifications user_id={filter}"),
            &self.tokens,
            &mut violations,
        );
        violations.into_result()?;

        let found = store::list(self.store.connection(), user_id, &page).await;
        let found = found.map_err(Error::from)?;
        let (notifications, next_page_token) = page.cut(found, |one| one.id, &self.tokens);
        let notifications = notifications
            .into_iter()
            .map(convert::notification)
            .collect();
        Ok(Response::new(ListNotificationsResponse {
            notifications,
            next_page_token,
        }))
    }
}
