//! Limits the round trips to PostgreSQL for a command and for a batch of mails.
//!
//! The limits are the current numbers; a change that needs less lowers them. The broker is unreachable, so only the
//! call and the poll every 5 s use the database. The engine's counts are in the tests of `messaging`.

use std::time::Duration;

use contracts::user::v1::CreateUserRequest;
use contracts::user::v1::user_service_client::UserServiceClient;
use messaging::transport::{Broker, RabbitMqConfig};
use notification_service::config::{Delivery, MailConfig, NotificationConfig};
use runtime::sealed::MasterKey;
use sea_orm::{ConnectionTrait as _, Statement};
use service::{Common, Config, Host};
use tempfile::TempDir;
use testkit::{Database, Limits, RoundTrips, Running, StoreKind, any_port, eventually_is};
use user_service::config::{IdentityConfig, UserConfig};
use uuid::Uuid;

use crate::system::PASSWORD;

mod allocations;
mod ordering;

use ordering::Ordering;

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
    let (orders, trips) = Ordering::counted().await;
    let limits = Limits {
        round_trips: 5,
        pings_after: 1,
        statements: 3,
    };
    let counted = trips
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
    let counted = trips
        .least_of(TRIES, async || {
            orders.place(&Uuid::now_v7().to_string()).await;
        })
        .await;
    counted.assert_within("PlaceOrder with request_id", limits);
}

#[tokio::test]
async fn confirm_order_stays_within_its_round_trips() {
    let (orders, trips) = Ordering::counted().await;
    let mut placed = Vec::new();
    for _ in 0..TRIES {
        placed.push(orders.place("").await.order_id);
    }
    let placed = std::sync::Mutex::new(placed);
    let counted = trips
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
