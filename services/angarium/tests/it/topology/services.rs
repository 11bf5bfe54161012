//! The three services as three processes would be: each with its own database and its own user of the broker.

use std::time::Duration;

use contracts::money::Money;
use contracts::notification::v1::notification_service_client::NotificationServiceClient;
use contracts::notification::v1::{ListNotificationsRequest, NotificationState};
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{CancelOrderRequest, OrderLine, PlaceOrderRequest};
use contracts::user::v1::CreateUserRequest;
use contracts::user::v1::user_service_client::UserServiceClient;
use messaging::EngineConfig;
use messaging::transport::{Broker, RabbitMqConfig};
use notification_service::config::{Delivery, MailConfig};
use runtime::config::{DatabaseConfig, LifecycleConfig, TelemetryConfig};
use tempfile::TempDir;
use testkit::{LockedDown, Running, any_port, eventually};
use tonic::Code;
use tonic::transport::Channel;

use super::Exported;

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

    pub(super) async fn register(&self, email: &str) -> String {
        let request = CreateUserRequest {
            email: email.to_owned(),
            password: "correct horse battery staple".to_owned(),
            display_name: "Ada".to_owned(),
            ..CreateUserRequest::default()
        };
        let mut users = UserServiceClient::new(self.users.channel());
        let answer = users.create_user(request).await.unwrap().into_inner();
        answer.user.unwrap().user_id
    }

    /// As soon as the order service has heard of the user.
    pub(super) async fn place_order(&self, user_id: &str) -> String {
        let request = PlaceOrderRequest {
            user_id: user_id.to_owned(),
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
            match self.orders().place_order(request.clone()).await {
                Ok(answer) => Ok(answer.into_inner().order.unwrap().order_id),
                Err(status) if status.code() == Code::NotFound => Err(status),
                Err(status) => panic!("{status}"),
            }
        })
        .await
    }

    pub(super) async fn cancel_order(&self, order_id: String) {
        let request = CancelOrderRequest {
            order_id,
            reason: "wrong tea".to_owned(),
            ..CancelOrderRequest::default()
        };
        self.orders().cancel_order(request).await.unwrap();
    }

    /// Waits until the user was sent this many mails.
    pub(super) async fn mails(&self, user_id: &str, count: usize) {
        let request = ListNotificationsRequest {
            user_id: user_id.to_owned(),
            ..Default::default()
        };
        let mut notifications = NotificationServiceClient::new(self.notifications.channel());
        eventually("the mails are sent", async || {
            let answer = notifications.list_notifications(request.clone()).await;
            let mut mails = answer.unwrap().into_inner().notifications;
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
