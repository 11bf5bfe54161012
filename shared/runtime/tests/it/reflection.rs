//! Reflection as its clients see it, in both versions.

use tonic::codec::CompressionEncoding;
use tonic_reflection::pb::{v1, v1alpha};

use crate::probe::{PROBE, Server};

const SERVED: [&str; 4] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    PROBE,
];

/// What every error carries.
const ERROR_INFO: &str = "google.rpc.ErrorInfo";

#[tokio::test]
async fn v1_lists_what_is_served_and_describes_it() {
    use v1::server_reflection_client::ServerReflectionClient;
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;
    let server = Server::with_defaults().await;
    let mut client = ServerReflectionClient::new(server.channel().await)
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    let ask = |message_request| v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message_request),
    };
    let requests = futures::stream::iter([
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(SERVED[0].to_owned())),
        ask(MessageRequest::FileContainingSymbol(ERROR_INFO.to_owned())),
    ]);
    let answers = client.server_reflection_info(requests).await.unwrap();
    let mut answers = answers.into_inner();

    let first = answers.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = first.message_response else {
        panic!("no list: {first:?}");
    };
    let mut names: Vec<String> = list.service.into_iter().map(|one| one.name).collect();
    names.sort();
    assert_eq!(names, SERVED);

    for symbol in [SERVED[0], ERROR_INFO] {
        let answer = answers.message().await.unwrap().unwrap();
        let Some(MessageResponse::FileDescriptorResponse(files)) = answer.message_response else {
            panic!("no file for {symbol}: {answer:?}");
        };
        assert_eq!(files.file_descriptor_proto.len(), 1);
    }
}

#[tokio::test]
async fn v1alpha_lists_what_is_served() {
    use v1alpha::server_reflection_client::ServerReflectionClient;
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;
    let server = Server::with_defaults().await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let requests = futures::stream::iter([v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    }]);
    let answers = client.server_reflection_info(requests).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("no list: {answer:?}");
    };
    let mut names: Vec<String> = list.service.into_iter().map(|one| one.name).collect();
    names.sort();
    assert_eq!(names, SERVED);
}
