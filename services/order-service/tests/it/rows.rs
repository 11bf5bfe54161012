//! What the order service has in its database.

use contracts::order::v1::ExpiryElapsed;
use order_service::store::users::{self, Heard};
use order_service::store::{known_user, orders};
use prost::Name as _;
use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use testkit::{Promised, eventually_is};
use uuid::Uuid;

use crate::fixture::Fixture;

impl Fixture {
    /// A user who can order, known without an event, for tests without a broker.
    pub(crate) async fn known_here(&self) -> String {
        let heard = Heard {
            user_id: Uuid::now_v7(),
            version: 1,
            event_at_ms: 1_700_000_000_000,
        };
        users::heard_of_user(&self.db, &heard).await.unwrap();
        heard.user_id.to_string()
    }

    /// Waits until this user can order.
    pub(crate) async fn knows(&self, user_id: &str) {
        eventually_is("the user is known", true, async || {
            let user = known_user::Entity::find_by_id(user_id).one(&self.db).await;
            user.unwrap().is_some()
        })
        .await;
    }

    /// The enqueued events of orders.
    pub(crate) async fn outbox(&self) -> Vec<Promised> {
        let mut promised = testkit::outbox(&self.db).await;
        promised.retain(|promised| promised.event_type != ExpiryElapsed::full_name());
        promised
    }

    /// The number of active timers.
    pub(crate) async fn timers(&self) -> i64 {
        self.count("SELECT count(*) FROM angarium_outbox WHERE held_until IS NOT NULL")
            .await
    }

    pub(crate) async fn count_users(&self) -> u64 {
        known_user::Entity::find().count(&self.db).await.unwrap()
    }

    pub(crate) async fn count_orders(&self) -> u64 {
        orders::Entity::find().count(&self.db).await.unwrap()
    }
}
