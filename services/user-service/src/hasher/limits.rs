//! Concurrency, queue lengths and priorities of hashing.

use std::num::NonZero;
use std::thread::available_parallelism;

use super::algorithm::BLOCK_BYTES;
use super::memory_limit;

/// A login has the same priority whether or not its address is registered, so the wait reveals nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// The caller has a token or a code, or an address that the account knows.
    Known,
    /// Any other login.
    Login,
    Registration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub at_a_time: usize,
    /// Callers of each priority.
    pub waiting: usize,
}

impl Limits {
    /// One hash per core, with at most half of the memory limit; and queues of about two seconds each.
    pub fn of_this_machine() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self::fitting(cores, memory_limit::of_this_process())
    }

    pub(super) fn fitting(cores: usize, memory_limit: Option<u64>) -> Self {
        let fitting = memory_limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit / 2 / BLOCK_BYTES).unwrap_or(usize::MAX)
        });
        let at_a_time = cores.min(fitting).max(1);
        Self {
            at_a_time,
            waiting: 64 * at_a_time,
        }
    }
}
