//! Reads the whole message of a request, and counts its bytes while they arrive.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use tonic::body::Body;

use super::arrivals::{Arrival, Arrivals};
use super::marks::{Incomplete, NoFault};
use super::message::{self, Refused};
use crate::address::ClientAddress;

pub(super) struct Limit<'a> {
    pub(super) arrivals: &'a Arrivals,
    /// Bytes of the message.
    pub(super) largest: usize,
}

pub(super) struct Taken {
    pub(super) parts: Parts,
    pub(super) message: Bytes,
    /// `None` without a message.
    pub(super) arrival: Option<Arrival>,
}

pub(super) async fn take_in(
    request: Request<Body>,
    address: ClientAddress,
    limit: Limit<'_>,
) -> Result<Taken, Response<Body>> {
    let (parts, body) = request.into_parts();
    // The transport refuses it because of its headers.
    if !is_grpc(&parts.headers) {
        return Ok(Taken {
            parts,
            message: Bytes::new(),
            arrival: None,
        });
    }
    let incomplete = parts.extensions.get::<Incomplete>().cloned();
    let incomplete = incomplete.unwrap_or_default();
    incomplete.set(true);
    let has_encoding = has_encoding(&parts.headers);
    let read = async {
        let mut arrival = limit.arrivals.begin(address, size(&parts.headers))?;
        let message = message::read(body, limit.largest, has_encoding, &mut arrival).await?;
        Ok((message, arrival))
    };
    let read: Result<_, Refused> = read.await;
    incomplete.set(false);
    match read {
        Ok((message, arrival)) => Ok(Taken {
            parts,
            message,
            arrival: Some(arrival),
        }),
        Err(refused) => {
            let mut response = refused.into_status().into_http();
            // The client's mistake, with any code.
            response.extensions_mut().insert(NoFault);
            Err(response)
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(http::header::CONTENT_TYPE);
    content_type.is_some_and(|name| name.as_bytes().starts_with(b"application/grpc"))
}

fn has_encoding(headers: &HeaderMap) -> bool {
    let encoding = headers.get("grpc-encoding");
    encoding.is_some_and(|encoding| encoding != "identity")
}

fn size(headers: &HeaderMap) -> usize {
    let sizes = headers.iter();
    sizes
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}
