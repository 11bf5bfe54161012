//! A service inside the test's process, called over a real socket.

use std::net::{Ipv4Addr, SocketAddr};

use runtime::Shutdown;
use runtime::config::GrpcConfig;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::environment;

/// A running service. Dropping it is a crash; [`stop`](Self::stop) is an orderly shutdown.
pub struct Running {
    address: SocketAddr,
    channel: Channel,
    shutdown: Shutdown,
    run: JoinSet<anyhow::Result<()>>,
}

impl Running {
    /// Runs a built service that listens on `address`: `Running::start(app.grpc_addr(), |shutdown| app.run(shutdown))`.
    pub async fn start<R>(address: SocketAddr, run: impl FnOnce(Shutdown) -> R) -> Self
    where
        R: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let shutdown = Shutdown::new(environment::patience());
        let mut running = JoinSet::new();
        running.spawn(run(shutdown.clone()));
        let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address");
        let channel = endpoint.connect().await;
        Self {
            address,
            channel: channel.unwrap_or_else(|error| panic!("connecting to {address}: {error}")),
            shutdown,
            run: running,
        }
    }

    /// For a generated client.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Its address, for a client with its own connection.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shuts down the service and waits for its end.
    ///
    /// # Panics
    /// If a part fails, or does not end within the patience of the test run.
    pub async fn stop(mut self) {
        self.shutdown.trigger();
        let ended = self.run.join_next().await.expect("one task was started");
        ended
            .expect("it does not panic")
            .unwrap_or_else(|error| panic!("it did not end in order: {error:#}"));
    }
}

/// Defaults, a free port, and no limits per caller, because tests call often.
pub fn any_port() -> GrpcConfig {
    let mut config = GrpcConfig::on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    config.clients.calls_per_second = None;
    config.callers.max_in_flight_per_address = None;
    config.callers.max_in_flight_per_user = None;
    config
}
