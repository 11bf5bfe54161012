//! The options give the same names with plain protoc and with buf, in every language.

use contracts::FILE_DESCRIPTOR_SET;
use prost_reflect::DescriptorPool;
use prost_reflect::prost_types::FileDescriptorProto;

#[test]
fn every_file_names_its_package_in_every_language() -> anyhow::Result<()> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET)?;
    let is_ours = |file: &&FileDescriptorProto| file.package().starts_with("angarium.");
    let files: Vec<_> = pool.file_descriptor_protos().filter(is_ours).collect();
    assert!(!files.is_empty());
    for file in files {
        let options = file.options.clone().unwrap_or_default();
        let package = file.package();
        let noun = package
            .trim_start_matches("angarium.")
            .trim_end_matches(".v1");
        assert_eq!(
            options.go_package(),
            format!("example.com/angarium/gen/angarium/{noun}/v1;{noun}v1"),
            "{}",
            file.name()
        );
        assert_eq!(options.java_package(), format!("com.{package}"));
        assert!(options.java_multiple_files(), "{}", file.name());
        assert_eq!(options.java_outer_classname(), outer_class(file.name()));
        let namespace: Vec<_> = package.split('.').map(capitalized).collect();
        assert_eq!(options.csharp_namespace(), namespace.join("."));
    }
    Ok(())
}

#[test]
fn every_service_brings_the_details_of_its_errors() -> anyhow::Result<()> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET)?;
    for service in pool.services() {
        let file = service.parent_file();
        let mut imports = file.dependencies();
        assert!(
            imports.any(|import| import.name() == "google/rpc/error_details.proto"),
            "{}: import google/rpc/error_details.proto, so that clients with this file alone can show errors",
            file.name()
        );
    }
    Ok(())
}

/// As buf's managed mode names it.
fn outer_class(file: &str) -> String {
    let (_, name) = file.rsplit_once('/').unwrap_or(("", file));
    let words = name.trim_end_matches(".proto").split('_');
    words.map(capitalized).collect::<String>() + "Proto"
}

fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}
