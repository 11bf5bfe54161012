//! A private server that a test may kill at any moment. It ends with its owner, also if this process is killed.

use processes::{Kind, Server, Stop};
use tokio::task::spawn_blocking;
use url::Url;

use crate::Operator;

/// The kind of a private server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// With durable settings, unlike the shared one of the test run.
    Postgres,
    /// One node.
    RabbitMq,
}

/// A private server. Dropping it ends the server.
pub struct OwnServer {
    url: Url,
    rabbitmqctl: Option<Operator>,
    /// `None` within a command.
    server: Option<Server>,
}

impl OwnServer {
    /// Starts a server.
    ///
    /// # Errors
    /// If this machine has no such server, with the reason for a person.
    pub async fn start(kind: ServerKind) -> Result<Self, String> {
        let kind = match kind {
            ServerKind::Postgres => Kind::DurablePostgres,
            ServerKind::RabbitMq => Kind::RabbitMq,
        };
        let started = spawn_blocking(move || Server::start(kind, &Stop::default())).await;
        let server = started.expect("it does not panic");
        let server = server.map_err(|error| format!("{error:#}"))?;
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        Ok(Self {
            url: server.url().parse().expect("a URL"),
            rabbitmqctl: server.rabbitmqctl().map(words).map(Operator::with),
            server: Some(server),
        })
    }

    /// Its URL; the same after each restart.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// An operator with all permissions on the broker.
    ///
    /// # Panics
    /// If it is no broker.
    pub fn operator(&self) -> &Operator {
        self.rabbitmqctl.as_ref().expect("it is a RabbitMQ")
    }

    /// Kills it, like a power cut (kill -9).
    pub async fn kill(&mut self) {
        self.command(Server::kill).await;
    }

    /// Stops it in order.
    pub async fn stop(&mut self) {
        self.command(Server::stop).await;
    }

    /// Starts it again, and waits until it answers.
    pub async fn start_again(&mut self) {
        self.command(|server| server.start_again(&Stop::default()))
            .await;
    }

    /// Beside the runtime: a service under test goes on meanwhile.
    async fn command(
        &mut self,
        command: impl FnOnce(&mut Server) -> anyhow::Result<()> + Send + 'static,
    ) {
        let mut server = self.server.take().expect("an earlier command ended");
        let done = spawn_blocking(move || {
            let done = command(&mut server);
            (server, done)
        });
        let (server, done) = done.await.expect("it does not panic");
        self.server = Some(server);
        done.unwrap_or_else(|error| panic!("{error:#}"));
    }
}
