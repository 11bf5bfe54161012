//! Reflection in both versions: grpcurl and buf use v1, grpcio's client only v1alpha.
//!
//! It answers like the reference implementation: an unanswerable question gets an error response, and the stream
//! continues. A file comes with its imports, each once per stream.

mod files;

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorError, FileDescriptor};
use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::server_reflection_server as server;
use tonic_reflection::pb::v1alpha::server_reflection_server as server_alpha;
use tonic_reflection::pb::{v1, v1alpha};

use files::Files;

pub(super) const PREFIX: &str = "grpc.reflection.";
/// A question is a name.
const LARGEST_QUESTION: usize = 16 << 10;
const HEALTH: &str = "grpc.health.v1.Health";
const V1: &str = "grpc.reflection.v1.ServerReflection";
const V1ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";

/// They list only `services`, although `descriptor_set` may describe more.
pub(super) fn add(
    routes: Routes,
    descriptor_set: &'static [u8],
    services: &[String],
) -> Result<Routes, DescriptorError> {
    let own = [HEALTH, V1, V1ALPHA].map(str::to_owned);
    let reflection = Reflection(Arc::new(Served {
        files: Files::read(descriptor_set)?,
        services: services.iter().cloned().chain(own).collect(),
    }));
    let v1 = server::ServerReflectionServer::new(reflection.clone())
        .max_decoding_message_size(LARGEST_QUESTION);
    let v1alpha = server_alpha::ServerReflectionServer::new(reflection)
        .max_decoding_message_size(LARGEST_QUESTION);
    Ok(routes
        .add_service(v1.accept_compressed(Gzip).send_compressed(Gzip))
        .add_service(v1alpha.accept_compressed(Gzip).send_compressed(Gzip)))
}

#[derive(Clone)]
struct Reflection(Arc<Served>);

struct Served {
    files: Files,
    services: Vec<String>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl server::ServerReflection for Reflection {
    type ServerReflectionInfoStream = Answers<v1::ServerReflectionResponse>;

    async fn server_reflection_info(
        &self,
        questions: Request<Streaming<v1::ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let mut stream = Conversation::new(&self.0);
        let answers = questions
            .into_inner()
            .map(move |question| stream.answer(question?));
        Ok(Response::new(Box::pin(answers)))
    }
}

/// The messages of both versions are equal on the wire.
#[tonic::async_trait]
impl server_alpha::ServerReflection for Reflection {
    type ServerReflectionInfoStream = Answers<v1alpha::ServerReflectionResponse>;

    async fn server_reflection_info(
        &self,
        questions: Request<Streaming<v1alpha::ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let mut stream = Conversation::new(&self.0);
        let answers = questions
            .into_inner()
            .map(move |question| same(&stream.answer(same(&question?)?)?));
        Ok(Response::new(Box::pin(answers)))
    }
}

fn same<T: Message + Default>(message: &impl Message) -> Result<T, Status> {
    T::decode(message.encode_to_vec().as_slice())
        .map_err(|error| Status::internal(error.to_string()))
}

struct Conversation {
    served: Arc<Served>,
    /// The files that the client has, by name.
    sent: HashSet<String>,
}

impl Conversation {
    fn new(served: &Arc<Served>) -> Self {
        Self {
            served: Arc::clone(served),
            sent: HashSet::new(),
        }
    }

    /// An error ends the stream; `NOT_FOUND` is an answer.
    fn answer(
        &mut self,
        question: v1::ServerReflectionRequest,
    ) -> Result<v1::ServerReflectionResponse, Status> {
        let Some(asked) = &question.message_request else {
            return Err(Status::invalid_argument(
                "message_request is not set: ask for a file, a symbol, an extension or the services",
            ));
        };
        let answer = self.find(asked).unwrap_or_else(|| not_found(asked));
        Ok(v1::ServerReflectionResponse {
            valid_host: question.host.clone(),
            original_request: Some(question),
            message_response: Some(answer),
        })
    }

    fn find(&mut self, asked: &MessageRequest) -> Option<MessageResponse> {
        let served = Arc::clone(&self.served);
        let files = &served.files;
        match asked {
            MessageRequest::FileByFilename(name) => {
                files.named(name).map(|file| self.with_imports(file))
            }
            MessageRequest::FileContainingSymbol(symbol) => {
                files.declaring(symbol).map(|file| self.with_imports(file))
            }
            MessageRequest::FileContainingExtension(extension) => files
                .extending(&extension.containing_type, extension.extension_number)
                .map(|file| self.with_imports(file)),
            MessageRequest::AllExtensionNumbersOfType(message) => {
                let numbers = v1::ExtensionNumberResponse {
                    base_type_name: message.clone(),
                    extension_number: files.extension_numbers(message)?,
                };
                Some(MessageResponse::AllExtensionNumbersResponse(numbers))
            }
            MessageRequest::ListServices(_) => {
                let names = self.served.services.iter().cloned();
                Some(MessageResponse::ListServicesResponse(
                    v1::ListServiceResponse {
                        service: names.map(|name| v1::ServiceResponse { name }).collect(),
                    },
                ))
            }
        }
    }

    /// The file first, also if it was sent before; then its imports that the client lacks.
    fn with_imports(&mut self, file: FileDescriptor) -> MessageResponse {
        self.sent.insert(file.name().to_owned());
        let mut found = vec![file];
        let mut next = 0;
        while let Some(file) = found.get(next) {
            let imports: Vec<_> = file.dependencies().collect();
            let new = imports
                .into_iter()
                .filter(|import| self.sent.insert(import.name().to_owned()));
            found.extend(new);
            next += 1;
        }
        MessageResponse::FileDescriptorResponse(v1::FileDescriptorResponse {
            file_descriptor_proto: found.iter().map(FileDescriptor::encode_to_vec).collect(),
        })
    }
}

fn not_found(asked: &MessageRequest) -> MessageResponse {
    let what = match asked {
        MessageRequest::FileByFilename(name) => format!("file {name}"),
        MessageRequest::FileContainingSymbol(symbol) => format!("symbol {symbol}"),
        MessageRequest::FileContainingExtension(extension) => format!(
            "extension {} of {}",
            extension.extension_number, extension.containing_type
        ),
        MessageRequest::AllExtensionNumbersOfType(message) => format!("message {message}"),
        MessageRequest::ListServices(_) => "list of services".to_owned(),
    };
    MessageResponse::ErrorResponse(v1::ErrorResponse {
        error_code: Code::NotFound.into(),
        error_message: format!("this server knows no {what}"),
    })
}
