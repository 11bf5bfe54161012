//! Calls with a correlation id, as a caller gives it.

use runtime::grpc::CORRELATION_HEADER;
use tonic::Request;

/// `request` with this correlation id.
pub fn correlated<T>(correlation_id: &str, mut request: Request<T>) -> Request<T> {
    let value = correlation_id.parse().expect("a header value");
    request.metadata_mut().insert(CORRELATION_HEADER, value);
    request
}
