//! One trait for the generated gRPC servers: tonic defines none for their common methods.

use std::fmt::Write;

use prost_reflect::DescriptorPool;

pub(crate) fn to_rust(pool: &DescriptorPool) -> String {
    let mut code = String::new();
    for service in pool.services() {
        let Some(package) = service.package_name().strip_prefix("angarium.") else {
            continue;
        };
        let (package, name) = (package.replace('.', "::"), service.name());
        let path = format!("crate::{package}::{}_server", snake_case(name));
        let _ = write!(
            code,
            "impl<T: {path}::{name}> crate::GrpcServer for {path}::{name}Server<T> {{\n\
             fn add_to(self, routes: ::tonic::service::Routes, (request, response): (usize, usize)) -> ::tonic::service::Routes {{\n\
             let gzip = ::tonic::codec::CompressionEncoding::Gzip;\n\
             routes.add_service(self.max_decoding_message_size(request).max_encoding_message_size(response)\n\
             .accept_compressed(gzip).send_compressed(gzip))\n}}\n}}\n"
        );
    }
    code
}

/// tonic's module name for a service.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
