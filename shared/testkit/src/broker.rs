//! A broker for one test: a unique prefix on the RabbitMQ of the test run, or a private queue file.

use std::sync::{Arc, Mutex};

use event::Message;
use messaging::transport::{
    self, Confirmation, Embedded, RabbitMqConfig, Topology, Transport, dead_letter_queue,
};
use tempfile::TempDir;
use url::Url;
use uuid::Uuid;

use crate::{Proxy, VirtualHost, environment};

mod declared;
mod queue_file;
mod rabbitmq;

use declared::Declared;

/// The broker of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerKind {
    /// The server of the test run.
    RabbitMq,
    /// A queue file in a private folder.
    Embedded,
}

/// A broker of one test. Dropping it removes everything that its services declared.
pub struct Broker {
    place: Place,
}

enum Place {
    Server(Box<OnServer>),
    File(InFolder),
}

struct OnServer {
    config: RabbitMqConfig,
    declared: Mutex<Declared>,
}

struct InFolder {
    folder: TempDir,
    embedded: Option<Embedded>,
}

impl Broker {
    /// An empty broker of its own.
    pub async fn create(kind: BrokerKind) -> Self {
        match kind {
            BrokerKind::RabbitMq => {
                let prefix = format!("test-{}.", Uuid::now_v7().simple());
                Self::on_server(environment::amqp_url(), prefix)
            }
            BrokerKind::Embedded => {
                let folder = TempDir::new().expect("a temporary folder");
                let embedded = Some(queue_file::open(folder.path()).await);
                let place = Place::File(InFolder { folder, embedded });
                Self { place }
            }
        }
    }

    /// A broker on a private virtual host.
    pub fn of(virtual_host: &VirtualHost) -> Self {
        Self::on_server(virtual_host.url().clone(), String::new())
    }

    fn on_server(server: Url, prefix: String) -> Self {
        let config = RabbitMqConfig {
            prefix,
            ..RabbitMqConfig::new(server)
        };
        let declared = Mutex::default();
        let place = Place::Server(Box::new(OnServer { config, declared }));
        Self { place }
    }

    /// RabbitMQ or the embedded transport.
    pub fn kind(&self) -> BrokerKind {
        match self.place {
            Place::Server(_) => BrokerKind::RabbitMq,
            Place::File(_) => BrokerKind::Embedded,
        }
    }

    /// For an [`Engine`](messaging::Engine) with services that declare `topologies`.
    pub fn of_services<'a>(
        &self,
        topologies: impl IntoIterator<Item = &'a Topology>,
    ) -> transport::Broker {
        match &self.place {
            Place::Server(server) => {
                topologies
                    .into_iter()
                    .for_each(|topology| server.remember(topology));
                transport::Broker::RabbitMq(server.config.clone())
            }
            Place::File(file) => transport::Broker::Embedded(file.embedded().clone()),
        }
    }

    /// The broker as a service with `topology` sees it.
    pub fn transport(&self, topology: Topology) -> Arc<dyn Transport> {
        self.of_services([&topology]).transport("test", topology)
    }

    /// Closes and opens the file of an embedded broker, as a restart of all its users does. On RabbitMQ it does
    /// nothing: every publisher and receiver has its own connection.
    ///
    /// # Panics
    /// If the file is still in use.
    pub async fn reopen(&mut self) {
        if let Place::File(file) = &mut self.place {
            drop(file.embedded.take());
            file.embedded = Some(queue_file::open(file.folder.path()).await);
        }
    }

    /// Publishes like a foreign program: any bytes and properties.
    pub async fn publish(&self, message: &Message) -> Confirmation {
        match &self.place {
            Place::Server(server) => rabbitmq::publish(&server.config, message).await,
            Place::File(file) => {
                let transport = file.embedded().transport(Topology::default());
                let publisher = transport.publisher().await.expect("a publisher");
                let confirm = publisher.publish(message).await.expect("a publish");
                confirm.await.expect("a confirm")
            }
        }
    }

    /// As [`publish`](Self::publish), through `proxy`.
    ///
    /// # Panics
    /// On an embedded broker, which has no address.
    pub async fn publish_by(&self, proxy: &Proxy, message: &Message) -> Confirmation {
        let Place::Server(server) = &self.place else {
            panic!("an embedded broker has no address for a proxy");
        };
        let config = RabbitMqConfig {
            url: proxy.url().parse().expect("a URL"),
            ..server.config.clone()
        };
        rabbitmq::publish(&config, message).await
    }

    /// The number of messages in `queue`. Unacknowledged ones count on the embedded broker only, so call it when the
    /// queue is quiet.
    pub async fn messages(&self, queue: &str) -> u64 {
        match &self.place {
            Place::Server(server) => rabbitmq::messages(&server.config, queue).await,
            Place::File(file) => queue_file::messages(file.folder.path(), queue).await,
        }
    }

    /// Takes the first message from `queue` and returns its delivery mode.
    ///
    /// # Panics
    /// On an embedded broker, which persists everything.
    pub async fn delivery_mode(&self, queue: &str) -> Option<u8> {
        match &self.place {
            Place::Server(server) => rabbitmq::delivery_mode(&server.config, queue).await,
            Place::File(_) => panic!("an embedded broker has one mode"),
        }
    }

    /// Deletes `queue` with its content, as an operator can.
    ///
    /// # Panics
    /// On an embedded broker, which has no operator.
    pub async fn delete_queue(&self, queue: &str) {
        match &self.place {
            Place::Server(server) => rabbitmq::delete_queue(&server.config, queue).await,
            Place::File(_) => panic!("an embedded broker has no operator"),
        }
    }

    /// Removes the binding of `queue` for `pattern` on `exchange`, as an operator can.
    ///
    /// # Panics
    /// On an embedded broker, which has no operator.
    pub async fn unbind(&self, queue: &str, exchange: &str, pattern: &str) {
        match &self.place {
            Place::Server(server) => {
                rabbitmq::unbind(&server.config, queue, exchange, pattern).await;
            }
            Place::File(_) => panic!("an embedded broker has no operator"),
        }
    }

    /// The folder of an embedded broker's queue file `queue.db`.
    pub fn folder(&self) -> Option<&std::path::Path> {
        match &self.place {
            Place::Server(_) => None,
            Place::File(file) => Some(file.folder.path()),
        }
    }
}

impl InFolder {
    fn embedded(&self) -> &Embedded {
        self.embedded
            .as_ref()
            .expect("it is open but within `reopen`")
    }
}

impl OnServer {
    fn remember(&self, topology: &Topology) {
        let mut declared = self.declared.lock().expect("no test panics in here");
        declared.exchanges.extend(topology.exchanges.clone());
        if let Some(queue) = &topology.queue {
            declared
                .exchanges
                .insert(transport::DEAD_LETTER_EXCHANGE.to_owned());
            declared
                .queues
                .extend([queue.name.clone(), dead_letter_queue(&queue.name)]);
        }
    }
}

impl Drop for OnServer {
    fn drop(&mut self) {
        let declared = self
            .declared
            .lock()
            .expect("no test panics in here")
            .clone();
        let config = self.config.clone();
        if !declared.exchanges.is_empty() {
            crate::blocking::finish(async move { rabbitmq::remove(&config, &declared).await });
        }
    }
}
