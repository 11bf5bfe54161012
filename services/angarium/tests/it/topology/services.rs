//! The three services as three processes would be: each with its own database and its own user of the broker.

use std::time::Duration;

use contracts::money::Money;
use contracts::notification::v1::notification_service_client::NotificationServiceClient;
use contracts::notification::v1::{ListNotificationsRequest, NotificationState};
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{CancelOrderRequest, OrderLine, PlaceOrderRequest};
use contracts::user::v1::user_service_client::UserServiceClient;
use contracts::user::v1::{AuthenticateRequest, CreateUserRequest};
use messaging::EngineConfig;
use messaging::transport::{Broker, RabbitMqConfig};
use notification_service::config::{Delivery, MailConfig};
use order_service::config::OrderConfig;
use runtime::config::{LifecycleConfig, TelemetryConfig};
use runtime::sealed::MasterKey;
use store::DatabaseConfig;
use tempfile::TempDir;
use testkit::{LockedDown, Running, any_port, authorized, eventually};
use tonic::transport::Channel;
use tonic::{Code, Status};
use user_service::config::IdentityConfig;

use super::Exported;

const PASSWORD: &str = "correct horse battery staple";

/// Somebody who has registered and logged in.
pub(super) struct Account {
    user_id: String,
    token: String,
}

pub(super) struct Services {
    users: Running,
    orders: Running,
    notifications: Running,
    _folder: TempDir,
}

impl Services {
    pub(super) async fn start(exported: &Exported, locked_down: &LockedDown) -> Self {
        let folder = TempDir::new().unwrap();
        let database =
            |service: &str| DatabaseConfig::sqlite(folder.path().join(format!("{service}.db")));
        let broker = |service: &str| {
            Broker::RabbitMq(RabbitMqConfig {
                prefix: exported.prefix.clone(),
                ..RabbitMqConfig::new(exported.url(locked_down, service).parse().unwrap())
            })
        };
        let users = user_service::App::build(user_service::Config {
            secret_key: MasterKey::well_known("SECRET_KEY"),
            mail_sealing_key: MasterKey::well_known("MAIL_SEALING_KEY"),
            identity: IdentityConfig::default(),
            grpc: any_port(),
            database: database(user_service::NAME),
            broker: broker(user_service::NAME),
            engine: EngineConfig::default(),
            telemetry: TelemetryConfig::default(),
            lifecycle: LifecycleConfig::default(),
        });
        let users = users.await.unwrap();
        let orders = order_service::App::build(order_service::Config {
            grpc: any_port(),
            database: database(order_service::NAME),
            broker: broker(order_service::NAME),
            engine: EngineConfig::default(),
            orders: OrderConfig::default(),
            telemetry: TelemetryConfig::default(),
            lifecycle: LifecycleConfig::default(),
        });
        let orders = orders.await.unwrap();
        let notifications = notification_service::App::build(notification_service::Config {
            grpc: any_port(),
            database: database(notification_service::NAME),
            broker: broker(notification_service::NAME),
            engine: EngineConfig::default(),
            mail: MailConfig {
                from: "Angarium <noreply@localhost>".parse().unwrap(),
                delivery: Delivery::Folder(folder.path().join("mails")),
                timeout: Duration::from_secs(10),
            },
            mail_sealing_key: MasterKey::well_known("MAIL_SEALING_KEY"),
            telemetry: TelemetryConfig::default(),
            lifecycle: LifecycleConfig::default(),
        });
        let notifications = notifications.await.unwrap();
        Self {
            users: Running::start(users.grpc_addr(), |shutdown| users.run(shutdown)).await,
            orders: Running::start(orders.grpc_addr(), |shutdown| orders.run(shutdown)).await,
            notifications: Running::start(notifications.grpc_addr(), |shutdown| {
                notifications.run(shutdown)
            })
            .await,
            _folder: folder,
        }
    }

    /// Registers somebody, and logs them in.
    pub(super) async fn register(&self, email: &str) -> Account {
        let request = CreateUserRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
            display_name: "Ada".to_owned(),
            ..CreateUserRequest::default()
        };
        let mut users = UserServiceClient::new(self.users.channel());
        let created = users.create_user(request).await.unwrap().into_inner();
        let request = AuthenticateRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
        };
        let session = users.authenticate(request).await.unwrap().into_inner();
        Account {
            user_id: created.user.unwrap().user_id,
            token: session.tokens.unwrap().access_token,
        }
    }

    /// As soon as the order service has heard of the user, and of the key of the token.
    pub(super) async fn place_order(&self, account: &Account) -> String {
        let request = PlaceOrderRequest {
            user_id: account.user_id.clone(),
            lines: vec![OrderLine {
                sku: "TEA-1".to_owned(),
                quantity: 2,
                unit_price: Some(Money {
                    currency_code: "EUR".to_owned(),
                    units: 4,
                    nanos: 500_000_000,
                }),
            }],
            ..PlaceOrderRequest::default()
        };
        eventually("the order is placed", async || {
            let request = authorized(&account.token, request.clone());
            match self.orders().place_order(request).await {
                Ok(answer) => Ok(answer.into_inner().order.unwrap().order_id),
                Err(status) if is_too_early(&status) => Err(status),
                Err(status) => panic!("{status}"),
            }
        })
        .await
    }

    pub(super) async fn cancel_order(&self, account: &Account, order_id: String) {
        let request = CancelOrderRequest {
            order_id,
            reason: "wrong tea".to_owned(),
            ..CancelOrderRequest::default()
        };
        let request = authorized(&account.token, request);
        self.orders().cancel_order(request).await.unwrap();
    }

    /// Waits until the user was sent this many mails.
    pub(super) async fn mails(&self, account: &Account, count: usize) {
        let request = ListNotificationsRequest {
            user_id: account.user_id.clone(),
            ..Default::default()
        };
        let mut notifications = NotificationServiceClient::new(self.notifications.channel());
        eventually("the mails are sent", async || {
            let request = authorized(&account.token, request.clone());
            let mut mails = match notifications.list_notifications(request).await {
                Ok(answer) => answer.into_inner().notifications,
                Err(status) if is_too_early(&status) => Vec::new(),
                Err(status) => panic!("{status}"),
            };
            mails.retain(|mail| mail.state() == NotificationState::Sent);
            if mails.len() == count {
                Ok(())
            } else {
                Err(mails)
            }
        })
        .await;
    }

    fn orders(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(self.orders.channel())
    }

    pub(super) async fn stop(self) {
        self.users.stop().await;
        self.orders.stop().await;
        self.notifications.stop().await;
    }
}

/// A user, and the key of the first token, come to the other services a moment later.
fn is_too_early(status: &Status) -> bool {
    matches!(status.code(), Code::NotFound | Code::Unavailable)
}
