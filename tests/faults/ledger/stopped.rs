//! A process that stops in the middle of its work by SIGSTOP, holds its locks, and goes on after SIGCONT.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where it stops, once.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Place {
    /// In a handler, after its effect.
    Handler,
    /// In a command, after its state.
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

    /// Stops the whole process where this is the place, and returns once it is continued.
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
        eprintln!("SIG{name} could not be sent to {process}");
    }
}
