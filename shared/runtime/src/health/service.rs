//! The gRPC side of health, as in health-checking.md. For an unknown name, `Check` answers `NOT_FOUND`, and `Watch`
//! sends `SERVICE_UNKNOWN` on an open stream.

use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use tokio::sync::watch::Receiver;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::state::State;
use crate::grpc::marks::NoFault;
use crate::status;

/// Clients try another instance, or this one after its restart.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct HealthService {
    state: Receiver<State>,
}

impl HealthService {
    pub(super) fn new(state: Receiver<State>) -> Self {
        Self { state }
    }
}

type Changes = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl health_server::Health for HealthService {
    type WatchStream = Changes;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = request.into_inner().service;
        let serving = self.state.borrow().serving(&name);
        if serving.is_none() {
            let message = "this server has no service with this name";
            let kind = "grpc.health.v1.service";
            return Err(status::not_found("SERVICE_UNKNOWN", kind, &name, message));
        }
        Ok(Response::new(response(serving)))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Changes>, Status> {
        let name = request.into_inner().service;
        let watching = Watching {
            name,
            state: self.state.clone(),
            sent: None,
            ended: false,
        };
        let changes = futures::stream::unfold(watching, Watching::next);
        let mut response: Response<Changes> = Response::new(Box::pin(changes));
        // Balancing clients keep one open for their whole life: its end with the server is no fault.
        response.extensions_mut().insert(NoFault);
        Ok(response)
    }
}

struct Watching {
    name: String,
    state: Receiver<State>,
    sent: Option<HealthCheckResponse>,
    ended: bool,
}

impl Watching {
    /// The next message: a changed state, or the end while draining: an open `Watch` would delay the drain of its
    /// connection for the whole grace period.
    async fn next(mut self) -> Option<(Result<HealthCheckResponse, Status>, Self)> {
        if self.ended {
            return None;
        }
        loop {
            let (now, draining) = {
                let state = self.state.borrow_and_update();
                (response(state.serving(&self.name)), state.draining)
            };
            if self.sent.as_ref() != Some(&now) {
                self.sent = Some(now);
                return Some((Ok(now), self));
            }
            if draining || self.state.changed().await.is_err() {
                self.ended = true;
                let going = status::unavailable("SHUTTING_DOWN", RETRY_AFTER);
                return Some((Err(going), self));
            }
        }
    }
}

fn response(serving: Option<bool>) -> HealthCheckResponse {
    let status = match serving {
        Some(true) => ServingStatus::Serving,
        Some(false) => ServingStatus::NotServing,
        None => ServingStatus::ServiceUnknown,
    };
    HealthCheckResponse {
        status: status.into(),
    }
}

#[cfg(test)]
mod tests {
    use tonic_health::pb::health_server::Health as _;

    use super::*;
    use crate::Health;

    #[tokio::test]
    async fn a_watch_that_ends_with_the_server_is_no_fault() {
        let health = Health::new(&["angarium.user.v1.UserService"]);
        let service = HealthService::new(health.state.subscribe());
        let watching = service
            .watch(Request::new(HealthCheckRequest::default()))
            .await;
        let watching = watching.unwrap();
        assert!(watching.extensions().get::<NoFault>().is_some());
    }
}
