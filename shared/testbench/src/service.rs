//! A running service and its callers.

use service::Service;
use testkit::{Running, Tokens, authorized};
use tonic::Request;
use tonic::transport::Channel;

use crate::prepared::{Prepared, run};

/// A service in the test's process, called over a real socket. Dropping it is a crash; [`stop`](Self::stop) is an
/// orderly shutdown.
pub struct TestService<S: Service> {
    // First, so that its tasks end before the resources that they use.
    running: Running,
    /// Its database, as the test connects to it: past the settings of the service.
    pub db: store::Database,
    /// The service accepts them, for any user and role.
    pub tokens: Tokens,
    /// One admin for all calls of a test: a request id belongs to its caller.
    admin: String,
    pub(crate) prepared: Prepared<S>,
}

impl<S: Service> TestService<S> {
    /// Starts it, and makes the test's tokens known to it.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(prepared: Prepared<S>) -> Self {
        let host = prepared.build().await;
        let db = prepared.database.connect().await;
        // Before it runs: a service without a key requests one, and a slow test would find that event.
        let tokens = Tokens::accepted_by(&db).await;
        Self {
            running: run(host).await,
            admin: tokens.admin(),
            tokens,
            db,
            prepared,
        }
    }

    /// For a generated client.
    pub fn channel(&self) -> Channel {
        self.running.channel()
    }

    /// `message` in a call of this user.
    ///
    /// # Panics
    /// If the id is not a UUID.
    pub fn by<T>(&self, user_id: &str, message: T) -> Request<T> {
        let user_id = user_id.parse().expect("the id of a user");
        authorized(&self.tokens.user(user_id), message)
    }

    /// `message` in a call of an admin, always the same one.
    pub fn by_admin<T>(&self, message: T) -> Request<T> {
        authorized(&self.admin, message)
    }

    /// Another process of it, on the same database and broker.
    pub async fn replica(&self) -> Running {
        run(self.prepared.build().await).await
    }

    /// Stops it in order. What it ran on stays, for another start.
    ///
    /// # Panics
    /// If a part of it fails, or does not end in time.
    pub async fn stop(self) -> Prepared<S> {
        self.running.stop().await;
        self.prepared
    }

    /// Stops it in order, and starts it again with the same settings.
    ///
    /// # Panics
    /// As [`start`](Self::start) and [`stop`](Self::stop).
    pub async fn restart(self) -> Self {
        Self::start(self.stop().await).await
    }
}
