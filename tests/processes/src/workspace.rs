//! The workspace's folders, and cargo as a child without the variables that `cargo run` has set.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the workspace when this crate was built.
pub fn root() -> PathBuf {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.skip(2).take(1).collect()
}

/// The tools' files, below cargo's target folder, so that `cargo clean` removes them.
pub fn state() -> PathBuf {
    target().join("xtask")
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Cargo in the root. Without the variables that `cargo run` has set: build scripts that watch them (ring's does) would
/// run again at each switch between `cargo test` and a tool.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    for (name, _) in env::vars_os() {
        let own = name.to_str().is_some_and(|name| {
            name == "CARGO" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if own {
            command.env_remove(name);
        }
    }
    command
}
