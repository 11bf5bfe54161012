//! The script that ends a process group after its owner, also after a kill -9 of the owner.
//!
//! It reads the group from a pipe and acts at the end of its input: the system closes the pipes of a process that died.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result};

use crate::group::Group;

const SCRIPT: &str = include_str!("guard.sh");

#[derive(Debug)]
pub(crate) struct Guard {
    script: Child,
    input: Option<ChildStdin>,
}

impl Guard {
    /// Ends the group with `signal`, `INT` for example, and then removes the folder, if there is one.
    pub(crate) fn new(signal: &str, folder: Option<&Path>) -> Result<Self> {
        let mut script = Command::new("sh")
            .args(["-c", SCRIPT, "guard", signal])
            .arg(folder.unwrap_or(Path::new("")))
            // A signal for its owner is not for the guard.
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start sh")?;
        let input = script.stdin.take();
        Ok(Self { script, input })
    }

    pub(crate) fn watch(&mut self, group: &Group) -> Result<()> {
        self.say(&format!("{}\n", group.id()))
    }

    /// The group has ended: another one may get its id.
    pub(crate) fn release(&mut self) -> Result<()> {
        self.say("\n")
    }

    /// Lets the guard act. The caller reaps the group meanwhile, and drops the guard to wait for it.
    pub(crate) fn act(&mut self) {
        self.input = None;
    }

    fn say(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("the guard has acted")?;
        input
            .write_all(line.as_bytes())
            .context("the guard has ended")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.act();
        let _ = self.script.wait();
    }
}

#[cfg(test)]
mod tests {
    use anyhow::ensure;

    use super::*;

    /// The input ends here as it does when the owner is killed.
    #[test]
    fn the_end_of_the_input_ends_the_group_and_the_folder() -> Result<()> {
        let home = tempfile::tempdir()?;
        let folder = home.path().join("folder");
        std::fs::create_dir(&folder)?;
        let mut guard = Guard::new("INT", Some(&folder))?;
        let mut group = Group::spawn(Command::new("sh").args(["-c", "sleep 600 & wait"]))?;
        guard.watch(&group)?;
        ensure!(group.ended()?.is_none() && folder.exists());
        guard.act();
        group.wait();
        drop(guard);
        ensure!(!folder.exists());
        Ok(())
    }

    #[test]
    fn a_released_group_is_left_alone() -> Result<()> {
        let mut guard = Guard::new("INT", None)?;
        let mut group = Group::spawn(Command::new("sleep").arg("600"))?;
        guard.watch(&group)?;
        guard.release()?;
        drop(guard);
        ensure!(group.ended()?.is_none());
        Ok(())
    }
}
