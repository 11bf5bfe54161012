//! Compiles small protos of tests together with our options and `buf.validate`.

use std::collections::BTreeMap;

use prost_reflect::DescriptorPool;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

const OPTIONS: &str = include_str!("../../../../proto/angarium/event/v1/event.proto");
const VALIDATE: &str = include_str!("../../../../third_party/proto/buf/validate/validate.proto");

/// Files are given as (name, body). Adds syntax, package (from the folder) and the imports of the options.
pub(crate) fn compile(files: &[(&str, &str)]) -> anyhow::Result<DescriptorPool> {
    let mut sources = Sources(BTreeMap::from([
        (
            "angarium/event/v1/event.proto".to_owned(),
            OPTIONS.to_owned(),
        ),
        (
            "buf/validate/validate.proto".to_owned(),
            VALIDATE.to_owned(),
        ),
    ]));
    for (name, body) in files {
        let (folder, _) = name.rsplit_once('/').unwrap_or(("", name));
        let source = format!(
            "syntax = \"proto3\";\npackage {};\nimport \"angarium/event/v1/event.proto\";\n\
             import \"buf/validate/validate.proto\";\n{body}",
            folder.replace('/', "."),
        );
        sources.0.insert((*name).to_owned(), source);
    }

    let mut resolver = ChainFileResolver::new();
    resolver.add(sources);
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    compiler.open_files(files.iter().map(|(name, _)| name))?;
    Ok(compiler.descriptor_pool())
}

pub(crate) fn event(name: &str, options: &str, fields: &str) -> String {
    format!("message {name} {{ option (angarium.event.v1.event) = {{ {options} }}; {fields} }}\n")
}

struct Sources(BTreeMap<String, String>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(source) => File::from_source(name, source),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}
