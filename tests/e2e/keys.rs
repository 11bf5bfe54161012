//! Keys of access tokens reach services that join late, or start while the broker is unreachable.

use std::time::{Duration, Instant};

use contracts::order::v1::ListOrdersRequest;
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::user::v1::user_service_client::UserServiceClient;
use contracts::user::v1::{AuthenticateRequest, CreateUserRequest};
use messaging::transport::{self, RabbitMqConfig};
use order_service::config::OrderConfig;
use rstest::rstest;
use runtime::sealed::MasterKey;
use service::{Common, Config, Host};
use store::DatabaseConfig;
use testkit::{
    Broker, BrokerKind, Database, Proxy, Running, Stack, any_port, authorized, eventually, reason,
};
use tonic::{Code, Status};
use user_service::config::{IdentityConfig, UserConfig};

use crate::system::PASSWORD;

/// A service that joins must have the keys within this time. The next announcement without a request comes later.
const SECONDS: Duration = Duration::from_secs(15);
/// By then, the announcements are 20 s apart.
const ANNOUNCED: usize = 3;

#[rstest]
#[tokio::test]
async fn a_service_that_joins_late_gets_the_keys_within_seconds(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let broker = Broker::create(stack.broker()).await;
    let databases = [
        Database::create(stack.store()).await,
        Database::create(stack.store()).await,
    ];
    let reached = broker.of_services([
        &user_service::DEFINITION.participant().topology(),
        &order_service::DEFINITION.participant().topology(),
    ]);
    let users = users(databases[0].config(), reached.clone()).await;
    let (user_id, token) = logged_in(&users).await;
    let db = databases[0].connect().await;
    eventually("the keys were announced to no queue", async || {
        let announced = testkit::outbox(&db).await;
        let of_keys = announced.iter();
        let of_keys = of_keys.filter(|event| event.event_type.ends_with("KeyPublished"));
        match of_keys.count() {
            count if count >= ANNOUNCED => Ok(()),
            count => Err(count),
        }
    })
    .await;

    let orders = orders(databases[1].config(), reached).await;
    accepted_within_seconds(&orders, &user_id, &token).await;
    orders.stop().await;
    users.stop().await;
}

#[tokio::test]
async fn services_that_start_before_the_broker_get_the_keys_later() {
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    let databases = [
        Database::create(Stack::Servers.store()).await,
        Database::create(Stack::Servers.store()).await,
    ];
    let reached = broker.of_services([
        &user_service::DEFINITION.participant().topology(),
        &order_service::DEFINITION.participant().topology(),
    ]);
    let transport::Broker::RabbitMq(direct) = reached else {
        panic!("only a server has a proxy before it");
    };
    let proxy = Proxy::before(direct.url.as_str()).await;
    let url = proxy.url().parse().unwrap();
    let reached = transport::Broker::RabbitMq(RabbitMqConfig { url, ..direct });
    proxy.cut();
    let users = users(databases[0].config(), reached.clone()).await;
    let orders = orders(databases[1].config(), reached).await;
    let (user_id, token) = logged_in(&users).await;
    let refused = list(&orders, &user_id, &token).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert_eq!(reason(&refused), "KEY_UNKNOWN");

    proxy.mend();
    accepted_within_seconds(&orders, &user_id, &token).await;
    orders.stop().await;
    users.stop().await;
}

/// Until the token is accepted, the client is asked to retry; it is never refused permanently.
async fn accepted_within_seconds(orders: &Running, user_id: &str, token: &str) {
    let begun = Instant::now();
    eventually("the token is accepted", async || {
        match list(orders, user_id, token).await {
            Ok(()) => Ok(()),
            Err(status) if reason(&status) == "KEY_UNKNOWN" => Err(status),
            Err(status) => panic!("{status:?}"),
        }
    })
    .await;
    let took = begun.elapsed();
    assert!(took < SECONDS, "{took:?}");
}

async fn list(orders: &Running, user_id: &str, token: &str) -> Result<(), Status> {
    let request = ListOrdersRequest {
        user_id: user_id.to_owned(),
        ..ListOrdersRequest::default()
    };
    let mut client = OrderServiceClient::new(orders.channel());
    client.list_orders(authorized(token, request)).await?;
    Ok(())
}

async fn logged_in(users: &Running) -> (String, String) {
    let mut client = UserServiceClient::new(users.channel());
    let request = CreateUserRequest {
        email: "ada@example.com".to_owned(),
        password: PASSWORD.to_owned(),
        display_name: "Ada".to_owned(),
        ..CreateUserRequest::default()
    };
    let user = client.create_user(request).await.unwrap().into_inner().user;
    let request = AuthenticateRequest {
        email: "ada@example.com".to_owned(),
        password: PASSWORD.to_owned(),
        ..AuthenticateRequest::default()
    };
    let answer = client.authenticate(request).await.unwrap().into_inner();
    let token = answer.tokens.unwrap().access_token;
    (user.unwrap().user_id, token)
}

async fn users(database: DatabaseConfig, broker: transport::Broker) -> Running {
    let app = Host::build::<user_service::App>(Config {
        common: Common::new(any_port(), database, broker),
        own: UserConfig {
            secret_key: MasterKey::well_known("SECRET_KEY"),
            mail_sealing_key: MasterKey::well_known("MAIL_SEALING_KEY"),
            identity: IdentityConfig::default(),
        },
    });
    let app = app.await.unwrap();
    Running::start(app.grpc_addr(), |shutdown| app.run(shutdown)).await
}

async fn orders(database: DatabaseConfig, broker: transport::Broker) -> Running {
    let app = Host::build::<order_service::App>(Config {
        common: Common::new(any_port(), database, broker),
        own: OrderConfig::default(),
    });
    let app = app.await.unwrap();
    Running::start(app.grpc_addr(), |shutdown| app.run(shutdown)).await
}
