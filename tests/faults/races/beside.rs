//! The same queue twice: a transport that gives its consumer what comes to a queue of its own instead, under the name of the
//! other. So of each event each of two consumers gets one, whatever a broker would have given to whom.

use std::sync::Arc;

use async_trait::async_trait;
use messaging::transport::{Publisher, Receiver, Topology, Transport, TransportError};
use messaging::{Subscriptions, System};
use testkit::Broker;

use crate::deposit::{self, Deposited};
use crate::ledger::effects;

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
