//! Register, mail, order, mail, cancel, mail.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use contracts::money::Money;
use contracts::notification::v1::notification_service_client::NotificationServiceClient;
use contracts::notification::v1::{ListNotificationsRequest, NotificationKind, NotificationState};
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{CancelOrderRequest, Order, OrderLine, PlaceOrderRequest};
use contracts::user::v1::CreateUserRequest;
use contracts::user::v1::user_service_client::UserServiceClient;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use crate::system::Addresses;

/// How long an effect may take before it counts as missing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks from outside.
const LOOK: Duration = Duration::from_millis(5);

pub(super) struct Story {
    users: UserServiceClient<Channel>,
    orders: OrderServiceClient<Channel>,
    notifications: NotificationServiceClient<Channel>,
}

/// One line of the timeline.
pub(super) struct Step {
    what: &'static str,
    how: String,
    took: Duration,
    at: Duration,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, took) = (
            self.at.as_secs_f64() * 1000.0,
            self.took.as_secs_f64() * 1000.0,
        );
        write!(
            formatter,
            "{at:>8.1} ms  {:<9} {:<72} {took:>7.1} ms",
            self.what, self.how
        )
    }
}

impl Story {
    pub(super) fn connect(addresses: Addresses) -> anyhow::Result<Self> {
        let channel = |address| -> anyhow::Result<Channel> {
            Ok(Endpoint::from_shared(format!("http://{address}"))?
                .timeout(PATIENCE)
                .connect_lazy())
        };
        Ok(Self {
            users: UserServiceClient::new(channel(addresses.users)?),
            orders: OrderServiceClient::new(channel(addresses.orders)?),
            notifications: NotificationServiceClient::new(channel(addresses.notifications)?),
        })
    }

    /// Plays it, and hands over each step as it is done.
    pub(super) async fn tell(mut self, mut done: impl FnMut(Step)) -> anyhow::Result<()> {
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
        let user_id = self.register().await.context("registering failed")?;
        step("register", format!("user {user_id}"), begun);
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

    async fn register(&mut self) -> anyhow::Result<String> {
        let request = CreateUserRequest {
            // A new one each time: the databases stay.
            email: format!("ada.{}@example.com", Uuid::now_v7().simple()),
            password: "correct horse battery staple".to_owned(),
            display_name: "Ada Lovelace".to_owned(),
            ..CreateUserRequest::default()
        };
        let answer = self.users.create_user(request).await?.into_inner();
        Ok(answer.user.context("the answer holds no user")?.user_id)
    }

    /// The order service hears of a user a moment later than we do, and says so: then the call is repeated.
    async fn order(&mut self, user_id: &str) -> anyhow::Result<Order> {
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
            ..PlaceOrderRequest::default()
        };
        let begun = Instant::now();
        loop {
            match self.orders.place_order(request.clone()).await {
                Ok(answer) => {
                    return answer
                        .into_inner()
                        .order
                        .context("the answer holds no order");
                }
                Err(status) if status.code() == Code::NotFound && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(LOOK).await;
                }
                Err(status) => return Err(status.into()),
            }
        }
    }

    async fn cancel(&mut self, order_id: &str) -> anyhow::Result<String> {
        let reason = "the cup was the wrong blue".to_owned();
        let request = CancelOrderRequest {
            order_id: order_id.to_owned(),
            reason,
            ..CancelOrderRequest::default()
        };
        let answer = self.orders.cancel_order(request).await?.into_inner();
        Ok(answer
            .order
            .context("the answer holds no order")?
            .cancellation_reason)
    }

    /// Waits until the mail of this kind has been sent, and answers its subject.
    async fn mail(&mut self, user_id: &str, kind: NotificationKind) -> anyhow::Result<String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let request = ListNotificationsRequest {
                user_id: user_id.to_owned(),
                ..Default::default()
            };
            let listed = self
                .notifications
                .list_notifications(request)
                .await
                .context("listing mails failed")?;
            let mail = listed
                .into_inner()
                .notifications
                .into_iter()
                .find(|mail| mail.kind() == kind);
            match mail {
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
