//! `cargo xtask bench`: compares the services with a bare floor on private servers.
//!
//! Builds the programs and starts `bench`, which finds the other programs in its own folder. All arguments except `--profile` go to
//! it, also `--help`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use processes::{Stop, code, workspace};

use crate::{build, instructions};

const PACKAGES: [&str; 5] = [
    "bench",
    "user-service",
    "order-service",
    "notification-service",
    "angarium",
];
const RELEASE: &str = "release";
const DEV: &str = "dev";

const INSTRUCTIONS: &str = "instructions";

pub(crate) fn run(args: &[OsString], stop: &Stop) -> Result<ExitCode> {
    if let Some((_, args)) = args.split_first().filter(|(what, _)| *what == INSTRUCTIONS) {
        return instructions::run(&PACKAGES, args, stop);
    }
    let (mut profile, args) = profile(args)?;
    // An optimised build takes minutes; the help is the same.
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        DEV.clone_into(&mut profile);
    }
    let mut build = build(&PACKAGES);
    build.args(["--profile", &profile]);
    let built = processes::run(&mut build, stop)?;
    if !built.success() {
        return Ok(code(built));
    }
    let mut command = Command::new(program(&profile)?);
    command.args(args).current_dir(workspace::root());
    Ok(code(processes::run(&mut command, stop)?))
}

/// Splits the arguments into the cargo profile and all others.
fn profile(args: &[OsString]) -> Result<(String, Vec<OsString>)> {
    let mut others = args.to_vec();
    let Some(at) = others.iter().position(|arg| arg == "--profile") else {
        return Ok((RELEASE.to_owned(), others));
    };
    others.remove(at);
    anyhow::ensure!(at < others.len(), "--profile needs a name: release or dev");
    let name = others.remove(at);
    let name = name.into_string();
    let name =
        name.map_err(|name| anyhow::anyhow!("--profile {} is not a name", name.display()))?;
    Ok((name, others))
}

/// The folder of the profile `dev` is `debug`; every other profile has a folder of its name, beside the one of xtask.
fn program(profile: &str) -> Result<PathBuf> {
    let folder = if profile == DEV { "debug" } else { profile };
    let xtask = std::env::current_exe().context("cannot find this program's own file")?;
    let target = xtask.parent().and_then(|debug| debug.parent());
    let target = target.context("this program is not in a target folder")?;
    Ok(target.join(folder).join("bench"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn the_profile_is_taken_from_among_the_arguments() -> Result<()> {
        let (name, others) = profile(&words(&["--quick", "--profile", "dev", "--rounds", "3"]))?;
        assert_eq!(name, "dev");
        assert_eq!(others, words(&["--quick", "--rounds", "3"]));
        Ok(())
    }

    #[test]
    fn without_a_profile_the_programs_are_optimised() -> Result<()> {
        assert_eq!(
            profile(&words(&["drain"]))?,
            ("release".to_owned(), words(&["drain"]))
        );
        assert!(profile(&words(&["--profile"])).is_err());
        Ok(())
    }
}
