//! Counts a client's traffic to PostgreSQL: round trips, statements and pings.
//!
//! A proxy reads the client's messages, also those of pool and driver. Counts are stable, unlike durations, so tests
//! can limit them.

use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use store::Database;
use store::DatabaseConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

use crate::eventually;

mod counted;
mod frontend;

pub use counted::{Counted, Limits};
pub use frontend::Asked;
use frontend::Frontend;

/// Without a request for this long, the work and the pool's clean-up are over.
const QUIET: Duration = Duration::from_millis(200);

/// A counting proxy in front of one PostgreSQL.
pub struct RoundTrips {
    url: Url,
    log: Arc<Mutex<Log>>,
    _forwarding: JoinSet<()>,
}

/// Since the last count, with the number of the connection.
#[derive(Default)]
struct Log {
    asked: Vec<(usize, Asked)>,
    last: Option<Instant>,
}

impl RoundTrips {
    /// Listens in front of the server of `url`.
    ///
    /// # Panics
    /// If `url` has no host and port.
    pub async fn before(url: &str) -> Self {
        let mut url: Url = url.parse().expect("a URL");
        let target = url
            .socket_addrs(|| Some(5432))
            .expect("a host and a port")
            .remove(0);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        url.set_host(Some("127.0.0.1")).expect("a URL with a host");
        url.set_port(Some(port)).expect("a URL with a port");
        // The proxy cannot read encrypted messages.
        url.query_pairs_mut().append_pair("sslmode", "disable");
        let log: Arc<Mutex<Log>> = Arc::default();
        let mut forwarding = JoinSet::new();
        let seen = Arc::clone(&log);
        forwarding.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 1.. {
                let (near, _) = listener.accept().await.expect("a connection");
                let far = TcpStream::connect(target).await.expect("the server");
                connections.spawn(forward(near, far, number, Arc::clone(&seen)));
            }
        });
        Self {
            url,
            log,
            _forwarding: forwarding,
        }
    }

    /// Connects as a service does.
    pub async fn connect(&self) -> Database {
        store::connect(&self.config(), "counted")
            .await
            .unwrap_or_else(|error| panic!("connecting through the counter: {error}"))
    }

    /// The configuration of a service that connects through the proxy.
    pub fn config(&self) -> DatabaseConfig {
        DatabaseConfig::new(self.url.as_str())
    }

    /// Counts the requests of `work` and its consequences.
    pub async fn of(&self, work: impl Future<Output = ()>) -> Counted {
        self.quiet().await;
        lock(&self.log).asked.clear();
        work.await;
        self.quiet().await;
        Counted::new(std::mem::take(&mut lock(&self.log).asked))
    }

    /// The smallest count of `work` in a few tries. Other work of the service can only add to a count.
    pub async fn least_of(&self, tries: usize, work: impl AsyncFn()) -> Counted {
        let mut least: Option<Counted> = None;
        for _ in 0..tries {
            let counted = self.of(work()).await;
            if least
                .as_ref()
                .is_none_or(|least| counted.order() < least.order())
            {
                least = Some(counted);
            }
        }
        least.expect("at least one try")
    }

    async fn quiet(&self) {
        let begun = Instant::now();
        eventually("the database gets no more requests", async || {
            let last = lock(&self.log).last.map_or(begun, |last| last.max(begun));
            let silence = last.elapsed();
            if silence >= QUIET {
                Ok(())
            } else {
                Err(silence)
            }
        })
        .await;
    }
}

/// The test harness does not hide stderr: the counts are a result.
pub(crate) fn print(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

async fn forward(mut near: TcpStream, mut far: TcpStream, number: usize, log: Arc<Mutex<Log>>) {
    let _ = near.set_nodelay(true);
    let _ = far.set_nodelay(true);
    let (mut near_reads, mut near_writes) = near.split();
    let (mut far_reads, mut far_writes) = far.split();
    let there = async {
        let mut frontend = Frontend::default();
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = near_reads.read(&mut buffer).await {
            let asked = frontend.read(&buffer[..count]);
            if !asked.is_empty() {
                let mut log = lock(&log);
                log.last = Some(Instant::now());
                log.asked
                    .extend(asked.into_iter().map(|asked| (number, asked)));
            }
            if far_writes.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        _ = tokio::io::copy(&mut far_reads, &mut near_writes) => {}
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
