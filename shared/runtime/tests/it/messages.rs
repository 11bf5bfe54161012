//! Messages that are too large, too deep, or malformed: each is refused with its reason, and other calls are
//! unaffected.

use http::uri::PathAndQuery;
use runtime::config::GrpcConfig;
use testkit::reason;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request, Status};

use bytes::{Buf as _, BufMut as _};
use tonic::transport::Channel;

use crate::probe::{Server, ask, call};

struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&bytes);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length).to_vec()))
    }
}

async fn sent(channel: &Channel, bytes: Vec<u8>, packed: bool) -> Result<Vec<u8>, Status> {
    let mut client = Grpc::new(channel.clone());
    if packed {
        client = client.send_compressed(CompressionEncoding::Gzip);
    }
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/test.v1.ProbeService/Check");
    let answer = client.unary(Request::new(bytes), path, Raw).await;
    answer.map(tonic::Response::into_inner)
}

/// An unknown field with nested groups.
fn nested(levels: usize) -> Vec<u8> {
    const BEGIN: u8 = (5 << 3) | 3;
    const END: u8 = (5 << 3) | 4;
    [vec![BEGIN; levels], vec![END; levels]].concat()
}

#[tokio::test]
async fn a_message_of_five_mebibytes_is_refused() {
    let server = Server::with_defaults().await;
    let channel = server.channel().await;
    let refused = sent(&channel, vec![0; 5 << 20], false).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert_eq!(reason(&refused), "MESSAGE_TOO_LARGE");
    assert!(call(channel, ask("")).await.is_ok());
}

#[tokio::test]
async fn a_compressed_bomb_is_refused_before_it_is_unpacked() {
    let small = |grpc: &mut GrpcConfig| grpc.max_request_bytes = 64 << 10;
    let no_hurry = runtime::Shutdown::new(std::time::Duration::from_secs(600));
    let server = Server::start(small, no_hurry).await;
    let channel = server.channel().await;
    // 16 MiB of zeros are 16 KiB on the wire.
    let refused = sent(&channel, vec![0; 16 << 20], true).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert_eq!(reason(&refused), "MESSAGE_TOO_LARGE");
    assert!(call(channel, ask("")).await.is_ok());
}

#[tokio::test]
async fn a_message_may_have_100_levels_and_not_101() {
    let server = Server::with_defaults().await;
    let channel = server.channel().await;
    assert!(sent(&channel, nested(99), false).await.is_ok());
    for levels in [101, 100_000] {
        let refused = sent(&channel, nested(levels), false).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        assert_eq!(reason(&refused), "MESSAGE_MALFORMED");
    }
    assert!(call(channel, ask("")).await.is_ok());
}

#[tokio::test]
async fn bytes_that_are_no_message_are_the_callers_mistake() {
    let server = Server::with_defaults().await;
    let channel = server.channel().await;
    let refused = sent(&channel, vec![0xff; 64], false).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    assert_eq!(reason(&refused), "MESSAGE_MALFORMED");
    assert!(call(channel, ask("")).await.is_ok());
}
