//! Records on disk what this run has started, so that the next run can clean up after a kill -9.
//!
//! Each run holds the lock of its own file. A file with a free lock belongs to a dead run, and the next run ends what
//! it lists. A process counts as ours only if its start time is the recorded one, because its id may have been reused.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::{docker, folder};
use crate::process::{self, Group};
use crate::workspace;

pub(crate) struct Ledger {
    path: PathBuf,
    file: File,
}

impl Ledger {
    /// Cleans up after dead runs, then opens this run's file.
    pub(crate) fn open() -> Result<Self> {
        let home = workspace::state().join("servers");
        fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
        let path = home.join(format!("{}.run", folder::secret()?));

        // Held until our file is locked: before that, it looks like a dead run's.
        let entrance = File::create(home.join("lock")).context("cannot open the ledger's lock")?;
        entrance.lock().context("cannot lock the ledger")?;
        end_dead_runs(&home)?;
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        file.lock().context("cannot lock the ledger")?;
        Ok(Self { path, file })
    }

    pub(crate) fn folder(&self, path: &Path) -> Result<()> {
        self.note(&format!("folder {}", path.display()))
    }

    pub(crate) fn process(&self, group: &Group) -> Result<()> {
        let pid = group.pid().as_raw_nonzero();
        let birth = birth(group.pid()).unwrap_or_default();
        self.note(&format!("process {pid} {birth}"))
    }

    /// Call it before the container is created: its name is known, and it may outlive this process.
    pub(crate) fn container(&self, name: &str) -> Result<()> {
        self.note(&format!("container {name}"))
    }

    fn note(&self, line: &str) -> Result<()> {
        // One write per line, because both servers start at the same time.
        (&self.file)
            .write_all(format!("{line}\n").as_bytes())
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// Its owner drops it last, after everything that it lists.
impl Drop for Ledger {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn end_dead_runs(home: &Path) -> Result<()> {
    for entry in fs::read_dir(home)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "run") {
            continue;
        }
        let mut file = File::open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        eprintln!("xtask: an earlier run was killed, cleaning up after it");
        match end(&text) {
            Ok(()) => fs::remove_file(&path)?,
            // Left for a user with the necessary rights.
            Err(error) => eprintln!("xtask: warning: {error:#} (see {})", path.display()),
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Entry<'a> {
    Folder(&'a Path),
    Process { pid: i32, birth: &'a str },
    Container(&'a str),
}

/// Ignores an incomplete line.
fn parse(line: &str) -> Option<Entry<'_>> {
    let (kind, rest) = line.split_once(' ')?;
    match kind {
        "folder" => {
            let path = Path::new(rest);
            // The only thing that is deleted recursively, so check the name.
            let name = path.file_name()?.to_str()?;
            (path.is_absolute() && name.starts_with(folder::PREFIX)).then_some(Entry::Folder(path))
        }
        "process" => {
            let (pid, birth) = rest.split_once(' ')?;
            let pid = pid.parse().ok().filter(|&pid| pid > 1)?;
            (!birth.is_empty()).then_some(Entry::Process { pid, birth })
        }
        "container" => Some(Entry::Container(rest)),
        _ => None,
    }
}

/// Processes first, because they write into the folders.
fn end(text: &str) -> Result<()> {
    let entries: Vec<Entry<'_>> = text.lines().filter_map(parse).collect();
    for entry in &entries {
        match entry {
            Entry::Process { pid, birth } => end_process(*pid, birth)?,
            Entry::Container(name) => docker::remove(name)?,
            Entry::Folder(_) => {}
        }
    }
    for entry in &entries {
        if let Entry::Folder(path) = entry {
            folder::remove(path)?;
        }
    }
    Ok(())
}

/// As `Group::quit`, for a process that is not our child.
fn end_process(pid: i32, born: &str) -> Result<()> {
    let Some(pid) = Pid::from_raw(pid) else {
        return Ok(());
    };
    let is_ours = || birth(pid).is_some_and(|birth| birth == born);
    if !is_ours() {
        return Ok(());
    }
    match rustix::process::kill_process(pid, Signal::QUIT) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot end process {}", pid.as_raw_nonzero()));
        }
    }
    let asked = Instant::now();
    while is_ours() && asked.elapsed() < Duration::from_secs(10) {
        thread::sleep(process::POLL);
    }
    // The system does not reuse the id while the group has a process.
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    Ok(())
}

/// The start time of a process as text; none for a dead or unreaped one.
fn birth(pid: Pid) -> Option<String> {
    let pid = pid.as_raw_nonzero();
    if cfg!(target_os = "linux") {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        return Some(format!("{} {}", boot.trim(), start_time(&stat)?));
    }
    let mut ps = Command::new("ps");
    ps.args(["-o", "lstart=", "-p", &pid.to_string()]);
    let output = process::output(&mut ps, Duration::from_secs(10)).ok()?;
    let birth = output.stdout.trim().to_owned();
    (!birth.is_empty()).then_some(birth)
}

/// Field 22 of /proc/PID/stat. The program's name, in parentheses, may contain anything.
fn start_time(stat: &str) -> Option<&str> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?;
    let is_dead = matches!(state, "Z" | "X");
    if is_dead { None } else { fields.nth(18) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4242 (a) b) S 1 4242 4242 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 0";

    #[test]
    fn a_start_time_is_read_behind_any_program_name() {
        assert_eq!(start_time(STAT), Some("987654"));
    }

    #[test]
    fn a_zombie_is_not_alive() {
        assert_eq!(start_time(&STAT.replace(") S", ") Z")), None);
    }

    #[test]
    fn what_is_noted_is_read_back() {
        let folder = Path::new("/tmp/angarium-test-x y");
        assert_eq!(
            parse("folder /tmp/angarium-test-x y"),
            Some(Entry::Folder(folder))
        );
        let process = Entry::Process {
            pid: 17,
            birth: "boot 99",
        };
        assert_eq!(parse("process 17 boot 99"), Some(process));
        assert_eq!(
            parse("container angarium-test-1"),
            Some(Entry::Container("angarium-test-1"))
        );
    }

    #[test]
    fn a_line_that_could_do_harm_is_no_entry() {
        for line in [
            "folder /",
            "folder /home",
            "folder angarium-test-x",
            "process 17 ",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
        for line in [
            "process 17",
            "process 1 x",
            "process -1 x",
            "process 0 x",
            "",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_process_that_was_born_at_another_time_is_left_alone() -> Result<()> {
        let mut group = Group::spawn(Command::new("sleep").arg("600"))?;
        end_process(group.pid().as_raw_nonzero().get(), "another time")?;
        assert!(!group.has_ended()?);
        group.finish()?;
        Ok(())
    }

    #[test]
    fn a_process_of_a_dead_run_is_ended() -> Result<()> {
        let group = Group::spawn(Command::new("sleep").arg("600"))?;
        let born = birth(group.pid()).context("the process was just born")?;
        end_process(group.pid().as_raw_nonzero().get(), &born)?;
        assert!(group.has_ended()?);
        Ok(())
    }
}
