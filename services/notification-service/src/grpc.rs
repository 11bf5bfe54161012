//! `angarium.notification.v1.NotificationService`: reads a request, asks the store or calls a command, writes the answer.
//!
//! Access is checked first: a user who names another user learns nothing of the rest of the request, and queries find
//! only the caller's own data.

use contracts::Validate as _;
use contracts::notification::v1::notification_service_server::NotificationService;
use contracts::notification::v1::{
    GetNotificationRequest, GetNotificationResponse, GetPreferencesRequest, GetPreferencesResponse,
    ListNotificationsRequest, ListNotificationsResponse, ResendNotificationRequest,
    ResendNotificationResponse, UpdatePreferencesRequest, UpdatePreferencesResponse,
};
use messaging::{Cause, Store};
use prost::Message as _;
use runtime::auth::{self, Caller};
use runtime::grpc::correlation_id;
use runtime::idempotency::Call;
use runtime::status::Violations;
use runtime::{FieldMask, Page, PageTokens};
use service::CommandStore;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::commands::Commands;
use crate::error::Error;
use crate::preferences::writable;
use crate::{convert, store};

pub struct Notifications {
    store: Store,
    commands: Commands,
    tokens: PageTokens,
}

impl Notifications {
    pub fn new(store: Store, tokens: PageTokens) -> Self {
        let commands = Commands::new(CommandStore::new(store.clone()));
        Self {
            store,
            commands,
            tokens,
        }
    }
}

#[tonic::async_trait]
impl NotificationService for Notifications {
    async fn list_notifications(
        &self,
        request: Request<ListNotificationsRequest>,
    ) -> Result<Response<ListNotificationsResponse>, Status> {
        let caller = auth::caller(&request)?;
        let request = request.into_inner();
        permit(caller, &request.user_id)?;
        let mut violations = Violations::of(request.violations());
        let owner = match request.user_id.as_str() {
            "" => caller.owner(),
            user_id => Some(violations.uuid("user_id", user_id)),
        };
        let order_id = match request.order_id.as_str() {
            "" => None,
            order_id => Some(violations.uuid("order_id", order_id)),
        };
        // Without an order as in the previous release: its tokens stay valid.
        let about = order_id.map_or_else(String::new, |id| format!(" order_id={id}"));
        let page = Page::read(
            request.page_size,
            &request.page_token,
            format!("ListNotifications user_id={owner:?}{about}"),
            &self.tokens,
            &mut violations,
        );
        violations.into_result()?;

        let found = store::list(self.store.connection(), owner, order_id, &page).await;
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

    async fn get_notification(
        &self,
        request: Request<GetNotificationRequest>,
    ) -> Result<Response<GetNotificationResponse>, Status> {
        let owner = auth::caller(&request)?.owner();
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let id = violations.uuid("notification_id", &request.notification_id);
        violations.into_result()?;

        let found = store::find(self.store.connection(), id, owner).await;
        let found = found.map_err(Error::from)?;
        let notification = found.ok_or_else(|| Error::no_notification(id, owner))?;
        Ok(Response::new(GetNotificationResponse {
            notification: Some(convert::notification(notification)),
        }))
    }

    async fn resend_notification(
        &self,
        request: Request<ResendNotificationRequest>,
    ) -> Result<Response<ResendNotificationResponse>, Status> {
        let caller = auth::caller(&request)?;
        let cause = Cause::call(correlation_id(&request));
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let id = violations.uuid("notification_id", &request.notification_id);
        let call = Call::read(
            &caller.user_id.to_string(),
            "ResendNotification",
            &request.request_id,
            &request.encode_to_vec(),
            &mut violations,
        );
        violations.into_result()?;

        let copy = self
            .commands
            .resend(id, caller.owner(), call.as_ref(), &cause)
            .await?;
        Ok(Response::new(ResendNotificationResponse {
            notification: Some(convert::notification(copy)),
        }))
    }

    async fn get_preferences(
        &self,
        request: Request<GetPreferencesRequest>,
    ) -> Result<Response<GetPreferencesResponse>, Status> {
        let caller = auth::caller(&request)?;
        let request = request.into_inner();
        permit(caller, &request.user_id)?;
        let mut violations = Violations::of(request.violations());
        let user_id = named(caller, "user_id", &request.user_id, &mut violations);
        violations.into_result()?;

        let is_own = user_id == caller.user_id;
        let preferences = self.commands.preferences(user_id, is_own).await?;
        Ok(Response::new(GetPreferencesResponse {
            preferences: Some(convert::preferences(&preferences)),
        }))
    }

    async fn update_preferences(
        &self,
        request: Request<UpdatePreferencesRequest>,
    ) -> Result<Response<UpdatePreferencesResponse>, Status> {
        let caller = auth::caller(&request)?;
        let request = request.into_inner();
        let wanted = request.preferences.clone().unwrap_or_default();
        permit(caller, &wanted.user_id)?;
        let mut violations = Violations::of(request.violations());
        let user_id = named(
            caller,
            "preferences.user_id",
            &wanted.user_id,
            &mut violations,
        );
        let paths = request.update_mask.as_ref();
        let paths = paths.map_or(&[][..], |mask| &mask.paths);
        let mask = FieldMask::read(paths, &writable(), &mut violations);
        let call = Call::read(
            &caller.user_id.to_string(),
            "UpdatePreferences",
            &request.request_id,
            &request.encode_to_vec(),
            &mut violations,
        );
        violations.into_result()?;

        let etag = wanted.etag.clone();
        let given = convert::given(wanted);
        let owner = (user_id, user_id == caller.user_id);
        let preferences = self
            .commands
            .update_preferences(owner, (&given, &mask), &etag, call.as_ref())
            .await?;
        Ok(Response::new(UpdatePreferencesResponse {
            preferences: Some(preferences),
        }))
    }
}

/// Empty means the caller.
fn permit(caller: Caller, user_id: &str) -> Result<(), Status> {
    if user_id.is_empty() {
        return Ok(());
    }
    caller.may_name(user_id)
}

fn named(caller: Caller, field: &str, user_id: &str, violations: &mut Violations) -> Uuid {
    if user_id.is_empty() {
        return caller.user_id;
    }
    violations.uuid(field, user_id)
}
