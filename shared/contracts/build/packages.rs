//! The modules of the packages, nested like the packages, because generated code uses relative paths. A new package
//! needs no change here.

use std::collections::BTreeSet;
use std::fmt::Write;

use prost_reflect::DescriptorPool;

pub(crate) fn generated(pool: &DescriptorPool) -> String {
    let mut code = String::from("pub(crate) mod angarium {\n");
    for noun in nouns(pool) {
        let _ = write!(
            code,
            "pub(crate) mod {noun} {{\n\
             /// The package `angarium.{noun}.v1`.\n\
             pub mod v1 {{ tonic::include_proto!(\"angarium.{noun}.v1\"); }}\n}}\n"
        );
    }
    code.push_str("}\n");
    code
}

/// The public part: `contracts::user::v1`.
pub(crate) fn shown(pool: &DescriptorPool) -> String {
    let mut code = String::new();
    for noun in nouns(pool) {
        let _ = write!(
            code,
            "/// What the files in `proto/angarium/{noun}` declare.\n\
             pub mod {noun} {{ pub use crate::generated::angarium::{noun}::v1; }}\n"
        );
    }
    code
}

/// `user` for `angarium.user.v1`. Leaves out a package that only declares options.
fn nouns(pool: &DescriptorPool) -> BTreeSet<String> {
    let files = pool
        .files()
        .filter(|file| file.extensions().next().is_none());
    files
        .filter_map(|file| {
            let noun = file.package_name().strip_prefix("angarium.")?;
            Some(noun.strip_suffix(".v1")?.to_owned())
        })
        .collect()
}
