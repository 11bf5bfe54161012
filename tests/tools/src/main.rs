//! The programs of others that tests and lints run: the example clients, tools such as grpcurl, and buf; and the links of
//! the site that mdBook builds.
//!
//! Everything is built or downloaded below the target folder, once. `cargo xtask` starts this program.

#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "a command-line tool says what it does")]

mod buf;
mod build;
mod clients;
mod language;
mod layout;
mod links;
mod list;

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use processes::code;

#[derive(Parser)]
#[command(about)]
enum Task {
    /// Prepare the example clients, and print their folders
    Clients(clients::Clients),
    /// Build the tools, and print their paths
    Build(build::Build),
    /// Run buf in the root of the workspace
    #[command(disable_help_flag = true)]
    Buf {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Check the links of the site that mdBook has built in this folder
    Links { site: PathBuf },
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Clients(clients) => clients::run(&clients).map(|()| ExitCode::SUCCESS),
        Task::Build(build) => build::run(&build).map(|()| ExitCode::SUCCESS),
        Task::Buf { args } => buf::run(&args).map(code),
        Task::Links { site } => links::check(&site).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("tools: error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Runs a program to its end. Its stdout goes to stderr, because the caller parses our stdout.
fn must(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ended = command.stdout(std::io::stderr()).status();
    let ended = ended.with_context(|| format!("cannot start {name}"))?;
    ensure!(ended.success(), "{name} ended with {ended}");
    Ok(())
}

/// Two runs at once would overwrite each other's files.
fn take_turns(home: &Path) -> Result<File> {
    let lock = File::create(home.join(layout::LOCK))?;
    lock.lock()?;
    Ok(lock)
}
