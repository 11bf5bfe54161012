//! Register, verify, log in, mail, order, mail, cancel, mail.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use contracts::money::Money;
use contracts::notification::v1::notification_service_client::NotificationServiceClient;
use contracts::notification::v1::{ListNotificationsRequest, NotificationKind, NotificationState};
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{CancelOrderRequest, Order, OrderLine, PlaceOrderRequest};
use contracts::user::v1::user_service_client::UserServiceClient;
use contracts::user::v1::{AuthenticateRequest, CreateUserRequest, User, VerifyEmailRequest};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use super::mailbox::Mailbox;
use super::step::Step;
use crate::system::Addresses;

/// Then an effect counts as missing.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(5);

pub(super) struct Story {
    users: UserServiceClient<Channel>,
    orders: OrderServiceClient<Channel>,
    notifications: NotificationServiceClient<Channel>,
    mailbox: Mailbox,
    /// Set after the login.
    access_token: String,
}

const PASSWORD: &str = "correct horse battery staple";

impl Story {
    pub(super) fn connect(addresses: &Addresses, mailbox: Mailbox) -> anyhow::Result<Self> {
        let channel = |address| -> anyhow::Result<Channel> {
            Ok(Endpoint::from_shared(format!("http://{address}"))?
                .timeout(PATIENCE)
                .connect_lazy())
        };
        Ok(Self {
            users: UserServiceClient::new(channel(addresses.of(user_service::NAME)?)?),
            orders: OrderServiceClient::new(channel(addresses.of(order_service::NAME)?)?),
            notifications: NotificationServiceClient::new(channel(
                addresses.of(notification_service::NAME)?,
            )?),
            mailbox,
            access_token: String::new(),
        })
    }

    /// Passes on each completed step.
    pub(super) async fn run(mut self, mut done: impl FnMut(Step)) -> anyhow::Result<()> {
        let story = Instant::now();
        let mut step = |what, how, begun: Instant| {
            done(Step {
                what,
                how,
                took: begun.elapsed(),
                at: story.elapsed(),
            });
        };

        let begun = Instant::now();
        let user = self.register().await.context("registering failed")?;
        let user_id = user.user_id;
        step("register", format!("user {user_id}"), begun);
        let begun = Instant::now();
        self.verify(&user.email).await.context("verifying failed")?;
        step(
            "verify",
            "the address, by the code in the mail".to_owned(),
            begun,
        );
        let begun = Instant::now();
        self.log_in(&user.email)
            .await
            .context("logging in failed")?;
        step("login", "an access token for 15 minutes".to_owned(), begun);
        let begun = Instant::now();
        let subject = self.mail(&user_id, NotificationKind::Welcome).await?;
        step("mail", format!("\"{subject}\""), begun);

        let begun = Instant::now();
        let order = self
            .order(&user_id)
            .await
            .context("placing an order failed")?;
        step(
            "order",
            format!(
                "order {} over {}",
                order.order_id,
                amount(order.total_price.as_ref())
            ),
            begun,
        );
        let begun = Instant::now();
        let subject = self.mail(&user_id, NotificationKind::OrderPlaced).await?;
        step("mail", format!("\"{subject}\""), begun);

        let begun = Instant::now();
        let reason = self
            .cancel(&order.order_id)
            .await
            .context("cancelling the order failed")?;
        step(
            "cancel",
            format!("order {}: {reason}", order.order_id),
            begun,
        );
        let begun = Instant::now();
        let subject = self
            .mail(&user_id, NotificationKind::OrderCancelled)
            .await?;
        step("mail", format!("\"{subject}\""), begun);
        Ok(())
    }

    async fn register(&self) -> anyhow::Result<User> {
        let request = CreateUserRequest {
            // A new one each time: the databases stay.
            email: format!("ada.{}@example.com", Uuid::now_v7().simple()),
            password: PASSWORD.to_owned(),
            display_name: "Ada Lovelace".to_owned(),
            request_id: Uuid::now_v7().to_string(),
        };
        let answer =
            repeated(async || self.users.clone().create_user(request.clone()).await).await?;
        answer.user.context("the answer holds no user")
    }

    /// The code comes from the mail.
    async fn verify(&self, email: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        let code = loop {
            match self.mailbox.code(email) {
                Some(code) => break code,
                None if begun.elapsed() < PATIENCE => tokio::time::sleep(LOOK).await,
                None => bail!("missing: no mail with a code within {PATIENCE:?}"),
            }
        };
        let request = VerifyEmailRequest {
            code,
            request_id: Uuid::now_v7().to_string(),
        };
        repeated(async || self.users.clone().verify_email(request.clone()).await).await?;
        Ok(())
    }

    async fn log_in(&mut self, email: &str) -> anyhow::Result<()> {
        let request = AuthenticateRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
            ..AuthenticateRequest::default()
        };
        let answer =
            repeated(async || self.users.clone().authenticate(request.clone()).await).await?;
        let tokens = answer.tokens.context("the answer holds no tokens")?;
        self.access_token = tokens.access_token;
        Ok(())
    }

    fn authorized<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        let value = format!("Bearer {}", self.access_token)
            .parse()
            .map_err(|_| Status::internal("the access token is no header value"))?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }

    async fn order(&self, user_id: &str) -> anyhow::Result<Order> {
        let line = |sku: &str, quantity, units, nanos| OrderLine {
            sku: sku.to_owned(),
            quantity,
            unit_price: Some(Money {
                currency_code: "EUR".to_owned(),
                units,
                nanos,
            }),
        };
        let request = PlaceOrderRequest {
            user_id: user_id.to_owned(),
            lines: vec![
                line("TEA-EARL-GREY", 2, 4, 500_000_000),
                line("CUP-BLUE", 1, 12, 0),
            ],
            request_id: Uuid::now_v7().to_string(),
        };
        let answer = repeated(async || {
            let request = self.authorized(request.clone())?;
            self.orders.clone().place_order(request).await
        });
        answer.await?.order.context("the answer holds no order")
    }

    async fn cancel(&self, order_id: &str) -> anyhow::Result<String> {
        let reason = "the cup was the wrong blue".to_owned();
        let request = CancelOrderRequest {
            order_id: order_id.to_owned(),
            reason,
            request_id: Uuid::now_v7().to_string(),
            ..CancelOrderRequest::default()
        };
        let answer = repeated(async || {
            let request = self.authorized(request.clone())?;
            self.orders.clone().cancel_order(request).await
        });
        Ok(answer
            .await?
            .order
            .context("the answer holds no order")?
            .cancellation_reason)
    }

    /// Waits until the mail is sent, and returns its subject.
    async fn mail(&self, user_id: &str, kind: NotificationKind) -> anyhow::Result<String> {
        let request = ListNotificationsRequest {
            user_id: user_id.to_owned(),
            ..Default::default()
        };
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let listed = repeated(async || {
                let request = self.authorized(request.clone())?;
                self.notifications.clone().list_notifications(request).await
            });
            let listed = listed.await.context("listing mails failed")?;
            let mut mails = listed.notifications.into_iter();
            match mails.find(|mail| mail.kind() == kind) {
                Some(mail) if mail.state() == NotificationState::Sent => return Ok(mail.subject),
                Some(mail) if mail.state() == NotificationState::Failed => {
                    bail!(
                        "the mail {} was given up: {}",
                        kind.as_str_name(),
                        mail.failure
                    )
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
        bail!(
            "missing: the mail {} to user {user_id} was not sent within {PATIENCE:?}",
            kind.as_str_name()
        )
    }
}

/// Repeats a call while the answer says that it may be repeated. The `request_id` lets it have one effect.
async fn repeated<T>(call: impl AsyncFn() -> Result<Response<T>, Status>) -> Result<T, Status> {
    let begun = Instant::now();
    loop {
        match call().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) if is_too_early(&status) && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(LOOK).await;
            }
            Err(status) => return Err(status),
        }
    }
}

/// The other services receive the user and the key a moment later, and a service that has just started may have no
/// connection to its database yet.
fn is_too_early(status: &Status) -> bool {
    matches!(status.code(), Code::NotFound | Code::Unavailable)
}

fn amount(money: Option<&Money>) -> String {
    money.map_or_else(String::new, |money| {
        format!(
            "{}.{:02} {}",
            money.units,
            money.nanos / 10_000_000,
            money.currency_code
        )
    })
}
