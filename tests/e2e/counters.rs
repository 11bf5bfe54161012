//! Limits the round trips to PostgreSQL for a command and for a batch of mails.
//!
//! The limits are the current numbers; a change that needs less lowers them. The broker is unreachable, so only the
//! call and the poll every 5 s use the database. The engine's counts are in the tests of `messaging`.

use std::time::Duration;

use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{ConfirmOrderRequest, Order, PlaceOrderRequest};
use contracts::user::v1::CreateUserRequest;
use contracts::user::v1::user_service_client::UserServiceClient;
use messaging::transport::{Broker, RabbitMqConfig};
use notification_service::config::{Delivery, MailConfig, NotificationConfig};
use order_service::config::OrderConfig;
use runtime::sealed::MasterKey;
use sea_orm::{ConnectionTrait as _, Statement};
use service::{Common, Config, Host};
use tempfile::TempDir;
use testkit::{
    Database, Limits, RoundTrips, Running, StoreKind, Tokens, any_port, authorized, eventually_is,
};
use tonic::transport::Channel;
use user_service::config::{IdentityConfig, UserConfig};
use uuid::Uuid;

use crate::system::{PASSWORD, line};

/// The smallest of several tries counts, because other work of the service can only add to a count. More than a pool has
/// connections: each prepares a statement once, in an additional round trip.
const TRIES: usize = 12;
/// Mails that are due at the same time.
const MAILS: i64 = 8;

#[tokio::test]
async fn create_user_stays_within_its_round_trips() {
    let (_database, trips) = counted().await;
    let app = Host::build::<user_service::App>(Config {
        common: Common::new(any_port(), trips.config(), out_of_reach()),
        own: UserConfig {
            secret_key: MasterKey::well_known("SECRET_KEY"),
            mail_sealing_key: MasterKey::well_known("MAIL_SEALING_KEY"),
            identity: IdentityConfig::default(),
        },
    });
    let app = app.await.unwrap();
    let running = Running::start(app.grpc_addr(), |shutdown| app.run(shutdown)).await;
    let client = UserServiceClient::new(running.channel());
    let create = async |request_id: &str| {
        let request = CreateUserRequest {
            email: format!("{}@example.com", Uuid::now_v7().simple()),
            password: PASSWORD.to_owned(),
            display_name: "Ada Lovelace".to_owned(),
            request_id: request_id.to_owned(),
        };
        client.clone().create_user(request).await.unwrap();
    };
    let limits = Limits {
        round_trips: 10,
        pings_after: 2,
        statements: 8,
    };
    let counted = trips.least_of(TRIES, async || create("").await).await;
    counted.assert_within("CreateUser", limits);
    let limits = Limits {
        round_trips: 12,
        pings_after: 3,
        statements: 10,
    };
    let counted = trips
        .least_of(TRIES, async || create(&Uuid::now_v7().to_string()).await)
        .await;
    counted.assert_within("CreateUser with request_id", limits);
}

#[tokio::test]
async fn place_order_stays_within_its_round_trips() {
    let orders = Orders::start().await;
    let limits = Limits {
        round_trips: 5,
        pings_after: 1,
        statements: 3,
    };
    let counted = orders
        .trips
        .least_of(TRIES, async || {
            orders.place("").await;
        })
        .await;
    counted.assert_within("PlaceOrder", limits);
    let limits = Limits {
        round_trips: 6,
        pings_after: 1,
        statements: 4,
    };
    let counted = orders
        .trips
        .least_of(TRIES, async || {
            orders.place(&Uuid::now_v7().to_string()).await;
        })
        .await;
    counted.assert_within("PlaceOrder with request_id", limits);
}

#[tokio::test]
async fn confirm_order_stays_within_its_round_trips() {
    let orders = Orders::start().await;
    let mut placed = Vec::new();
    for _ in 0..TRIES {
        placed.push(orders.place("").await.order_id);
    }
    let placed = std::sync::Mutex::new(placed);
    let counted = orders
        .trips
        .least_of(TRIES, async || {
            let order_id = placed.lock().unwrap().pop().unwrap();
            orders.confirm(order_id).await;
        })
        .await;
    counted.assert_within(
        "ConfirmOrder",
        Limits {
            round_trips: 7,
            pings_after: 1,
            statements: 5,
        },
    );
}

/// With the query for due mails, and the pings of sessions that were idle. The number of these depends on the other
/// workers, so their limit is wide. The mailer's own limit of 8 round trips is in the tests of `notification-service`.
#[tokio::test]
async fn a_batch_of_mails_stays_within_its_round_trips() {
    let (database, trips) = counted().await;
    let folder = TempDir::new().unwrap();
    let app = Host::build::<notification_service::App>(Config {
        common: Common::new(any_port(), trips.config(), out_of_reach()),
        own: NotificationConfig {
            mail: MailConfig {
                from: "Angarium <noreply@localhost>".parse().unwrap(),
                delivery: Delivery::Folder(folder.path().join("mails")),
                timeout: Duration::from_secs(10),
            },
            mail_sealing_key: MasterKey::well_known("MAIL_SEALING_KEY"),
        },
    });
    let app = app.await.unwrap();
    let running = Running::start(app.grpc_addr(), |shutdown| app.run(shutdown)).await;
    let db = database.connect().await;
    let counted = trips
        .least_of(TRIES, async || {
            write_mails(&db).await;
            eventually_is("all mails are sent", 0, async || {
                count(
                    &db,
                    "SELECT count(*) FROM notification WHERE state = 'pending'",
                )
                .await
            })
            .await;
        })
        .await;
    counted.assert_within(
        "mailer, a batch of 8 mails",
        Limits {
            round_trips: 12,
            pings_after: 24,
            statements: 5,
        },
    );
    running.stop().await;
}

/// The order service behind a counting proxy, with a user who may order.
struct Orders {
    trips: RoundTrips,
    client: OrderServiceClient<Channel>,
    tokens: Tokens,
    user_id: Uuid,
    _running: Running,
    _database: Database,
}

impl Orders {
    async fn start() -> Self {
        let (database, trips) = counted().await;
        let app = Host::build::<order_service::App>(Config {
            common: Common::new(any_port(), trips.config(), out_of_reach()),
            own: OrderConfig::default(),
        });
        let app = app.await.unwrap();
        let running = Running::start(app.grpc_addr(), |shutdown| app.run(shutdown)).await;
        let db = database.connect().await;
        let user_id = Uuid::now_v7();
        make_user_known(&db, user_id).await;
        Self {
            trips,
            client: OrderServiceClient::new(running.channel()),
            tokens: Tokens::accepted_by(&db).await,
            user_id,
            _running: running,
            _database: database,
        }
    }

    async fn place(&self, request_id: &str) -> Order {
        let request = PlaceOrderRequest {
            user_id: self.user_id.to_string(),
            lines: vec![line(), line(), line()],
            request_id: request_id.to_owned(),
        };
        let request = authorized(&self.tokens.user(self.user_id), request);
        let answer = self.client.clone().place_order(request).await.unwrap();
        answer.into_inner().order.unwrap()
    }

    async fn confirm(&self, order_id: String) {
        let request = ConfirmOrderRequest {
            order_id,
            ..ConfirmOrderRequest::default()
        };
        let request = authorized(&self.tokens.admin(), request);
        self.client.clone().confirm_order(request).await.unwrap();
    }
}

/// A new database, and the counting proxy in front of it.
async fn counted() -> (Database, RoundTrips) {
    let database = Database::create(StoreKind::Postgres).await;
    let trips = RoundTrips::before(database.url()).await;
    (database, trips)
}

fn out_of_reach() -> Broker {
    let url = "amqp://guest:guest@127.0.0.1:1/%2f".parse().unwrap();
    Broker::RabbitMq(RabbitMqConfig::new(url))
}

async fn make_user_known(db: &store::Database, user_id: Uuid) {
    let heard = order_service::store::users::Heard {
        user_id,
        version: 1,
        event_at_ms: 1_700_000_000_000,
    };
    order_service::store::users::heard_of_user(db, &heard)
        .await
        .unwrap();
}

/// Inserts due mails without the service, so that its next query finds all of them.
async fn write_mails(db: &store::Database) {
    let sql = format!(
        "INSERT INTO notification (notification_id, event_id, user_id, kind, state, email, display_name, subject, body_text,
                                   body_html, correlation_id, attempts, repeats, created_at_ms, due_at_ms)
         SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'order_placed', 'pending', 'ada@example.com',
                'Ada Lovelace', 'Your order', 'Thank you.', '<p>Thank you.</p>', 'call-1', 0, 0, now_ms, now_ms
         FROM generate_series(1, {MAILS}), (SELECT (extract(epoch FROM now()) * 1000)::bigint AS now_ms) AS clock"
    );
    db.execute_unprepared(&sql).await.unwrap();
}

async fn count(db: &store::Database, sql: &str) -> i64 {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}
