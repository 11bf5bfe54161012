//! The programs that call and watch Angarium, which `ANGARIUM_TEST_TOOLS` builds once per test program.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::environment;

/// Their paths.
#[derive(Debug)]
pub struct Tools(BTreeMap<String, PathBuf>);

impl Tools {
    /// Waits until they are built.
    ///
    /// # Panics
    /// Where they cannot be built, after the command has said why.
    pub fn ready() -> &'static Self {
        static READY: OnceLock<Tools> = OnceLock::new();
        READY.get_or_init(make_ready)
    }

    /// The program with this name. Without it, a line says that its tests are left out: `cargo xtask outside` builds
    /// all of them.
    #[expect(
        clippy::print_stderr,
        reason = "the reader of a run must see which tests were left out"
    )]
    pub fn program(&self, name: &str) -> Option<Command> {
        let program = self.0.get(name);
        if program.is_none() {
            eprintln!("not tried: {name} is not there; `cargo xtask outside` builds it, with Go");
        }
        program.map(Command::new)
    }
}

fn make_ready() -> Tools {
    let Some(line) = environment::tools() else {
        return Tools(BTreeMap::new());
    };
    let (program, arguments) = line.split_first().expect("a command line is not empty");
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("ANGARIUM_TEST_TOOLS cannot be run: {error}"));
    assert!(
        output.status.success(),
        "the tools cannot be built, as said above"
    );
    let said = String::from_utf8_lossy(&output.stdout);
    let places = said.lines().filter_map(|line| line.split_once(' '));
    Tools(
        places
            .map(|(name, place)| (name.to_owned(), PathBuf::from(place)))
            .collect(),
    )
}
