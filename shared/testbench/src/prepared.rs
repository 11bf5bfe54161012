//! A service before its start: what it runs on, and its settings.

use messaging::Subscriptions;
use messaging::transport::{self, RabbitMqConfig};
use service::{Common, Config, Host, OwnArgs, Service};
use testkit::{Broker, Database, Running, any_port};

use crate::subscriber::topology;

/// The validated form of the own settings of `S`.
pub type OwnOf<S> = <<S as Service>::Args as OwnArgs>::Config;

/// A service that can be started. A test may change `config` before; each replica starts with it.
pub struct Prepared<S: Service> {
    /// Defaults, a free port, no limits per caller, and the addresses of the test's own database and broker.
    pub config: Config<OwnOf<S>>,
    pub(crate) broker: Broker,
    pub(crate) database: Database,
}

impl<S: Service> Prepared<S> {
    /// On this database and this broker, with these own settings.
    pub fn on(database: Database, broker: Broker, own: OwnOf<S>) -> Self {
        let reached = broker.of_services([&S::DEFINITION.participant().topology()]);
        let common = Common::new(any_port(), database.config(), reached);
        Self {
            config: Config { common, own },
            broker,
            database,
        }
    }

    /// Makes the broker keep these events from now on, as if another service subscribed to them.
    pub async fn declare(&self, events: &Subscriptions) {
        let transport = self.broker.transport(topology(events));
        transport
            .declare()
            .await
            .unwrap_or_else(|error| panic!("declaring a subscriber: {error:#}"));
    }

    /// One process of it, which does not run yet. Its database is migrated.
    pub(crate) async fn build(&self) -> Host {
        let host = Host::build::<S>(self.config.clone()).await;
        host.unwrap_or_else(|error| panic!("{} does not start: {error:#}", S::DEFINITION.name))
    }
}

/// The caller keeps what the process runs on.
pub(crate) async fn run(host: Host) -> Running {
    Running::start(host.grpc_addr(), |shutdown| host.run(shutdown)).await
}

/// The address of a broker that is not there.
pub fn no_broker() -> transport::Broker {
    let url = "amqp://user:password@127.0.0.1:1/%2f".parse();
    transport::Broker::RabbitMq(RabbitMqConfig::new(url.expect("a URL")))
}
