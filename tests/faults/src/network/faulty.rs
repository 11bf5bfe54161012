//! The links of the two services of one system. They break together, and their connections are counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use testkit::Proxy;
use tokio::task::JoinSet;

const SAMPLED: Duration = Duration::from_millis(200);
const A_MINUTE: usize = 300;

/// What the links connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Broker,
    Databases,
}

impl Target {
    /// The delay in each direction, and its jitter. A call sends eight statements to a database, one after the other, so there it is
    /// 500 ms ± 200 ms for a statement and its answer together.
    pub(super) fn delay(self) -> (Duration, Duration) {
        match self {
            Self::Broker => (Duration::from_millis(500), Duration::from_millis(200)),
            Self::Databases => (Duration::from_millis(250), Duration::from_millis(100)),
        }
    }

    /// How many connections outlive a half-open link. The connection that listens for commits is given up, but sqlx waits for its
    /// closing message until the operating system ends the connection.
    pub(super) fn left_to_the_system(self) -> usize {
        match self {
            Self::Broker => 0,
            Self::Databases => 1,
        }
    }

    /// How many connections one process may have open at the same time on all links.
    pub(super) fn most_open(self) -> usize {
        match self {
            // For publishing, consuming and dead letters; for each of them a hanging attempt and a probe.
            Self::Broker => 9,
            // Two pools of 10, and a listening connection for each database.
            Self::Databases => 22,
        }
    }
}

pub(super) struct Faulty {
    pub(super) target: Target,
    links: Arc<[Proxy; 2]>,
    /// How many connections each link had been asked for before the last fault.
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

    /// Does this to all links.
    pub(super) fn each(&mut self, act: impl Fn(&Proxy)) {
        self.before = self.links.iter().map(Proxy::attempts).collect();
        self.links.iter().for_each(act);
    }

    /// Watches the connections that were open before the last fault and on which the system waits for an answer. Returns the longest
    /// wait within the limit, and the number of connections that waited for longer. An idle connection of a pool waits for nothing;
    /// the pool finds out when it is needed.
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

    /// The most connections that one link was asked for in a minute.
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
