//! RabbitMQ through plain lapin, so that tests do not check our transport with itself.

use event::Message;
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use messaging::transport::{Confirmation, RabbitMqConfig};

use super::declared::Declared;

/// `mandatory`; waits for the confirmation.
pub(super) async fn publish(config: &RabbitMqConfig, message: &Message) -> Confirmation {
    let (connection, channel) = connect(config).await;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .expect("confirm mode");
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let publishing = channel.basic_publish(
        name(config, &message.exchange),
        message.routing_key.as_str().into(),
        options,
        &message.body,
        properties(message),
    );
    let confirm = publishing.await.expect("a publish").await;
    let confirmation = match confirm.expect("a confirm") {
        lapin::Confirmation::Ack(None) => Confirmation::Routed,
        lapin::Confirmation::Ack(Some(_)) => Confirmation::Unrouted,
        other => Confirmation::Refused(format!("{other:?}")),
    };
    let _ = connection.close(200, "done".into()).await;
    confirmation
}

/// Ready, not unacknowledged.
pub(super) async fn messages(config: &RabbitMqConfig, queue: &str) -> u64 {
    let (connection, channel) = connect(config).await;
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let declaring = channel.queue_declare(name(config, queue), options, FieldTable::default());
    let declared = declaring.await.expect("the queue is there");
    let count = declared.message_count();
    let _ = connection.close(200, "done".into()).await;
    count.into()
}

/// Takes and acknowledges the first message.
pub(super) async fn delivery_mode(config: &RabbitMqConfig, queue: &str) -> Option<u8> {
    let (connection, channel) = connect(config).await;
    let getting = channel.basic_get(name(config, queue), BasicGetOptions { no_ack: true });
    let message = getting.await.expect("an answer").expect("a message");
    let mode = *message.delivery.properties.delivery_mode();
    let _ = connection.close(200, "done".into()).await;
    mode
}

pub(super) async fn delete_queue(config: &RabbitMqConfig, queue: &str) {
    let (connection, channel) = connect(config).await;
    let deleting = channel.queue_delete(name(config, queue), QueueDeleteOptions::default());
    deleting.await.expect("a deleted queue");
    let _ = connection.close(200, "done".into()).await;
}

pub(super) async fn unbind(config: &RabbitMqConfig, queue: &str, exchange: &str, pattern: &str) {
    let (connection, channel) = connect(config).await;
    let unbinding = channel.queue_unbind(
        name(config, queue),
        name(config, exchange),
        pattern.into(),
        FieldTable::default(),
    );
    unbinding.await.expect("a removed binding");
    let _ = connection.close(200, "done".into()).await;
}

/// Deleting a missing queue is no error for the broker.
pub(super) async fn remove(config: &RabbitMqConfig, declared: &Declared) {
    let (connection, channel) = connect(config).await;
    for queue in &declared.queues {
        let deleting = channel.queue_delete(name(config, queue), QueueDeleteOptions::default());
        deleting.await.expect("a deleted queue");
    }
    for exchange in &declared.exchanges {
        let deleting =
            channel.exchange_delete(name(config, exchange), ExchangeDeleteOptions::default());
        deleting.await.expect("a deleted exchange");
    }
    let _ = connection.close(200, "done".into()).await;
}

async fn connect(config: &RabbitMqConfig) -> (Connection, Channel) {
    let properties = ConnectionProperties::default().with_connection_name("testkit".into());
    let connecting = Connection::connect(config.url.as_str(), properties);
    let connection = connecting
        .await
        .unwrap_or_else(|error| panic!("the RabbitMQ of the tests cannot be used: {error}"));
    let channel = connection.create_channel().await.expect("a channel");
    (connection, channel)
}

fn name(config: &RabbitMqConfig, name: &str) -> ShortString {
    format!("{}{name}", config.prefix).into()
}

fn properties(message: &Message) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in &message.headers {
        let value = AMQPValue::LongString(value.as_str().into());
        headers.insert(name.as_str().into(), value);
    }
    let mut properties = BasicProperties::default().with_headers(headers);
    if let Some(id) = &message.message_id {
        properties = properties.with_message_id(id.as_str().into());
    }
    if let Some(event_type) = &message.event_type {
        properties = properties.with_type(event_type.as_str().into());
    }
    if let Some(content_type) = &message.content_type {
        properties = properties.with_content_type(content_type.as_str().into());
    }
    if let Some(correlation_id) = &message.correlation_id {
        properties = properties.with_correlation_id(correlation_id.as_str().into());
    }
    if let Some(app_id) = &message.app_id {
        properties = properties.with_app_id(app_id.as_str().into());
    }
    if let Some(timestamp) = message.timestamp_s {
        properties = properties.with_timestamp(timestamp);
    }
    properties
}
