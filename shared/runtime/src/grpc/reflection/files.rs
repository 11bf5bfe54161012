//! The files of reflection: of the service, health, reflection and error details. The service's own come first: if they
//! contain google/rpc/error_details.proto, no second file declares the same.

use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::{FileDescriptorProto, FileDescriptorSet};
use prost_reflect::{DescriptorError, DescriptorPool, FileDescriptor};

pub(super) struct Files(DescriptorPool);

impl Files {
    pub(super) fn read(descriptor_set: &[u8]) -> Result<Self, DescriptorError> {
        // Any other form loses the options that the files declare.
        let mut pool = DescriptorPool::decode(descriptor_set)?;
        let others = [
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
            // Without them, grpcurl shows error details as base64.
            tonic_types::pb::FILE_DESCRIPTOR_SET,
        ];
        for set in others {
            let set = FileDescriptorSet::decode(set).unwrap_or_default();
            for file in set.file {
                if !is_known(&pool, &file) {
                    pool.add_file_descriptor_proto(file)?;
                }
            }
        }
        Ok(Self(pool))
    }

    pub(super) fn named(&self, name: &str) -> Option<FileDescriptor> {
        self.0.get_file_by_name(name)
    }

    /// The file that declares this full name: a type, or a member of one.
    pub(super) fn declaring(&self, symbol: &str) -> Option<FileDescriptor> {
        self.declaring_type(symbol)
            .or_else(|| self.declaring_member(symbol))
    }

    pub(super) fn extending(&self, message: &str, number: i32) -> Option<FileDescriptor> {
        let message = self.0.get_message_by_name(message)?;
        let extension = message.get_extension(number.try_into().ok()?)?;
        Some(extension.parent_file())
    }

    /// In order; `None` for an unknown message.
    pub(super) fn extension_numbers(&self, message: &str) -> Option<Vec<i32>> {
        let message = self.0.get_message_by_name(message)?;
        let numbers = message.extensions().map(|extension| extension.number());
        let mut numbers: Vec<i32> = numbers
            .filter_map(|number| number.try_into().ok())
            .collect();
        numbers.sort_unstable();
        Some(numbers)
    }

    fn declaring_type(&self, name: &str) -> Option<FileDescriptor> {
        let pool = &self.0;
        let message = || Some(pool.get_message_by_name(name)?.parent_file());
        let service = || Some(pool.get_service_by_name(name)?.parent_file());
        let enumeration = || Some(pool.get_enum_by_name(name)?.parent_file());
        let extension = || Some(pool.get_extension_by_name(name)?.parent_file());
        message()
            .or_else(service)
            .or_else(enumeration)
            .or_else(extension)
    }

    fn declaring_member(&self, symbol: &str) -> Option<FileDescriptor> {
        let (parent, name) = symbol.rsplit_once('.')?;
        if let Some(message) = self.0.get_message_by_name(parent) {
            let is_there = message.get_field_by_name(name).is_some()
                || message.oneofs().any(|oneof| oneof.name() == name);
            if is_there {
                return Some(message.parent_file());
            }
        }
        if let Some(service) = self.0.get_service_by_name(parent) {
            let is_there = service.methods().any(|method| method.name() == name);
            return is_there.then(|| service.parent_file());
        }
        // In protobuf, an enum value is named beside its enum, not below it.
        let mut enums = self.0.all_enums();
        let declares = enums.find(|one| one.values().any(|value| value.full_name() == symbol));
        Some(declares?.parent_file())
    }
}

fn is_known(pool: &DescriptorPool, file: &FileDescriptorProto) -> bool {
    let declares = |name: &str| {
        let name = format!("{}.{name}", file.package());
        pool.get_message_by_name(&name).is_some()
    };
    pool.get_file_by_name(file.name()).is_some()
        || file
            .message_type
            .iter()
            .any(|message| declares(message.name()))
}
