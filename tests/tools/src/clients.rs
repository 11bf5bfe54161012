//! `cargo xtask clients`: prepares the example clients as their READMEs describe, for the tests that run them.
//!
//! They are copied below the target folder each time, and generated from the published descriptor set or from the proto
//! files. Packages from PyPI and npm are downloaded once, and again after their lock files change; Go and Maven have
//! their own caches. A missing Python or Node.js is installed if possible, otherwise it is an error. Without Go or
//! Java, that example is skipped with a message.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use processes::workspace;

use crate::{buf, language, layout, must, take_turns};

/// Downloaded or built, so not replaced by a copy.
const BUILT: &[&str] = &[".venv", "gen", "node_modules", "dist", "target"];

/// Prints one line each: `python FOLDER`, `typescript FOLDER`, `buf PROGRAM`, `descriptors FILE`, and if they are
/// installed `go FOLDER`, `java FOLDER`.
pub(crate) fn run() -> Result<()> {
    // The same layout as in the repository, so that the commands of the READMEs work here.
    let home = workspace::state().join("clients");
    fs::create_dir_all(&home)?;
    let _turn = take_turns(&home)?;
    let descriptors = home.join("target/angarium.binpb");
    let (python, typescript) = (
        home.join("examples/python"),
        home.join("examples/typescript"),
    );
    write_descriptors(&descriptors).context("the descriptor set cannot be written")?;
    let root = workspace::root();
    for folder in ["proto", "third_party/proto"] {
        layout::copy(&root.join(folder), &home.join(folder), &[])?;
    }
    fs::create_dir_all(home.join("examples"))?;
    let cases = "examples/cases.json";
    fs::copy(root.join(cases), home.join(cases))?;

    language::PYTHON.find_or_install()?;
    layout::copy(&root.join("examples/python"), &python, BUILT)?;
    build_python(&python).context("examples/python cannot be prepared")?;

    language::NODE.find_or_install()?;
    layout::copy(&root.join("examples/typescript"), &typescript, BUILT)?;
    build_typescript(&typescript).context("examples/typescript cannot be prepared")?;

    let optional = [
        ("go", &language::GO, build_go as fn(&Path) -> Result<()>),
        ("java", &language::JAVA, build_java),
    ];
    let mut built = Vec::new();
    for (name, language, build) in optional {
        if !language.is_here() {
            eprintln!("examples/{name} is skipped: {}", language.missing());
            continue;
        }
        let folder = home.join("examples").join(name);
        layout::copy(&root.join("examples").join(name), &folder, BUILT)?;
        build(&folder).with_context(|| format!("examples/{name} cannot be prepared"))?;
        built.push((name, folder));
    }

    let buf = buf::find()?;
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
    Ok(())
}

fn write_descriptors(file: &Path) -> Result<()> {
    fs::create_dir_all(file.parent().unwrap_or(file))?;
    let mut published = workspace::cargo();
    published.args(["run", "--quiet", "--package", "contracts"]);
    published.args(["--example", "published", "--", "descriptors"]);
    let published = published.stdout(fs::File::create(file)?).status()?;
    ensure!(
        published.success(),
        "the example `published` of contracts ended with {published}"
    );
    Ok(())
}

fn build_python(folder: &Path) -> Result<()> {
    let python = folder.join(".venv/bin/python");
    layout::once(
        &folder.join(".venv"),
        &[
            folder.join("requirements.txt"),
            folder.join("requirements-dev.txt"),
        ],
        || {
            eprintln!("downloading the packages of examples/python into the target folder");
            let mut create = Command::new("python3");
            must(create.args(["-m", "venv", ".venv"]).current_dir(folder))?;
            let mut install = Command::new(&python);
            install.args(["-m", "pip", "install", "--quiet", "--no-input"]);
            install.args(["--disable-pip-version-check", "-r", "requirements-dev.txt"]);
            must(install.current_dir(folder))
        },
    )?;
    let mut generate = Command::new(&python);
    must(generate.arg("generate.py").current_dir(folder))
}

fn build_typescript(folder: &Path) -> Result<()> {
    layout::once(
        &folder.join("node_modules"),
        &[folder.join("package-lock.json")],
        || {
            eprintln!("downloading the packages of examples/typescript into the target folder");
            let mut install = Command::new("npm");
            install.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
            must(install.current_dir(folder))
        },
    )?;
    for script in ["generate", "build"] {
        let mut run = Command::new("npm");
        run.args(["run", "--silent", script]);
        must(run.current_dir(folder))?;
    }
    Ok(())
}

fn build_go(folder: &Path) -> Result<()> {
    let steps: [&[&str]; 2] = [&["run", "./generate"], &["vet", "./..."]];
    for arguments in steps {
        must(Command::new("go").args(arguments).current_dir(folder))?;
    }
    Ok(())
}

/// Maven's build also generates the code.
fn build_java(folder: &Path) -> Result<()> {
    let arguments = ["--quiet", "--batch-mode", "-DskipTests", "package"];
    must(Command::new("mvn").args(arguments).current_dir(folder))
}
