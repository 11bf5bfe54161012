//! Calls methods by name, for tests of all methods.

use bytes::Bytes;
use http::uri::PathAndQuery;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::authorized;

/// Calls `method` (such as `angarium.user.v1.UserService/GetUser`) with an empty message and optionally with `token`.
/// Returns the bytes of the first answer.
///
/// # Errors
/// The server's error.
///
/// # Panics
/// If `method` is no path.
pub async fn call_unchecked(
    channel: Channel,
    method: &str,
    token: Option<&str>,
) -> Result<Bytes, Status> {
    let request = match token {
        Some(token) => authorized(token, Bytes::new()),
        None => Request::new(Bytes::new()),
    };
    call_with_bytes(channel, method, request).await
}

/// As [`call_unchecked`], with any bytes as the message and any metadata.
///
/// # Errors
/// The server's error.
///
/// # Panics
/// If `method` is no path.
pub async fn call_with_bytes(
    channel: Channel,
    method: &str,
    request: Request<Bytes>,
) -> Result<Bytes, Status> {
    let path: PathAndQuery = format!("/{method}").parse().expect("a method's name");
    let mut client = tonic::client::Grpc::new(channel);
    client
        .ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    // A stream works for both kinds of methods.
    let answer = client.server_streaming(request, path, Raw).await?;
    let first = answer.into_inner().message().await?;
    Ok(first.unwrap_or_default())
}

struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put(buffer, item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = bytes::Buf::remaining(buffer);
        Ok(Some(bytes::Buf::copy_to_bytes(buffer, length)))
    }
}
