//! The order service, and a user who orders.

use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{ConfirmOrderRequest, Order, PlaceOrderRequest};
use order_service::config::OrderConfig;
use service::{Common, Config, Host};
use store::DatabaseConfig;
use testkit::{Database, RoundTrips, Running, Tokens, any_port, authorized};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::system::line;

/// The order service without a broker, and a user who may order.
pub(super) struct Ordering {
    client: OrderServiceClient<Channel>,
    tokens: Tokens,
    user_id: Uuid,
    _running: Running,
    _database: Database,
}

impl Ordering {
    /// Behind a counting proxy.
    pub(super) async fn counted() -> (Self, RoundTrips) {
        let (database, trips) = super::counted().await;
        (Self::on(database, trips.config()).await, trips)
    }

    pub(super) async fn on(database: Database, config: DatabaseConfig) -> Self {
        let app = Host::build::<order_service::App>(Config {
            common: Common::new(any_port(), config, super::out_of_reach()),
            own: OrderConfig::default(),
        });
        let app = app.await.unwrap();
        let running = Running::start(app.grpc_addr(), |shutdown| app.run(shutdown)).await;
        let db = database.connect().await;
        let user_id = Uuid::now_v7();
        make_user_known(&db, user_id).await;
        Self {
            client: OrderServiceClient::new(running.channel()),
            tokens: Tokens::accepted_by(&db).await,
            user_id,
            _running: running,
            _database: database,
        }
    }

    pub(super) async fn place(&self, request_id: &str) -> Order {
        let request = PlaceOrderRequest {
            user_id: self.user_id.to_string(),
            lines: vec![line(), line(), line()],
            request_id: request_id.to_owned(),
        };
        let request = authorized(&self.tokens.user(self.user_id), request);
        let answer = self.client.clone().place_order(request).await.unwrap();
        answer.into_inner().order.unwrap()
    }

    pub(super) async fn confirm(&self, order_id: String) {
        let request = ConfirmOrderRequest {
            order_id,
            ..ConfirmOrderRequest::default()
        };
        let request = authorized(&self.tokens.admin(), request);
        self.client.clone().confirm_order(request).await.unwrap();
    }
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
