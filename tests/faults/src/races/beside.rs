//! A transport for a consumer that reads a second queue, with the same bindings, under the name of the first. So each of two consumers
//! gets every event, and none takes events from the other.

use std::sync::Arc;

use async_trait::async_trait;
use messaging::transport::{Publisher, Receiver, Topology, Transport, TransportError};
use messaging::{Subscriptions, System};
use testkit::Broker;

use crate::deposit::{self, Deposited};
use crate::workload::effects;

pub(super) const QUEUE: &str = "beside_queue";

pub(super) struct Beside(Arc<dyn Transport>);

impl Beside {
    pub(super) fn of(broker: &Broker) -> Arc<dyn Transport> {
        let bound = Subscriptions::new(QUEUE).on::<Deposited>(effects::record);
        let topology = Topology::default().consuming(bound.queue());
        Arc::new(Self(broker.transport(topology)))
    }
}

#[async_trait]
impl Transport for Beside {
    fn system(&self) -> System {
        self.0.system()
    }

    async fn declare(&self) -> Result<(), TransportError> {
        self.0.declare().await
    }

    async fn publisher(&self) -> Result<Box<dyn Publisher>, TransportError> {
        self.0.publisher().await
    }

    async fn receiver(
        &self,
        queue: &str,
        prefetch: u16,
    ) -> Result<Box<dyn Receiver>, TransportError> {
        let queue = if queue == deposit::QUEUE {
            QUEUE
        } else {
            queue
        };
        self.0.receiver(queue, prefetch).await
    }
}
