//! Events in and out: what a test publishes, what the inbox says about it, and what the service promises.

use event::Message;
use messaging::Subscriptions;
use messaging::transport::Confirmation;
use sea_orm::{ConnectionTrait as _, Statement};
use service::Service;
use testkit::{Promised, eventually_is};

use crate::service::TestService;
use crate::subscriber::Subscriber;

impl<S: Service> TestService<S> {
    /// Delivers a message as another service would publish it.
    ///
    /// # Panics
    /// If no queue takes it.
    pub async fn send(&self, message: &Message) {
        let confirmation = self.prepared.broker.publish(message).await;
        assert_eq!(confirmation, Confirmation::Routed);
    }

    /// Waits until the service has acknowledged all sent messages. On RabbitMQ, messages that it is handling do not
    /// count.
    pub async fn settled(&self) {
        let queue = S::DEFINITION.queue();
        eventually_is("the queue is empty", 0, async || {
            self.prepared.broker.messages(&queue).await
        })
        .await;
    }

    /// Waits until this message has this state in the inbox.
    pub async fn becomes(&self, message: &Message, state: &str) {
        let state = Some(state.to_owned());
        eventually_is("the message is settled", state, async || {
            self.inbox(message).await.map(|(state, _)| state)
        })
        .await;
    }

    /// State and cause of a message in the inbox.
    ///
    /// # Panics
    /// If the message has no id.
    pub async fn inbox(&self, message: &Message) -> Option<(String, Option<String>)> {
        let id = message.message_id.as_deref().expect("the id of an event");
        let sql = format!("SELECT state, cause FROM angarium_inbox WHERE event_id = '{id}'");
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        let row = self.db.query_one_raw(statement).await.expect("the inbox")?;
        let state = row.try_get_by_index(0).expect("a state");
        Some((state, row.try_get_by_index(1).expect("a cause or none")))
    }

    /// All events that it has enqueued, published or not.
    pub async fn outbox(&self) -> Vec<Promised> {
        testkit::outbox(&self.db).await
    }

    /// Receives the events that the broker keeps since [`declare`](crate::Prepared::declare).
    pub async fn subscriber(&self, events: &Subscriptions) -> Subscriber {
        Subscriber::of(&self.prepared.broker, events).await
    }
}
