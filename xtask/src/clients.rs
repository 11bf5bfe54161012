//! `cargo xtask clients`: prepares the example clients as their READMEs describe, for the tests that run them.
//!
//! They are copied below the target folder each time, and generated from the published descriptor set or from the proto
//! files. Packages from PyPI and npm are downloaded once, and again after their lock files change; Go and Maven have
//! their own caches. A missing Python or Node.js is installed if possible, otherwise it is an error. Without Go or
//! Java, that example is skipped with a message.

pub(crate) mod language;
mod layout;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::stop::Stop;
use crate::{buf, contracts, process, workspace};

/// Downloaded or built, so not replaced by a copy.
const BUILT: &[&str] = &[".venv", "gen", "node_modules", "dist", "target"];

/// Prints one line each: `python FOLDER`, `typescript FOLDER`, `buf PROGRAM`, `descriptors FILE`, and if they are
/// installed `go FOLDER`, `java FOLDER`.
pub(crate) fn run(stop: &Stop) -> Result<ExitCode> {
    // The same layout as in the repository, so that the commands of the READMEs work here.
    let home = workspace::state().join("clients");
    fs::create_dir_all(&home)?;
    let _turn = take_turns(&home)?;
    let descriptors = home.join("target/angarium.binpb");
    let (python, typescript) = (
        home.join("examples/python"),
        home.join("examples/typescript"),
    );
    if contracts::descriptors(Some(&descriptors), stop)? != ExitCode::SUCCESS {
        bail!("the descriptor set cannot be written");
    }
    let root = workspace::root();
    for folder in ["proto", "third_party/proto"] {
        layout::copy(&root.join(folder), &home.join(folder), &[])?;
    }
    fs::create_dir_all(home.join("examples"))?;
    let cases = "examples/cases.json";
    fs::copy(root.join(cases), home.join(cases))?;

    language::PYTHON.find_or_install(stop)?;
    layout::copy(&root.join("examples/python"), &python, BUILT)?;
    build_python(&python, stop).context("examples/python cannot be prepared")?;

    language::NODE.find_or_install(stop)?;
    layout::copy(&root.join("examples/typescript"), &typescript, BUILT)?;
    build_typescript(&typescript, stop).context("examples/typescript cannot be prepared")?;

    let optional = [
        (
            "go",
            &language::GO,
            build_go as fn(&Path, &Stop) -> Result<()>,
        ),
        ("java", &language::JAVA, build_java),
    ];
    let mut built = Vec::new();
    for (name, language, build) in optional {
        if !language.is_here() {
            eprintln!("xtask: examples/{name} is skipped: {}", language.missing());
            continue;
        }
        let folder = home.join("examples").join(name);
        layout::copy(&root.join("examples").join(name), &folder, BUILT)?;
        build(&folder, stop).with_context(|| format!("examples/{name} cannot be prepared"))?;
        built.push((name, folder));
    }

    let buf = buf::find(stop)?;
    let mut stdout = std::io::stdout().lock();
    for (name, path) in [
        ("python", &python),
        ("typescript", &typescript),
        ("buf", &buf),
        ("descriptors", &descriptors),
    ] {
        writeln!(stdout, "{name} {}", path.display())?;
    }
    for (name, path) in &built {
        writeln!(stdout, "{name} {}", path.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn build_python(folder: &Path, stop: &Stop) -> Result<()> {
    let python = folder.join(".venv/bin/python");
    layout::once(
        &folder.join(".venv"),
        &[
            folder.join("requirements.txt"),
            folder.join("requirements-dev.txt"),
        ],
        || {
            eprintln!("xtask: downloading the packages of examples/python into the target folder");
            must(
                Command::new("python3").args(["-m", "venv", ".venv"]),
                folder,
                stop,
            )?;
            let mut install = Command::new(&python);
            install.args(["-m", "pip", "install", "--quiet", "--no-input"]);
            install.args(["--disable-pip-version-check", "-r", "requirements-dev.txt"]);
            must(&mut install, folder, stop)
        },
    )?;
    must(Command::new(&python).arg("generate.py"), folder, stop)
}

fn build_typescript(folder: &Path, stop: &Stop) -> Result<()> {
    layout::once(
        &folder.join("node_modules"),
        &[folder.join("package-lock.json")],
        || {
            eprintln!(
                "xtask: downloading the packages of examples/typescript into the target folder"
            );
            let mut install = Command::new("npm");
            install.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
            must(&mut install, folder, stop)
        },
    )?;
    for script in ["generate", "build"] {
        let mut run = Command::new("npm");
        run.args(["run", "--silent", script]);
        must(&mut run, folder, stop)?;
    }
    Ok(())
}

fn build_go(folder: &Path, stop: &Stop) -> Result<()> {
    let steps: [&[&str]; 2] = [&["run", "./generate"], &["vet", "./..."]];
    for arguments in steps {
        must(Command::new("go").args(arguments), folder, stop)?;
    }
    Ok(())
}

/// Maven's build also generates the code.
fn build_java(folder: &Path, stop: &Stop) -> Result<()> {
    let arguments = ["--quiet", "--batch-mode", "-DskipTests", "package"];
    must(Command::new("mvn").args(arguments), folder, stop)
}

/// The program's stdout goes to stderr, because the caller parses our stdout.
fn must(command: &mut Command, folder: &Path, stop: &Stop) -> Result<()> {
    command.current_dir(folder).stdout(std::io::stderr());
    let status = process::run(command, stop)?;
    if !status.success() {
        bail!(
            "{} ended with {status}, in {}",
            command.get_program().display(),
            folder.display()
        );
    }
    Ok(())
}

/// Two runs at once would overwrite each other's files.
pub(crate) fn take_turns(home: &Path) -> Result<File> {
    let lock = File::create(home.join("lock"))?;
    lock.lock()?;
    Ok(lock)
}
