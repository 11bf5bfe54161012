//! `cargo xtask tools`: the programs with which others call and watch Angarium, for the tests that run them.
//!
//! Each is built from its Go module at one version, once, into the target folder, so that a machine needs nothing but Go. Without
//! Go one line says what is left out.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use processes::workspace;

use crate::list::{self, ALL, Source, Tool};
use crate::{language, must, take_turns};

#[derive(clap::Args)]
pub(crate) struct Build {
    /// Also those that take minutes to build: ghz, the OpenTelemetry collector, Prometheus and Jaeger
    #[arg(long)]
    all: bool,
}

/// Prints one line each: `grpcurl PROGRAM`.
pub(crate) fn run(tools: &Build) -> Result<()> {
    let wanted = || ALL.iter().filter(|tool| tools.all || tool.is_quick);
    if !language::GO.is_here() {
        let names: Vec<&str> = wanted().map(|tool| tool.name).collect();
        let missing = language::GO.missing();
        eprintln!("{} are left out: {missing}", names.join(", "));
        return Ok(());
    }
    let home = workspace::state().join("tools");
    fs::create_dir_all(&home)?;
    let _turn = take_turns(&home)?;
    let mut stdout = std::io::stdout().lock();
    for tool in wanted() {
        let program = build(tool, &home)
            .with_context(|| format!("{} {} cannot be built", tool.name, tool.version))?;
        writeln!(stdout, "{} {}", tool.name, program.display())?;
    }
    Ok(())
}

/// Built into a folder of another name first: one that was cut short does not count.
fn build(tool: &Tool, home: &Path) -> Result<PathBuf> {
    let root = workspace::root();
    if let Source::Folder(folder) = tool.source {
        // Ours: it may have changed, and Go knows whether it has.
        let program = home.join(tool.name);
        let mut build = go(&["build", "-o"]);
        build.arg(&program).arg(".").current_dir(root.join(folder));
        must(&mut build)?;
        return Ok(program);
    }
    let folder = home.join(format!("{}-{}", tool.name, tool.version));
    let program = folder.join(tool.name);
    if program.exists() {
        return Ok(program);
    }
    eprintln!(
        "building {} {} into the target folder, once",
        tool.name, tool.version
    );
    let partial = home.join("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    match tool.source {
        Source::Package(package) => {
            let mut install = go(&["install"]);
            install.arg(format!("-ldflags={LDFLAGS}"));
            install.arg(format!("-tags={}", tool.tags));
            install.arg(format!("{package}@v{}", tool.version));
            must(install.env("GOBIN", &partial))?;
            let built = package.rsplit('/').next().unwrap_or(package);
            if built != tool.name {
                fs::rename(partial.join(built), partial.join(tool.name))?;
            }
        }
        Source::InModule(package) => {
            let steps = [
                go(&["mod", "init", "angarium.example/tool"]),
                go(&["get", &format!("{package}@v{}", tool.version)]),
                go(&[
                    "build",
                    &format!("-ldflags={LDFLAGS}"),
                    "-o",
                    tool.name,
                    package,
                ]),
            ];
            for mut step in steps {
                must(step.current_dir(&partial))?;
            }
        }
        Source::Collector(config) => {
            let builder = format!("{}@v{}", list::BUILDER, tool.version);
            let mut build = go(&["run", &builder, &format!("--ldflags={LDFLAGS}"), "--config"]);
            build.arg(root.join(config));
            must(build.current_dir(&partial))?;
        }
        Source::Folder(_) => (),
    }
    if !partial.join(tool.name).exists() {
        bail!("the build left no program {}", tool.name);
    }
    fs::rename(&partial, &folder)?;
    Ok(program)
}

/// Without tables of symbols: with them the large programs are twice as large.
const LDFLAGS: &str = "-s -w";

fn go(arguments: &[&str]) -> Command {
    let mut command = Command::new("go");
    command.args(arguments).env("GOWORK", "off");
    command
}
