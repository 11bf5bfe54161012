//! Repeats a call after its transaction conflicted with another one.
//!
//! This is safe: the request is complete in memory, and the database has rolled the transaction back. If its default is
//! `serializable`, even unrelated calls conflict.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::Full;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::{Service, ServiceExt as _};

use crate::status::TRANSACTION_CONFLICT;

/// Attempts; after that, the client decides.
const ATTEMPTS: u32 = 6;
/// The maximum before the second attempt, doubled before each further one.
const PAUSE: Duration = Duration::from_millis(10);

pub(super) async fn call<S>(
    service: S,
    parts: Parts,
    message: Bytes,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    for attempt in 1..ATTEMPTS {
        let body = Body::new(Full::new(message.clone()));
        let request = Request::from_parts(parts.clone(), body);
        let response = service.clone().oneshot(request).await?;
        if !is_conflict(&response) {
            return Ok(response);
        }
        tracing::debug!(
            attempt,
            "the call conflicted with another one and is repeated"
        );
        let longest = PAUSE * 2_u32.pow(attempt - 1);
        tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
    }
    let body = Body::new(Full::new(message));
    service.oneshot(Request::from_parts(parts, body)).await
}

fn is_conflict(response: &Response<Body>) -> bool {
    let Some(status) = Status::from_header_map(response.headers()) else {
        return false;
    };
    if status.code() != Code::Aborted {
        return false;
    }
    let details = status.get_error_details();
    let info = details.error_info();
    info.is_some_and(|info| info.reason == TRANSACTION_CONFLICT)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use sea_orm::{DbErr, RuntimeErr};
    use tower::service_fn;

    use super::*;
    use crate::status;

    /// How often a handler with this many conflicts is called, and the client's answer.
    async fn called(conflicts: u32, refusal: &Status) -> (u32, Code) {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let handler = service_fn(move |_: Request<Body>| {
            let call = counted.fetch_add(1, Ordering::Relaxed);
            let answer = match call < conflicts {
                true => refusal.clone().into_http(),
                false => Status::ok("").into_http(),
            };
            async move { Ok::<_, Infallible>(answer) }
        });
        let (parts, ()) = Request::new(()).into_parts();
        let response = super::call(handler, parts, Bytes::new()).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        (calls.load(Ordering::Relaxed), status.code())
    }

    #[tokio::test]
    async fn a_conflict_is_met_with_another_attempt_and_nothing_else_is() {
        let conflict = status::transaction_conflict();
        assert_eq!(called(0, &conflict).await, (1, Code::Ok));
        assert_eq!(called(3, &conflict).await, (4, Code::Ok));
        assert_eq!(called(99, &conflict).await, (ATTEMPTS, Code::Aborted));
        let other = status::aborted("ETAG_MISMATCH", "the order was changed");
        assert_eq!(called(1, &other).await, (1, Code::Aborted));
        let away = status::database(&DbErr::Conn(RuntimeErr::Internal("away".to_owned())));
        assert_eq!(called(1, &away).await, (1, Code::Unavailable));
    }
}
