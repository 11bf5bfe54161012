//! The methods with client streaming, from the descriptors of a service.

use std::collections::HashSet;

use prost_reflect::{DescriptorError, DescriptorPool};

/// Full names, such as `angarium.user.v1.UserService/Import`.
pub(super) fn methods(descriptor_set: &[u8]) -> Result<HashSet<String>, DescriptorError> {
    let pool = DescriptorPool::decode(descriptor_set)?;
    let services = pool.services();
    Ok(services
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .filter(prost_reflect::MethodDescriptor::is_client_streaming)
        .map(|method| format!("{}/{}", method.parent_service().full_name(), method.name()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_methods_that_take_a_stream_are_named() {
        let found = methods(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET).unwrap();
        let expected = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
        assert_eq!(found, HashSet::from([expected.to_owned()]));
        assert!(
            methods(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .unwrap()
                .is_empty()
        );
        assert!(methods(&[]).unwrap().is_empty());
    }
}
