//! Reflection from a client's view, in both versions.

use prost_reflect::DescriptorPool;
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::{FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status, Streaming};
use tonic_reflection::pb::v1::ExtensionRequest;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::{v1, v1alpha};

use crate::probe::{PROBE, Server};

const SERVED: [&str; 4] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    PROBE,
];

/// The detail of every error.
const ERROR_INFO: &str = "google.rpc.ErrorInfo";
const DURATION: &str = "google/protobuf/duration.proto";
const FIELD_OPTIONS: &str = "google.protobuf.FieldOptions";
const OPTION: i32 = 50_001;

#[tokio::test]
async fn v1_lists_what_is_served_and_describes_it() {
    let server = Server::with_defaults().await;
    let questions = vec![list(), symbol(SERVED[0]), symbol(ERROR_INFO)];
    let mut answers = ask(&server, questions).await;

    assert_eq!(names(next(&mut answers).await), SERVED);
    assert_eq!(files(next(&mut answers).await).len(), 1);
    let details = files(next(&mut answers).await);
    // The imports are complete.
    let imported: Vec<_> = details.iter().map(FileDescriptorProto::name).collect();
    assert_eq!(imported, ["error_details.proto", DURATION]);
    assert!(answers.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_file_comes_once_a_stream_unless_it_is_asked_for() {
    let server = Server::with_defaults().await;
    let questions = vec![symbol(ERROR_INFO), symbol(ERROR_INFO), file(DURATION)];
    let mut answers = ask(&server, questions).await;
    assert_eq!(files(next(&mut answers).await).len(), 2);
    assert_eq!(files(next(&mut answers).await).len(), 1);
    assert_eq!(files(next(&mut answers).await)[0].name(), DURATION);
}

#[tokio::test]
async fn what_is_not_known_is_an_answer_and_the_stream_goes_on() {
    let server = Server::with_defaults().await;
    let unknown = [
        (symbol("test.v1.None"), "symbol test.v1.None"),
        (file("none.proto"), "file none.proto"),
        (extension("test.v1.None", 1), "extension 1 of test.v1.None"),
        (
            extension(ERROR_INFO, -1),
            "extension -1 of google.rpc.ErrorInfo",
        ),
        (numbers("test.v1.None"), "message test.v1.None"),
    ];
    let questions = unknown.iter().map(|(question, _)| question.clone());
    let mut answers = ask(&server, questions.chain([list()]).collect()).await;
    for (question, what) in unknown {
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.original_request, Some(asked(question)));
        let Some(MessageResponse::ErrorResponse(error)) = answer.message_response else {
            panic!("no error: {answer:?}");
        };
        assert_eq!(Code::from(error.error_code), Code::NotFound);
        assert_eq!(error.error_message, format!("this server knows no {what}"));
    }
    assert_eq!(names(next(&mut answers).await), SERVED);
}

#[tokio::test]
async fn a_question_without_content_ends_the_stream() {
    let server = Server::with_defaults().await;
    let mut client = client(&server).await;
    let empty = v1::ServerReflectionRequest::default();
    let questions = futures::stream::iter([empty, asked(list())]);
    let answers = client.server_reflection_info(questions).await.unwrap();
    let refused: Status = answers.into_inner().message().await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn members_are_found_by_the_names_that_protobuf_gives_them() {
    let server = Server::with_defaults().await;
    let of_health = [
        "grpc.health.v1.HealthCheckRequest.service",
        "grpc.health.v1.Health.Watch",
        "grpc.health.v1.HealthCheckResponse.ServingStatus",
        "grpc.health.v1.HealthCheckResponse.SERVING",
    ];
    let oneof = "grpc.reflection.v1.ServerReflectionRequest.message_request";
    let questions = of_health.iter().map(|name| symbol(name));
    let mut answers = ask(&server, questions.chain([symbol(oneof)]).collect()).await;
    for name in of_health {
        let found = files(next(&mut answers).await);
        assert_eq!(found[0].package(), "grpc.health.v1", "{name}");
    }
    assert_eq!(
        files(next(&mut answers).await)[0].package(),
        "grpc.reflection.v1"
    );
}

#[tokio::test]
async fn extensions_are_found_by_number_and_by_name() {
    let server = Server::describing(with_an_option()).await;
    let questions = vec![
        extension(FIELD_OPTIONS, OPTION),
        symbol("test.v1.sensitive"),
        numbers(FIELD_OPTIONS),
        numbers(ERROR_INFO),
    ];
    let mut answers = ask(&server, questions).await;
    for _ in 0..2 {
        let found = files(next(&mut answers).await);
        assert_eq!(found[0].name(), "test/v1/options.proto");
    }
    for (message, known) in [(FIELD_OPTIONS, vec![OPTION]), (ERROR_INFO, vec![])] {
        let answer = next(&mut answers).await;
        let MessageResponse::AllExtensionNumbersResponse(answer) = answer else {
            panic!("no numbers: {answer:?}");
        };
        assert_eq!(answer.base_type_name, message);
        assert_eq!(answer.extension_number, known);
    }
}

#[tokio::test]
async fn v1alpha_answers_the_same() {
    use v1alpha::server_reflection_client::ServerReflectionClient;
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;
    let server = Server::with_defaults().await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let questions = [
        MessageRequest::FileContainingSymbol("test.v1.None".to_owned()),
        MessageRequest::FileContainingSymbol(ERROR_INFO.to_owned()),
        MessageRequest::ListServices(String::new()),
    ];
    let questions = questions.map(|question| v1alpha::ServerReflectionRequest {
        host: "a host".to_owned(),
        message_request: Some(question),
    });
    let answers = client.server_reflection_info(futures::stream::iter(questions));
    let mut answers = answers.await.unwrap().into_inner();
    let first = answers.message().await.unwrap().unwrap();
    assert_eq!(first.valid_host, "a host");
    let Some(MessageResponse::ErrorResponse(error)) = first.message_response else {
        panic!("no error: {first:?}");
    };
    assert_eq!(Code::from(error.error_code), Code::NotFound);
    let second = answers.message().await.unwrap().unwrap();
    let Some(MessageResponse::FileDescriptorResponse(found)) = second.message_response else {
        panic!("no files: {second:?}");
    };
    assert_eq!(found.file_descriptor_proto.len(), 2);
    let third = answers.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = third.message_response else {
        panic!("no list: {third:?}");
    };
    assert_eq!(list.service.len(), SERVED.len());
}

type Client = v1::server_reflection_client::ServerReflectionClient<tonic::transport::Channel>;

async fn client(server: &Server) -> Client {
    Client::new(server.channel().await)
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip)
}

async fn ask(
    server: &Server,
    questions: Vec<MessageRequest>,
) -> Streaming<v1::ServerReflectionResponse> {
    let questions = futures::stream::iter(questions.into_iter().map(asked));
    let mut client = client(server).await;
    let answers = client.server_reflection_info(questions).await;
    answers.unwrap().into_inner()
}

fn asked(question: MessageRequest) -> v1::ServerReflectionRequest {
    v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    }
}

fn list() -> MessageRequest {
    MessageRequest::ListServices(String::new())
}

fn symbol(name: &str) -> MessageRequest {
    MessageRequest::FileContainingSymbol(name.to_owned())
}

fn file(name: &str) -> MessageRequest {
    MessageRequest::FileByFilename(name.to_owned())
}

fn extension(of: &str, number: i32) -> MessageRequest {
    MessageRequest::FileContainingExtension(ExtensionRequest {
        containing_type: of.to_owned(),
        extension_number: number,
    })
}

fn numbers(of: &str) -> MessageRequest {
    MessageRequest::AllExtensionNumbersOfType(of.to_owned())
}

async fn next(answers: &mut Streaming<v1::ServerReflectionResponse>) -> MessageResponse {
    let answer = answers
        .message()
        .await
        .unwrap()
        .expect("the stream goes on");
    answer.message_response.unwrap()
}

#[track_caller]
fn files(answer: MessageResponse) -> Vec<FileDescriptorProto> {
    let MessageResponse::FileDescriptorResponse(files) = answer else {
        panic!("no files: {answer:?}");
    };
    let files = files.file_descriptor_proto.iter();
    files
        .map(|file| FileDescriptorProto::decode(file.as_slice()).unwrap())
        .collect()
}

#[track_caller]
fn names(answer: MessageResponse) -> Vec<String> {
    let MessageResponse::ListServicesResponse(list) = answer else {
        panic!("no list: {answer:?}");
    };
    let mut names: Vec<String> = list.service.into_iter().map(|one| one.name).collect();
    names.sort();
    names
}

/// In it, a file extends the field options.
fn with_an_option() -> &'static [u8] {
    let known = DescriptorPool::global();
    let imported = known
        .get_file_by_name("google/protobuf/descriptor.proto")
        .unwrap();
    let options = FileDescriptorProto {
        name: Some("test/v1/options.proto".to_owned()),
        package: Some("test.v1".to_owned()),
        syntax: Some("proto3".to_owned()),
        dependency: vec![imported.name().to_owned()],
        extension: vec![FieldDescriptorProto {
            name: Some("sensitive".to_owned()),
            number: Some(OPTION),
            label: Some(Label::Optional.into()),
            r#type: Some(Type::Bool.into()),
            extendee: Some(format!(".{FIELD_OPTIONS}")),
            ..FieldDescriptorProto::default()
        }],
        ..FileDescriptorProto::default()
    };
    let file = vec![imported.file_descriptor_proto().clone(), options];
    FileDescriptorSet { file }.encode_to_vec().leak()
}
