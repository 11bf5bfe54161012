//! The links of one system's two services that break together, and what goes on at them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use testkit::Proxy;
use tokio::task::JoinSet;

const SAMPLED: Duration = Duration::from_millis(200);
const A_MINUTE: usize = 300;

/// What the links lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Broker,
    Databases,
}

impl Target {
    /// How late everything is each way, give or take. A database is asked one thing after the other, eight times in a call, so
    /// there it is 500 ms, give or take 200, for a question and its answer together.
    pub(super) fn delay(self) -> (Duration, Duration) {
        match self {
            Self::Broker => (Duration::from_millis(500), Duration::from_millis(200)),
            Self::Databases => (Duration::from_millis(250), Duration::from_millis(100)),
        }
    }

    /// How many connections outlive a link that is half open: the one that listens for commits is given up, but sqlx then waits for
    /// its farewell until the system ends it.
    pub(super) fn left_to_the_system(self) -> usize {
        match self {
            Self::Broker => 0,
            Self::Databases => 1,
        }
    }

    /// How many connections one process may hold open at once on all links.
    pub(super) fn most_open(self) -> usize {
        match self {
            // For publishing, for consuming, for dead letters; for each of them one attempt that hangs, and one that knocks.
            Self::Broker => 9,
            // Two pools of 10, and one for each database that listens.
            Self::Databases => 22,
        }
    }
}

pub(super) struct Faulty {
    pub(super) target: Target,
    links: Arc<[Proxy; 2]>,
    /// How many connections each link was asked for before it became half open.
    before: Vec<usize>,
    samples: Arc<Mutex<Samples>>,
    _sampling: JoinSet<()>,
}

#[derive(Default)]
struct Samples {
    attempts: Vec<[usize; 2]>,
    most_open: usize,
}

impl Faulty {
    pub(super) fn new(target: Target, links: [Proxy; 2]) -> Self {
        let links = Arc::new(links);
        let samples: Arc<Mutex<Samples>> = Arc::default();
        let (seen, kept) = (Arc::clone(&links), Arc::clone(&samples));
        let mut sampling = JoinSet::new();
        sampling.spawn(async move {
            loop {
                {
                    let mut samples = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    samples.attempts.push(seen.each_ref().map(Proxy::attempts));
                    let open = seen.iter().map(Proxy::open).sum();
                    samples.most_open = samples.most_open.max(open);
                }
                tokio::time::sleep(SAMPLED).await;
            }
        });
        Self {
            target,
            before: Vec::new(),
            links,
            samples,
            _sampling: sampling,
        }
    }

    /// Does the same to all.
    pub(super) fn each(&mut self, act: impl Fn(&Proxy)) {
        self.before = self.links.iter().map(Proxy::attempts).collect();
        self.links.iter().for_each(act);
    }

    /// Looks for so long at those of the connections that were there before the last act on which the system waits for an answer:
    /// how long the longest of these waits was, as far as it kept to the limit, and on how many it did not. What is at rest in
    /// a pool waits for nothing, and is found out when it is needed.
    pub(super) async fn waits(&self, looking: Duration, limit: Duration) -> (Duration, usize) {
        let (begun, mut longest, mut most) = (Instant::now(), Duration::ZERO, 0);
        while begun.elapsed() < looking {
            let links = self.links.iter().zip(&self.before);
            let waits = links.flat_map(|(link, before)| link.waits(*before));
            let (within, beyond): (Vec<_>, Vec<_>) = waits.partition(|wait| *wait <= limit);
            longest = within.into_iter().fold(longest, Duration::max);
            most = most.max(beyond.len());
            tokio::time::sleep(SAMPLED).await;
        }
        (longest, most)
    }

    /// On one link, in its worst minute.
    pub(super) fn most_in_a_minute(&self) -> usize {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let minutes = samples.attempts.iter().enumerate().map(|(at, before)| {
            let last = samples.attempts.len() - 1;
            let after = samples.attempts[last.min(at + A_MINUTE)];
            (after[0] - before[0]).max(after[1] - before[1])
        });
        minutes.max().unwrap_or(0)
    }

    pub(super) fn most_open(&self) -> usize {
        self.samples
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .most_open
    }
}
