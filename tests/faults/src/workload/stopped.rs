//! Stops this process with SIGSTOP in the middle of its work. It keeps its locks, and goes on after SIGCONT.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// The place where it stops, once.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Place {
    /// In a handler, after the effect is written.
    Handler,
    /// In a command, after the state is written.
    Command,
}

static IN_HANDLER: AtomicBool = AtomicBool::new(false);
static IN_COMMAND: AtomicBool = AtomicBool::new(false);

impl Place {
    fn armed(self) -> &'static AtomicBool {
        match self {
            Self::Handler => &IN_HANDLER,
            Self::Command => &IN_COMMAND,
        }
    }

    pub(crate) fn arm(self) {
        self.armed().store(true, Ordering::Relaxed);
    }

    /// Stops the process if this is the chosen place. Returns when the process is continued.
    pub(crate) fn pass(self) {
        if self.armed().swap(false, Ordering::Relaxed) {
            signal("STOP", std::process::id());
        }
    }
}

pub(crate) fn signal(name: &str, process: u32) {
    let sent = Command::new("kill")
        .args(["-s", name, &process.to_string()])
        .status();
    if !sent.is_ok_and(|status| status.success()) {
        eprintln!("cannot send SIG{name} to process {process}");
    }
}
