//! The clients in other languages under examples/, ready to run: `ANGARIUM_TEST_CLIENTS` makes them so, once a test program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::environment;

/// Where they are.
#[derive(Debug)]
pub struct Examples {
    /// The folder of the one in Python, with its packages in `.venv`.
    pub python: PathBuf,
    /// The folder of the one in TypeScript, compiled to `dist`.
    pub typescript: PathBuf,
    /// The folder of the one in Go, generated; `None` where Go is not installed.
    pub go: Option<PathBuf>,
    /// The folder of the one in Java, with its classes and libraries in `target`; `None` where Java is not installed.
    pub java: Option<PathBuf>,
    /// The program `buf`.
    pub buf: PathBuf,
    /// The descriptor set that is published.
    pub descriptors: PathBuf,
}

impl Examples {
    /// Waits until they are ready, which takes a while where something has to be fetched.
    ///
    /// # Panics
    /// Where they cannot be made ready, after the command has said why.
    pub fn ready() -> &'static Self {
        static READY: OnceLock<Examples> = OnceLock::new();
        READY.get_or_init(make_ready)
    }

    /// The Python of the example, in its folder.
    pub fn python(&self) -> Command {
        let mut command = Command::new(self.python.join(".venv/bin/python"));
        command
            .current_dir(&self.python)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

fn make_ready() -> Examples {
    let line = environment::clients()
        .expect("set ANGARIUM_TEST_CLIENTS to `cargo xtask clients`, or run `cargo xtask test`");
    let (program, arguments) = line.split_first().expect("a command line is not empty");
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("ANGARIUM_TEST_CLIENTS cannot be run: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "the examples in other languages cannot be made ready, as said above"
    );
    let optional = |name: &str| {
        let mut places = said.lines().filter_map(|line| line.split_once(' '));
        let (_, place) = places.find(|(named, _)| *named == name)?;
        Some(Path::new(place).to_owned())
    };
    let place = |name: &str| {
        optional(name).unwrap_or_else(|| panic!("ANGARIUM_TEST_CLIENTS names no {name}"))
    };
    Examples {
        python: place("python"),
        typescript: place("typescript"),
        go: optional("go"),
        java: optional("java"),
        buf: place("buf"),
        descriptors: place("descriptors"),
    }
}
