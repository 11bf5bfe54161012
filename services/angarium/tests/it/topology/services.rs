//! Each service has its own database and broker user.

use std::collections::BTreeMap;
use std::time::Duration;

use angarium::registry::{OwnConfig, SERVICES};
use contracts::money::Money;
use contracts::notification::v1::notification_service_client::NotificationServiceClient;
use contracts::notification::v1::{ListNotificationsRequest, NotificationState};
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{CancelOrderRequest, OrderLine, PlaceOrderRequest};
use contracts::user::v1::user_service_client::UserServiceClient;
use contracts::user::v1::{AuthenticateRequest, CreateUserRequest};
use messaging::transport::{Broker, RabbitMqConfig};
use notification_service::config::{Delivery, MailConfig};
use order_service::config::OrderConfig;
use runtime::sealed::MasterKey;
use service::{Common, Definition};
use store::DatabaseConfig;
use tempfile::TempDir;
use testkit::{LockedDown, Running, any_port, authorized, eventually};
use tonic::transport::Channel;
use tonic::{Code, Status};
use user_service::config::IdentityConfig;

use super::Exported;

const PASSWORD: &str = "correct horse battery staple";

/// A registered user with a token.
pub(super) struct Account {
    user_id: String,
    token: String,
}

pub(super) struct Services {
    /// By name.
    running: BTreeMap<&'static str, Running>,
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
        let common = |service: &Definition| {
            Common::new(any_port(), database(service.name), broker(service.name))
        };
        let own = OwnConfig {
            secret_key: MasterKey::well_known("SECRET_KEY"),
            mail_sealing_key: MasterKey::well_known("MAIL_SEALING_KEY"),
            identity: IdentityConfig::default(),
            orders: OrderConfig::default(),
            mail: MailConfig {
                from: "Angarium <noreply@localhost>".parse().unwrap(),
                delivery: Delivery::Folder(folder.path().join("mails")),
                timeout: Duration::from_secs(10),
            },
        };
        let mut running = BTreeMap::new();
        for service in SERVICES {
            let host = (service.build)(common(&service.definition), &own);
            let host = host.await.unwrap();
            let started = Running::start(host.grpc_addr(), |shutdown| host.run(shutdown));
            running.insert(service.definition.name, started.await);
        }
        Self {
            running,
            _folder: folder,
        }
    }

    pub(super) async fn register(&self, email: &str) -> Account {
        let request = CreateUserRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
            display_name: "Ada".to_owned(),
            ..CreateUserRequest::default()
        };
        let mut users = UserServiceClient::new(self.channel(user_service::NAME));
        let created = users.create_user(request).await.unwrap().into_inner();
        let request = AuthenticateRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
            ..AuthenticateRequest::default()
        };
        let session = users.authenticate(request).await.unwrap().into_inner();
        Account {
            user_id: created.user.unwrap().user_id,
            token: session.tokens.unwrap().access_token,
        }
    }

    /// After the order service has the user and the key.
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

    pub(super) async fn mails(&self, account: &Account, count: usize) {
        let request = ListNotificationsRequest {
            user_id: account.user_id.clone(),
            ..Default::default()
        };
        let mut notifications =
            NotificationServiceClient::new(self.channel(notification_service::NAME));
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
        OrderServiceClient::new(self.channel(order_service::NAME))
    }

    fn channel(&self, service: &str) -> Channel {
        self.running[service].channel()
    }

    pub(super) async fn stop(self) {
        for service in self.running.into_values() {
            service.stop().await;
        }
    }
}

/// The other services receive the user and the key a moment later.
fn is_too_early(status: &Status) -> bool {
    matches!(status.code(), Code::NotFound | Code::Unavailable)
}
