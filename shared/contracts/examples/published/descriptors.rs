//! What clients without reflection are given: all that reflection would tell them.
//!
//! Beside our own files these are the details of errors, without which a client shows them as bytes, and health.

use std::collections::HashSet;

use anyhow::Result;
use contracts::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::FileDescriptorSet;

pub(crate) fn write() -> Result<Vec<u8>> {
    let ours = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET)?;
    let mut named: HashSet<String> = names(&ours).collect();
    // To append a set to another is to append its bytes; and ours hold options that would not survive being encoded anew.
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

/// Where their authors keep them, and where every import expects them; the crates that bring them name the bare files.
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
