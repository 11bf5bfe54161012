//! `cargo xtask bench instructions`: counts the instructions of the hot path under callgrind.
//!
//! The library `gungraun` starts callgrind through a runner of exactly its own version. The first run installs this runner into
//! the target folder.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};
use processes::{Stop, code, output, workspace};

/// As `gungraun` in Cargo.toml.
const VERSION: &str = "0.20.0";

pub(crate) fn run(packages: &[&str], args: &[OsString], stop: &Stop) -> Result<ExitCode> {
    ensure!(
        output(Command::new("valgrind").arg("--version")).is_ok(),
        "valgrind is not installed (apt-get install valgrind)"
    );
    let runner = runner(stop)?;
    let mut bench = workspace::cargo();
    bench.args(["bench", "--quiet", "--bench", "hot_path"]);
    // All of them, so that the programs of the other benchmarks share the build.
    for package in packages {
        bench.args(["--package", package]);
    }
    bench.arg("--").args(args).env("GUNGRAUN_RUNNER", runner);
    Ok(code(processes::run(&mut bench, stop)?))
}

fn runner(stop: &Stop) -> Result<PathBuf> {
    let home = workspace::state().join(format!("gungraun-{VERSION}"));
    let program = home.join("bin/gungraun-runner");
    if !program.exists() {
        eprintln!("installing gungraun-runner {VERSION} into the target folder, once");
        let mut install = workspace::cargo();
        install.args(["install", "--quiet", "--locked", "gungraun-runner"]);
        install.args(["--version", VERSION, "--root"]).arg(&home);
        let installed = processes::run(&mut install, stop)?;
        ensure!(
            installed.success(),
            "gungraun-runner {VERSION} cannot be installed"
        );
    }
    Ok(program)
}
