//! An external caller of the services, who also reads the mails.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use contracts::money::Money;
use contracts::notification::v1::notification_service_client::NotificationServiceClient;
use contracts::notification::v1::{
    ListNotificationsRequest, Notification, NotificationKind, NotificationState,
};
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{ListOrdersRequest, Order, OrderLine, PlaceOrderRequest};
use contracts::user::v1::user_service_client::UserServiceClient;
use contracts::user::v1::{AuthenticateRequest, CreateUserRequest, Tokens, VerifyEmailRequest};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::mailbox::Mailbox;
use crate::patience::{PATIENCE, eventually};

pub const PASSWORD: &str = "correct horse battery staple";

/// More than the default page size.
const PAGE: i32 = 100;

#[derive(Clone)]
pub struct Caller {
    pub users: UserServiceClient<Channel>,
    pub orders: OrderServiceClient<Channel>,
    pub notifications: NotificationServiceClient<Channel>,
    pub mailbox: Mailbox,
}

impl Caller {
    /// For services at these addresses, without TLS.
    pub fn new(
        users: SocketAddr,
        orders: SocketAddr,
        notifications: SocketAddr,
        mailbox: Mailbox,
    ) -> Result<Self> {
        let channels = [channel(users)?, channel(orders)?, channel(notifications)?];
        Ok(Self::over(channels, mailbox))
    }

    /// With channels to users, orders and notifications.
    pub fn over([users, orders, notifications]: [Channel; 3], mailbox: Mailbox) -> Self {
        Self {
            users: UserServiceClient::new(users),
            orders: OrderServiceClient::new(orders),
            notifications: NotificationServiceClient::new(notifications),
            mailbox,
        }
    }

    /// Registers a user with an unverified address, and returns the id.
    pub async fn register(&self, email: &str, display_name: &str) -> Result<String> {
        let request = CreateUserRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
            display_name: display_name.to_owned(),
            request_id: Uuid::now_v7().to_string(),
        };
        let answer = self.users.clone().create_user(request).await?.into_inner();
        Ok(answer.user.context("the answer holds no user")?.user_id)
    }

    /// Verifies the address with the code from the mail, and returns the code.
    pub async fn verify(&self, email: &str) -> Result<String> {
        let code = self.mailbox.next_code(email, &[].into()).await?;
        let request = VerifyEmailRequest {
            code: code.clone(),
            ..VerifyEmailRequest::default()
        };
        let answer = self.users.clone().verify_email(request).await?.into_inner();
        let user = answer.user.context("the answer holds no user")?;
        anyhow::ensure!(user.email_verified, "the address is not verified");
        Ok(code)
    }

    pub async fn log_in(&self, email: &str, password: &str) -> Result<Tokens, Status> {
        let request = AuthenticateRequest {
            email: email.to_owned(),
            password: password.to_owned(),
            ..AuthenticateRequest::default()
        };
        let answer = self.users.clone().authenticate(request).await?;
        let tokens = answer.into_inner().tokens;
        tokens.ok_or_else(|| Status::data_loss("the answer holds no tokens"))
    }

    /// Places an order, after the order service knows the user and the key of the token.
    pub async fn place(&self, token: &str, sku: &str) -> Result<Order> {
        let request = PlaceOrderRequest {
            lines: vec![line(sku)],
            request_id: Uuid::now_v7().to_string(),
            ..PlaceOrderRequest::default()
        };
        eventually("the order is placed", PATIENCE, async || {
            let request = authorized(token, request.clone());
            let answer = self.orders.clone().place_order(request).await?;
            let order = answer.into_inner().order;
            order.ok_or_else(|| Status::data_loss("the answer holds no order"))
        })
        .await
    }

    /// All orders of the token's user.
    pub async fn orders_of(&self, token: &str) -> Result<Vec<Order>, Status> {
        let mut found = Vec::new();
        let mut request = ListOrdersRequest {
            page_size: PAGE,
            ..ListOrdersRequest::default()
        };
        loop {
            let asked = authorized(token, request.clone());
            let page = self.orders.clone().list_orders(asked).await?.into_inner();
            found.extend(page.orders);
            if page.next_page_token.is_empty() {
                return Ok(found);
            }
            request.page_token = page.next_page_token;
        }
    }

    /// All mails to the token's user, in any state.
    pub async fn notifications_of(&self, token: &str) -> Result<Vec<Notification>, Status> {
        let mut found = Vec::new();
        let mut request = ListNotificationsRequest {
            page_size: PAGE,
            ..ListNotificationsRequest::default()
        };
        loop {
            let mut notifications = self.notifications.clone();
            let asked = authorized(token, request.clone());
            let page = notifications.list_notifications(asked).await?.into_inner();
            found.extend(page.notifications);
            if page.next_page_token.is_empty() {
                return Ok(found);
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Waits until the user has `number` mails of this kind, all of them sent.
    pub async fn sent(&self, token: &str, kind: NotificationKind, number: usize) -> Result<()> {
        let what = format!("{number} times {}", kind.as_str_name());
        eventually(&what, PATIENCE, async || {
            let mut mails = self
                .notifications_of(token)
                .await
                .map_err(|status| status.to_string())?;
            mails.retain(|mail| mail.kind() == kind);
            let sent = mails
                .iter()
                .all(|mail| mail.state() == NotificationState::Sent);
            if sent && mails.len() == number {
                Ok(())
            } else {
                Err(format!("{mails:?}"))
            }
        })
        .await
    }
}

/// `message` with a token.
pub fn authorized<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    // An invalid token is left out, and the call is refused.
    if let Ok(value) = format!("Bearer {token}").parse() {
        request.metadata_mut().insert("authorization", value);
    }
    request
}

/// Whether the same call may succeed later: an event has not arrived yet, or the service is unavailable.
pub fn is_passing(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::ResourceExhausted
            | Code::Aborted
    )
}

pub fn line(sku: &str) -> OrderLine {
    OrderLine {
        sku: sku.to_owned(),
        quantity: 2,
        unit_price: Some(Money {
            currency_code: "EUR".to_owned(),
            units: 4,
            nanos: 500_000_000,
        }),
    }
}

/// Connects on first use, and reconnects.
pub fn channel(address: SocketAddr) -> Result<Channel> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?.connect_lazy())
}
