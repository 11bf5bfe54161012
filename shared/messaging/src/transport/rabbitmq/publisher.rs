//! Publishing with confirms: mandatory, persistent, many outstanding.

use std::time::Duration;

use async_trait::async_trait;
use event::Message;
use futures::FutureExt as _;
use futures::future::ready;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};

use super::answers::{Answer, Answers, Name};
use super::blocked::Blocked;
use super::connection::{Connection, short};
use super::properties::to_amqp;
use crate::transport::{Confirm, Confirmation, Publisher, TransportError};

/// A new leader of a quorum queue, or a slow disk, may delay a confirm for seconds. Heartbeats detect a lost
/// connection, but not a broker that never answers.
const CONFIRM_TIME_OUT: Duration = Duration::from_secs(30);

const ACTION: &str = "publishing";

pub(super) struct RabbitMqPublisher {
    connection: Connection,
    answers: Answers,
}

impl RabbitMqPublisher {
    pub(super) async fn open(connection: Connection) -> Result<Self, TransportError> {
        // Without this, lapin reports every publication as a success without the broker's answer.
        let selecting = connection
            .channel
            .confirm_select(ConfirmSelectOptions::default());
        connection
            .wait("asking for publisher confirms", selecting)
            .await?;
        let answers = Answers::begin();
        Ok(Self {
            connection,
            answers,
        })
    }
}

#[async_trait]
impl Publisher for RabbitMqPublisher {
    async fn ready(&self) -> Result<(), TransportError> {
        self.connection.blocked.end().await
    }

    async fn lost(&self) -> TransportError {
        self.connection.blocked.lost().await
    }

    async fn publish(&self, message: &Message) -> Result<Confirm, TransportError> {
        let options = BasicPublishOptions {
            mandatory: true,
            immediate: false,
        };
        let properties = match to_amqp(message) {
            Ok(properties) => properties,
            // The message can never fit into AMQP.
            Err(error) => return Ok(ready(Ok(Confirmation::Refused(error.to_string()))).boxed()),
        };
        let name = Name {
            exchange: self.connection.name(&message.exchange)?,
            routing_key: short(&message.routing_key)?,
            message_id: properties.message_id().clone(),
        };
        let publishing = self.connection.channel.basic_publish(
            name.exchange.clone(),
            name.routing_key.clone(),
            options,
            &message.body,
            properties,
        );
        let publishing = self.connection.wait_while_blocked(ACTION, publishing);
        let blocked = self.connection.blocked.clone();
        let answer = match self.answers.hand_over(name, publishing).await {
            Ok(answer) => answer,
            Err(error) => return Err(blocked.explain(ACTION, error).await),
        };
        Ok(Box::pin(wait_for_answer(answer, CONFIRM_TIME_OUT, blocked)))
    }
}

async fn wait_for_answer(
    answer: Answer,
    limit: Duration,
    blocked: Blocked,
) -> Result<Confirmation, TransportError> {
    const ACTION: &str = "waiting for a publisher confirm";
    let answered = blocked.outlast(limit, ACTION, answer).await?;
    answered.unwrap_or_else(|_| {
        let reason = "the connection was given up";
        Err(TransportError::new(ACTION, reason))
    })
}
