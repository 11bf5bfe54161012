//! `grpc.health.v1.Health`: a service serves while its database is available and accepts writes. `NOT_SERVING` is the
//! first step of a shutdown.
//!
//! The services' own names (and `""`, the whole process) follow the check of [`Health::watch`]. Further names, such as
//! the broker's, are set separately and affect nothing else.

mod service;
mod state;
mod watch;

use std::sync::Arc;

use tokio::sync::watch as channel;
use tonic_health::pb::health_server::HealthServer;

use state::State;

/// Of the whole process.
const WHOLE: &str = "";

/// The health of one gRPC server. Clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    services: Arc<[String]>,
    state: channel::Sender<State>,
}

impl Health {
    /// For these gRPC services, by full name. Reflection lists the same.
    pub fn new(services: &[&str]) -> Self {
        let services: Arc<[String]> = services.iter().map(ToString::to_string).collect();
        let names = services.iter().cloned().chain([WHOLE.to_owned()]);
        let state = State {
            serving: names.map(|name| (name, false)).collect(),
            draining: false,
        };
        Self {
            services,
            state: channel::Sender::new(state),
        }
    }

    /// Sets one name, for example `angarium.user.v1.UserService/broker`; a new name is added.
    pub fn set(&self, name: &str, serving: bool) {
        self.state.send_if_modified(|state| {
            let before = state.serving.insert(name.to_owned(), serving);
            before != Some(serving)
        });
    }

    /// Sets the services' names and the whole process.
    pub fn set_services(&self, serving: bool) {
        self.set(WHOLE, serving);
        for service in self.services.iter() {
            self.set(service, serving);
        }
    }

    /// Whether `name` serves; `None` for an unknown name.
    pub fn is_serving(&self, name: &str) -> Option<bool> {
        self.state.borrow().serving(name)
    }

    /// Sets everything to `NOT_SERVING` permanently; open `Watch` calls end.
    pub fn drain(&self) {
        self.state
            .send_if_modified(|state| !std::mem::replace(&mut state.draining, true));
    }

    /// Without `""` and further names.
    pub(crate) fn services(&self) -> &[String] {
        &self.services
    }

    /// Accepts gzip: clients may be configured to compress.
    pub(crate) fn server(&self) -> HealthServer<service::HealthService> {
        let service = service::HealthService::new(self.state.subscribe());
        HealthServer::new(service).accept_compressed(tonic::codec::CompressionEncoding::Gzip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "angarium.user.v1.UserService";

    #[test]
    fn nothing_serves_until_it_is_set() {
        let health = Health::new(&[USERS]);
        assert_eq!(health.is_serving(""), Some(false));
        assert_eq!(health.is_serving(USERS), Some(false));
        assert_eq!(health.is_serving("angarium.order.v1.OrderService"), None);
    }

    #[test]
    fn a_name_of_its_own_changes_nothing_else() {
        let health = Health::new(&[USERS]);
        health.set_services(true);
        health.set("angarium.user.v1.UserService/broker", false);
        assert_eq!(health.is_serving(""), Some(true));
        assert_eq!(health.is_serving(USERS), Some(true));
        assert_eq!(
            health.is_serving("angarium.user.v1.UserService/broker"),
            Some(false)
        );
    }

    #[test]
    fn draining_is_for_good() {
        let health = Health::new(&[USERS]);
        health.set_services(true);
        health.drain();
        health.set_services(true);
        assert_eq!(health.is_serving(""), Some(false));
        assert_eq!(health.is_serving(USERS), Some(false));
    }

    #[test]
    fn without_a_reader_nothing_is_lost() {
        let health = Health::new(&[USERS]);
        health.set(USERS, true);
        drop(health.server());
        health.set("later", true);
        assert_eq!(health.is_serving("later"), Some(true));
    }
}
