//! `angarium.notification.v1.NotificationService`: reads a request, asks the store, writes the answer.

use contracts::notification::v1::notification_service_server::NotificationService;
use contracts::notification::v1::{ListNotificationsRequest, ListNotificationsResponse};
use messaging::Store;
use runtime::status::Violations;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::error::Error;
use crate::page_token::PageTokens;
use crate::{convert, store};

const DEFAULT_PAGE_SIZE: u64 = 50;
const MAX_PAGE_SIZE: u64 = 1000;

pub struct Notifications {
    store: Store,
    tokens: PageTokens,
}

impl Notifications {
    pub fn new(store: Store, tokens: PageTokens) -> Self {
        Self { store, tokens }
    }

    fn parse_token(&self, token: &str, filter: &str, violations: &mut Violations) -> Option<Uuid> {
        if token.is_empty() {
            return None;
        }
        let last = self.tokens.read(token, filter);
        if last.is_err() {
            violations.add(
                "page_token",
                "must be the next_page_token of an answer to the same filter",
            );
        }
        last.ok()
    }
}

#[tonic::async_trait]
impl NotificationService for Notifications {
    async fn list_notifications(
        &self,
        request: Request<ListNotificationsRequest>,
    ) -> Result<Response<ListNotificationsResponse>, Status> {
        let ListNotificationsRequest {
            user_id: filter,
            page_size,
            page_token,
        } = request.into_inner();
        let mut violations = Violations::new();
        let user_id = (!filter.is_empty()).then(|| violations.uuid("user_id", &filter));
        let page_size = parse_page_size(page_size, &mut violations);
        let before = self.parse_token(&page_token, &filter, &mut violations);
        violations.into_result()?;

        // One more than asked for tells whether there is a next page.
        let listed = store::list(self.store.connection(), user_id, before, page_size + 1).await;
        let mut notifications = listed.map_err(Error::from)?;
        let size = usize::try_from(page_size).unwrap_or(usize::MAX);
        let has_more = notifications.len() > size;
        notifications.truncate(size);
        let next_page_token = match notifications.last() {
            Some(last) if has_more => self.tokens.issue(last.id, &filter),
            _ => String::new(),
        };
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

fn parse_page_size(page_size: i32, violations: &mut Violations) -> u64 {
    match u64::try_from(page_size) {
        Ok(0) => DEFAULT_PAGE_SIZE,
        Ok(size) => size.min(MAX_PAGE_SIZE),
        Err(_) => {
            violations.add("page_size", "must not be negative");
            DEFAULT_PAGE_SIZE
        }
    }
}
