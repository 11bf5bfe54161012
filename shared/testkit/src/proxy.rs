//! A proxy that breaks like networks. The server behind it stays up.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

mod link;

use link::{Line, Link};

/// A proxy in front of one server, for one test.
pub struct Proxy {
    url: Url,
    line: watch::Sender<Line>,
    connections: Arc<Mutex<Connections>>,
    _forwarding: JoinSet<()>,
}

/// By number, from 1.
#[derive(Default)]
struct Connections {
    attempts: usize,
    open: BTreeMap<usize, Lost>,
}

/// The first byte into a half-open link.
type Lost = Arc<OnceLock<Instant>>;

impl Proxy {
    /// Starts in front of the server of `url`, forwarding everything.
    ///
    /// # Panics
    /// If `url` has no host and port.
    pub async fn before(url: &str) -> Self {
        let mut url: Url = url.parse().expect("a URL");
        let default_port = || match url.scheme() {
            "postgres" | "postgresql" => Some(5432),
            "amqp" => Some(5672),
            _ => None,
        };
        let target = url.socket_addrs(default_port).expect("a host and a port")[0];
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        url.set_host(Some("127.0.0.1")).expect("a URL with a host");
        url.set_port(Some(port)).expect("a URL with a port");
        let line = watch::Sender::new(Line::default());
        let connections: Arc<Mutex<Connections>> = Arc::default();
        let mut forwarding = JoinSet::new();
        forwarding.spawn(accept(
            listener,
            target,
            line.subscribe(),
            Arc::clone(&connections),
        ));
        Self {
            url,
            line,
            connections,
            _forwarding: forwarding,
        }
    }

    /// The server's URL through the proxy.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Ends every connection and refuses new ones.
    pub fn cut(&self) {
        self.become_(Link::Cut);
    }

    /// No byte gets through, and neither side is notified. New connections are accepted.
    pub fn half_open(&self) {
        self.become_(Link::HalfOpen);
    }

    /// Delays each direction by `by`, plus or minus `jitter`, without reordering.
    pub fn delay(&self, by: Duration, jitter: Duration) {
        self.become_(Link::Slow { by, jitter });
    }

    /// Limits each direction of each connection, in bytes per second.
    pub fn throttle(&self, bytes_per_second: u32) {
        self.become_(Link::Narrow { bytes_per_second });
    }

    /// Ends every connection with a TCP reset; new ones work.
    pub fn reset(&self) {
        self.line.send_modify(|line| line.resets += 1);
    }

    /// From now on, replaces `from` by `to` within each sent chunk, so that a client library sends invalid bytes.
    ///
    /// # Panics
    /// If the two have different lengths.
    pub fn spoil(&self, from: &'static [u8], to: &'static [u8]) {
        assert_eq!(from.len(), to.len());
        self.line
            .send_modify(|line| line.spoiled = Some((from, to)));
    }

    /// Forwards again. Half-open connections have lost bytes, so they end.
    pub fn mend(&self) {
        self.become_(Link::Up);
    }

    /// How many connections were attempted.
    pub fn attempts(&self) -> usize {
        lock(&self.connections).attempts
    }

    /// How many connections clients hold open.
    pub fn open(&self) -> usize {
        lock(&self.connections).open.len()
    }

    /// How long clients have been waiting for an answer that cannot come: one entry per open connection, up to this
    /// attempt, that has sent into the half-open link.
    pub fn waits(&self, attempt: usize) -> Vec<Duration> {
        let connections = lock(&self.connections);
        let open = connections.open.range(..=attempt);
        open.filter_map(|(_, lost)| lost.get().map(Instant::elapsed))
            .collect()
    }

    fn become_(&self, link: Link) {
        self.line.send_modify(|line| {
            line.resets += u64::from(line.link == Link::HalfOpen && link != Link::HalfOpen);
            line.link = link;
        });
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    line: watch::Receiver<Line>,
    connections: Arc<Mutex<Connections>>,
) {
    let mut forwarding = JoinSet::new();
    loop {
        let (near, _) = listener.accept().await.expect("a connection");
        let number = {
            let mut connections = lock(&connections);
            connections.attempts += 1;
            connections.attempts
        };
        // Dropping it refuses it immediately.
        if line.borrow().link != Link::Cut {
            let lost = Lost::default();
            lock(&connections).open.insert(number, Arc::clone(&lost));
            let (line, connections) = (line.clone(), Arc::clone(&connections));
            forwarding.spawn(async move {
                forward(near, target, line, &lost).await;
                lock(&connections).open.remove(&number);
            });
        }
        while forwarding.try_join_next().is_some() {}
    }
}

fn lock(connections: &Mutex<Connections>) -> MutexGuard<'_, Connections> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn forward(
    mut near: TcpStream,
    target: SocketAddr,
    mut line: watch::Receiver<Line>,
    lost: &OnceLock<Instant>,
) {
    let Ok(mut far) = TcpStream::connect(target).await else {
        return;
    };
    let resets = line.borrow().resets;
    let is_reset = {
        let (near_reads, near_writes) = near.split();
        let (far_reads, far_writes) = far.split();
        let (there, back) = (line.clone(), line.clone());
        tokio::select! {
            () = link::carry(near_reads, far_writes, there, lost) => false,
            // Behind a half-open link, the client does not see that the server hangs up.
            () = async {
                link::carry(far_reads, near_writes, back.clone(), &OnceLock::new()).await;
                let mut back = back;
                let _ = back.wait_for(|line| line.link != Link::HalfOpen).await;
            } => false,
            ended = line.wait_for(|line| line.link == Link::Cut || line.resets != resets) => {
                ended.is_ok_and(|line| line.resets != resets)
            }
        }
    };
    if is_reset {
        for end in [&near, &far] {
            let _ = end.set_zero_linger();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::eventually_is;

    async fn echo() -> (Proxy, SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                connections.spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        let proxy = Proxy::before(&format!("amqp://{address}")).await;
        let near = proxy.url.socket_addrs(|| None).expect("an address")[0];
        (proxy, near, serving)
    }

    async fn says_back(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
        stream.write_all(bytes).await?;
        let mut heard = vec![0; bytes.len()];
        stream.read_exact(&mut heard).await?;
        assert_eq!(heard, bytes);
        Ok(())
    }

    #[tokio::test]
    async fn what_goes_through_arrives_unchanged() {
        let (proxy, near, _serving) = echo().await;
        let mut stream = TcpStream::connect(near).await.expect("a connection");
        says_back(&mut stream, b"hello").await.expect("an echo");
        assert_eq!((proxy.attempts(), proxy.open()), (1, 1));
        drop(stream);
        eventually_is("it is closed", 0, async || proxy.open()).await;
    }

    #[tokio::test]
    async fn what_is_spoiled_arrives_as_something_else() {
        let (proxy, near, _serving) = echo().await;
        proxy.spoil(b"good", b"b\xffd!");
        let mut stream = TcpStream::connect(near).await.expect("a connection");
        stream.write_all(b"a good good one").await.expect("a write");
        let mut heard = vec![0; 15];
        stream.read_exact(&mut heard).await.expect("an echo");
        assert_eq!(heard, b"a b\xffd! b\xffd! one");
    }

    #[tokio::test]
    async fn a_cut_ends_what_is_there_and_refuses_what_comes() {
        let (proxy, near, _serving) = echo().await;
        let mut stream = TcpStream::connect(near).await.expect("a connection");
        says_back(&mut stream, b"hello").await.expect("an echo");
        proxy.cut();
        assert_eq!(stream.read(&mut [0]).await.expect("an end"), 0);
        let mut refused = TcpStream::connect(near).await.expect("a connection");
        assert!(says_back(&mut refused, b"hello").await.is_err());
        proxy.mend();
        let mut stream = TcpStream::connect(near).await.expect("a connection");
        says_back(&mut stream, b"hello").await.expect("an echo");
        assert_eq!(proxy.attempts(), 3);
    }

    #[tokio::test]
    async fn a_reset_is_one() {
        let (proxy, near, _serving) = echo().await;
        let mut stream = TcpStream::connect(near).await.expect("a connection");
        says_back(&mut stream, b"hello").await.expect("an echo");
        proxy.reset();
        let error = stream.read(&mut [0]).await.expect_err("a reset");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn behind_a_half_open_link_is_silence_until_it_is_mended() {
        let (proxy, near, _serving) = echo().await;
        let mut stream = TcpStream::connect(near).await.expect("a connection");
        says_back(&mut stream, b"hello").await.expect("an echo");
        proxy.half_open();
        let mut late = TcpStream::connect(near).await.expect("it is accepted");
        for stream in [&mut stream, &mut late] {
            let silent = says_back(stream, b"hello");
            let silence = tokio::time::timeout(Duration::from_millis(100), silent).await;
            assert!(silence.is_err(), "{silence:?}");
        }
        let waits = |attempt| proxy.waits(attempt).len();
        assert_eq!((waits(0), waits(1), waits(2)), (0, 1, 2));
        proxy.mend();
        assert!(stream.read(&mut [0]).await.is_err());
        let mut stream = TcpStream::connect(near).await.expect("a connection");
        says_back(&mut stream, b"hello").await.expect("an echo");
    }

    #[tokio::test]
    async fn what_is_delayed_or_narrow_takes_its_time() {
        let (proxy, near, _serving) = echo().await;
        let mut stream = TcpStream::connect(near).await.expect("a connection");
        let delay = Duration::from_millis(40);
        proxy.delay(delay, Duration::ZERO);
        let begun = Instant::now();
        says_back(&mut stream, b"hello").await.expect("an echo");
        assert!(begun.elapsed() >= 2 * delay, "{:?}", begun.elapsed());

        proxy.throttle(10_000);
        let begun = Instant::now();
        says_back(&mut stream, &[7; 2000]).await.expect("an echo");
        assert!(begun.elapsed() >= Duration::from_millis(200));
    }
}
