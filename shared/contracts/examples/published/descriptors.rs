//! The descriptor set for clients that do not use reflection, with the health service and the messages of error
//! details, without which a client shows bytes.

use std::collections::HashSet;

use anyhow::Result;
use contracts::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::FileDescriptorSet;

pub(crate) fn write() -> Result<Vec<u8>> {
    let ours = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET)?;
    let mut named: HashSet<String> = names(&ours).collect();
    // Sets are merged by appending: re-encoding would drop our options.
    let mut set = FILE_DESCRIPTOR_SET.to_vec();
    for others in [
        tonic_types::pb::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
    ] {
        let mut others = FileDescriptorSet::decode(others)?;
        for file in &mut others.file {
            file.name = Some(path(file.name()).to_owned());
            for dependency in &mut file.dependency {
                *dependency = path(dependency).to_owned();
            }
        }
        others.file.retain(|file| !named.contains(file.name()));
        named.extend(names(&others));
        others.encode(&mut set)?;
    }
    Ok(set)
}

/// The crates that contain these files use the bare file names.
fn path(name: &str) -> &str {
    match name {
        "status.proto" => "google/rpc/status.proto",
        "error_details.proto" => "google/rpc/error_details.proto",
        "health.proto" => "grpc/health/v1/health.proto",
        other => other,
    }
}

fn names(set: &FileDescriptorSet) -> impl Iterator<Item = String> {
    set.file.iter().map(|file| file.name().to_owned())
}
