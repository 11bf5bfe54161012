//! Publishing with confirms: mandatory, persistent, many outstanding.

use async_trait::async_trait;
use event::Message;
use lapin::Confirmation as Answer;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};

use super::connection::{Connection, short, within};
use super::properties::to_amqp;
use crate::transport::{Confirm, Confirmation, Publisher, TransportError};

pub(super) struct RabbitMqPublisher {
    connection: Connection,
}

impl RabbitMqPublisher {
    pub(super) async fn open(connection: Connection) -> Result<Self, TransportError> {
        // Without this, lapin reports every publish as a success that the broker never heard of.
        let selecting = connection
            .channel
            .confirm_select(ConfirmSelectOptions::default());
        connection
            .wait("asking for publisher confirms", selecting)
            .await?;
        Ok(Self { connection })
    }
}

#[async_trait]
impl Publisher for RabbitMqPublisher {
    async fn publish(&self, message: &Message) -> Result<Confirm, TransportError> {
        let options = BasicPublishOptions {
            mandatory: true,
            immediate: false,
        };
        let publishing = self.connection.channel.basic_publish(
            self.connection.name(&message.exchange)?,
            short(&message.routing_key)?,
            options,
            &message.body,
            to_amqp(message)?,
        );
        let confirm = self.connection.wait("publishing", publishing).await?;
        let limit = self.connection.config.time_out;
        Ok(Box::pin(async move {
            let answer = within(limit, "waiting for a publisher confirm", confirm).await?;
            confirmation(&answer)
        }))
    }
}

/// A message that no queue is bound for is returned *and* acknowledged, so an acknowledgement alone proves nothing.
fn confirmation(answer: &Answer) -> Result<Confirmation, TransportError> {
    match answer {
        Answer::Ack(None) => Ok(Confirmation::Routed),
        Answer::Ack(Some(_)) => Ok(Confirmation::Unrouted),
        Answer::Nack(_) => Ok(Confirmation::Refused(
            "the broker did not take it (basic.nack)".to_owned(),
        )),
        Answer::NotRequested => Err(TransportError::new(
            "publishing",
            "the channel is not in confirm mode",
        )),
    }
}
