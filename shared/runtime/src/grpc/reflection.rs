//! Reflection in both versions: grpcurl and buf ask for v1, grpcio's client only knows v1alpha.

use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::Routes;
use tonic_reflection::server::{Builder, Error};

/// Always there, beside the services of the server.
const HEALTH: &str = "grpc.health.v1.Health";
const V1: &str = "grpc.reflection.v1.ServerReflection";
const V1ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";

/// Adds both services. They list what is served here (`services`), though `descriptor_set` may describe more.
pub(super) fn add(
    routes: Routes,
    descriptor_set: &'static [u8],
    services: &[String],
) -> Result<Routes, Error> {
    let v1 = describing(descriptor_set, services).build_v1()?;
    let v1alpha = describing(descriptor_set, services).build_v1alpha()?;
    Ok(routes
        .add_service(v1.accept_compressed(Gzip).send_compressed(Gzip))
        .add_service(v1alpha.accept_compressed(Gzip).send_compressed(Gzip)))
}

fn describing(descriptor_set: &'static [u8], services: &[String]) -> Builder<'static> {
    let known = [
        descriptor_set,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        // Without them grpcurl shows the details of an error as base64.
        tonic_types::pb::FILE_DESCRIPTOR_SET,
    ];
    let mut builder = Builder::configure().include_reflection_service(false);
    for descriptors in known {
        builder = builder.register_encoded_file_descriptor_set(descriptors);
    }
    let own = [HEALTH, V1, V1ALPHA];
    for name in services.iter().map(String::as_str).chain(own) {
        builder = builder.with_service_name(name);
    }
    builder
}
