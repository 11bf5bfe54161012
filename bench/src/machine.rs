//! The current speed of the machine, and the load of other programs.
//!
//! Both decide whether two results can be compared: the speed of a virtual machine changes from minute to minute, and a
//! busy neighbour takes cores from the measured systems.

use std::thread;
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};

/// Long enough to be stable, short enough for every round.
const TRIAL: Duration = Duration::from_millis(200);
const BLOCK: usize = 64 * 1024;

/// Above this foreign load in cores, a report calls the machine busy.
pub(crate) const BUSY_CORES: f64 = 0.15;

/// Megabytes per second that all cores hash together.
pub(crate) fn speed() -> f64 {
    let cores = cores();
    let began = Instant::now();
    let hashed: usize = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(|| hash(began))).collect();
        let results = workers.into_iter().map(|worker| worker.join().unwrap_or(0));
        results.sum()
    });
    hashed as f64 / 1_000_000.0 / began.elapsed().as_secs_f64()
}

pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The processor model and the kernel, for a report.
pub(crate) fn description() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // Without the suffix of a distribution or host.
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    format!("{} cores, {model}, Linux {kernel}", cores())
}

fn hash(began: Instant) -> usize {
    let block = vec![0x5a_u8; BLOCK];
    let mut hashed = 0;
    while began.elapsed() < TRIAL {
        std::hint::black_box(digest(&SHA256, std::hint::black_box(&block)));
        hashed += BLOCK;
    }
    hashed
}
