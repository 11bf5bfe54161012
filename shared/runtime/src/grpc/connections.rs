//! Accepts connections within the limits, and serves each in its own task.
//!
//! tonic's accept loop lacks a different age per connection, new certificates at run time, a limit over all
//! connections, and an end that no client can delay.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::connection::{Connection, Ending, Handler};
use super::places::Places;
use crate::slots::Slot;

/// Without free file descriptors, `accept` fails immediately each time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Returns when the last connection after `ending.drain` has ended.
pub(super) async fn serve<S: Handler>(
    listener: TcpListener,
    connection: Connection<S>,
    mut places: Places,
    ending: &Ending,
) {
    let mut open = JoinSet::new();
    loop {
        let (socket, peer) = tokio::select! {
            biased;
            () = ending.drain.cancelled() => break,
            Some(ended) = open.join_next() => {
                noted(ended);
                continue;
            }
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    failed(&error).await;
                    continue;
                }
            },
        };
        // A client without a place notices immediately, and can try another replica.
        if let Some(place) = places.take(peer.ip()) {
            open.spawn(hold(place, connection.clone(), socket, peer));
        }
    }
    // From now on, the system refuses clients.
    drop(listener);
    while let Some(ended) = open.join_next().await {
        noted(ended);
    }
}

async fn hold<S: Handler>(
    _place: Slot,
    connection: Connection<S>,
    socket: TcpStream,
    peer: SocketAddr,
) {
    connection.serve(socket, peer).await;
}

async fn failed(error: &io::Error) {
    tracing::warn!("a connection could not be accepted: {error}");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Panics of handlers are caught earlier.
fn noted(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection broke");
    }
}
