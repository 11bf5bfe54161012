//! `cargo xtask outside`: the clients and the tools that are not ours, against the running system.
//!
//! They are tests like the others; here all programs are built first, also those that take minutes, and nothing else is tested.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use processes::Stop;

use crate::{servers, test};

/// Of the tests of `angarium`.
const TESTS: [&str; 3] = ["outside::", "examples::", "buf_curl::"];

#[derive(clap::Args)]
pub(crate) struct Outside {
    /// Only tests with one of these texts in their name, as in `cargo xtask outside ghz in_java`; by default all tests
    #[arg(value_name = "NAME")]
    names: Vec<OsString>,
}

pub(crate) fn run(outside: &Outside, stop: &Stop) -> Result<ExitCode> {
    let mut args: Vec<OsString> = ["-p", "angarium", "--test", "it", "--"]
        .map(OsString::from)
        .into();
    if outside.names.is_empty() {
        args.extend(TESTS.map(OsString::from));
    }
    args.extend(outside.names.iter().cloned());
    // Who runs this wants to read what was left out.
    args.push("--nocapture".into());
    test::run_with(
        &args,
        &[(servers::TOOLS, servers::ourselves("tools --all")?)],
        stop,
    )
}
