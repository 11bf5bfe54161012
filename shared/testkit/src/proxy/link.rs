//! The transport of bytes through a [`Proxy`](super::Proxy).

use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

const CHUNK: usize = 16 * 1024;
/// In chunks.
const UNDER_WAY: usize = 256;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Link {
    #[default]
    Up,
    Cut,
    HalfOpen,
    Slow {
        by: Duration,
        jitter: Duration,
    },
    Narrow {
        bytes_per_second: u32,
    },
}

/// Shared by all connections of a proxy.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    pub(super) link: Link,
    /// When this grows, a connection ends with a reset.
    pub(super) resets: u64,
    /// Bytes and their replacement.
    pub(super) spoiled: Option<(&'static [u8], &'static [u8])>,
}

/// Forwards in one direction until one end closes. Records in `lost` when the first byte got nowhere.
pub(super) async fn carry(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    line: watch::Receiver<Line>,
    lost: &OnceLock<std::time::Instant>,
) {
    let (chunks, under_way) = mpsc::channel(UNDER_WAY);
    // Concurrently: the last bytes arrive although the sender has hung up.
    tokio::join!(send_off(from, chunks, line, lost), arrive(under_way, to));
}

type UnderWay = (Instant, Vec<u8>);

async fn send_off(
    mut from: impl AsyncRead + Unpin,
    chunks: mpsc::Sender<UnderWay>,
    line: watch::Receiver<Line>,
    lost: &OnceLock<std::time::Instant>,
) {
    let mut buffer = vec![0; CHUNK];
    let mut last = Instant::now();
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let link = line.borrow().link;
        if link == Link::HalfOpen {
            lost.get_or_init(std::time::Instant::now);
            continue;
        }
        // Not before the previous chunk.
        last = arrival(link, count, last).max(last);
        let mut chunk = buffer[..count].to_vec();
        if let Some((from, to)) = line.borrow().spoiled {
            spoil(&mut chunk, from, to);
        }
        if chunks.send((last, chunk)).await.is_err() {
            return;
        }
        if matches!(link, Link::Narrow { .. }) {
            // Reads no more than gets through, so that the sender waits. A queue would keep the link slow after its
            // repair.
            tokio::time::sleep_until(last).await;
        }
    }
}

fn spoil(chunk: &mut [u8], from: &[u8], to: &[u8]) {
    let mut rest = chunk;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        rest[at..at + to.len()].copy_from_slice(to);
        rest = &mut rest[at + to.len()..];
    }
}

fn arrival(link: Link, count: usize, last: Instant) -> Instant {
    let now = Instant::now();
    match link {
        Link::Slow { by, jitter } => {
            let earliest = by.saturating_sub(jitter);
            now + earliest + (jitter * 2).mul_f64(fastrand::f64())
        }
        Link::Narrow { bytes_per_second } => {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            let takes = Duration::from_secs(count.into()) / bytes_per_second.max(1);
            now.max(last) + takes
        }
        Link::Up | Link::Cut | Link::HalfOpen => now,
    }
}

async fn arrive(mut under_way: mpsc::Receiver<UnderWay>, mut to: impl AsyncWrite + Unpin) {
    while let Some((at, chunk)) = under_way.recv().await {
        tokio::time::sleep_until(at).await;
        if to.write_all(&chunk).await.is_err() {
            return;
        }
    }
}
