//! The overlay of the fault runs: the copy of the sources that has their abort points and deliberate mistakes.
//!
//! The product has none of them. `cargo xtask overlay`, `faults` and `lint` start this program.

#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "a command-line tool says what it does")]

mod build;
mod git;
mod patch;
mod tree;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use processes::{code, workspace};

#[derive(Parser)]
#[command(name = "cargo xtask overlay", bin_name = "cargo xtask overlay", about)]
enum Task {
    /// Copy the sources, apply the patch by a three-way merge, and print where to edit
    Edit,
    /// Write the edited copy as the new patch, and remove the copy
    Save,
    /// Fail if the patch does not apply to the checkout
    Check,
    /// Lay out the sources with the patch, and compile the fault runs
    Build,
    /// Run the short form of the fault runs
    #[command(disable_help_flag = true)]
    Test {
        /// Arguments for the test program
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    perform(&Task::parse()).unwrap_or_else(|error| {
        eprintln!("overlay: error: {error:#}");
        ExitCode::FAILURE
    })
}

fn perform(task: &Task) -> Result<ExitCode> {
    let (root, edited) = (workspace::root(), workspace::state().join("overlay"));
    match task {
        Task::Edit => patch::edit(&root, &edited)?,
        Task::Save => patch::save(&root, &edited)?,
        Task::Check => patch::check(&root)?,
        Task::Build => return Ok(code(build::run()?)),
        Task::Test { args } => {
            let tested = build::cargo_test().arg("--").args(args).status()?;
            return Ok(code(tested));
        }
    }
    Ok(ExitCode::SUCCESS)
}
