//! Checks whether the broker's address answers at all.
//!
//! lapin uses a thread and a socket per attempt, and leaks both if the attempt is cancelled before the broker's first
//! byte. So after an unanswered attempt, the next one first checks the address in a way that leaks nothing.

use std::time::Duration;

use lapin::uri::AMQPAuthority;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::transport::TransportError;

/// As an AMQP client. A TLS listener answers with an error.
const GREETING: &[u8] = b"AMQP\x00\x00\x09\x01";

/// Any answer counts, even a closed connection: the address has a listener.
pub(super) async fn knock(server: &AMQPAuthority, limit: Duration) -> Result<(), TransportError> {
    const ACTION: &str = "knocking at RabbitMQ";
    let asked = async {
        let address = (server.host.as_str(), server.port);
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(GREETING).await?;
        stream.read(&mut [0]).await
    };
    match tokio::time::timeout(limit, asked).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(TransportError::new(ACTION, error)),
        Err(_) => Err(TransportError::new(
            ACTION,
            format!("no answer within {limit:?}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    async fn listener() -> (TcpListener, AMQPAuthority) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let authority = AMQPAuthority {
            host: address.ip().to_string(),
            port: address.port(),
            ..AMQPAuthority::default()
        };
        (listener, authority)
    }

    #[tokio::test]
    async fn a_peer_that_speaks_or_hangs_up_is_reachable() {
        for answer in [&b"\x01"[..], b""] {
            let (listener, server) = listener().await;
            let answering = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut heard = [0; GREETING.len()];
                stream.read_exact(&mut heard).await.unwrap();
                stream.write_all(answer).await.unwrap();
            };
            let (knocked, ()) = tokio::join!(knock(&server, Duration::from_secs(30)), answering);
            knocked.unwrap();
        }
    }

    #[tokio::test]
    async fn a_silent_or_missing_peer_is_an_error() {
        let (listener, server) = listener().await;
        let error = knock(&server, LIMIT).await.unwrap_err().to_string();
        assert!(error.contains("no answer"), "{error}");
        drop(listener);
        assert!(knock(&server, Duration::from_secs(30)).await.is_err());
    }
}
