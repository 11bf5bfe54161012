//! HTTP/2 frame by frame, for input that no normal client sends.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Longer than any server needs to close a connection.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Without protocol checks.
pub(crate) struct Wire {
    socket: TcpStream,
    received: Vec<u8>,
}

impl Wire {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        Self {
            socket: TcpStream::connect(addr).await.unwrap(),
            received: Vec::new(),
        }
    }

    pub(crate) async fn greet(&mut self) {
        self.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())
            .await;
    }

    /// `false` if the server has closed.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).await.is_ok()
    }

    /// The kind and the flags of the next frame; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(u8, u8)> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            match self.socket.read_buf(&mut self.received).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub(crate) async fn is_answered(&mut self) -> bool {
        self.send(&frame(PING, 0, 0, b"anyone??")).await;
        while let Some(frame) = self.next().await {
            if frame == (PING, ACK) {
                return true;
            }
        }
        false
    }

    /// Among the frames that have arrived.
    pub(crate) async fn has_goaway(&mut self) -> bool {
        tokio::task::yield_now().await;
        let mut bytes = [0; 4096];
        if let Ok(length) = self.socket.try_read(&mut bytes) {
            self.received.extend_from_slice(&bytes[..length]);
        }
        while let Some((kind, _)) = self.take() {
            if kind == GOAWAY {
                return true;
            }
        }
        false
    }

    pub(crate) async fn is_closed(&mut self) {
        let closed = async { while self.next().await.is_some() {} };
        let closed = tokio::time::timeout(PATIENCE, closed).await;
        closed.expect("the server closes the connection");
    }

    fn take(&mut self) -> Option<(u8, u8)> {
        let head = self.received.first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        if self.received.len() < 9 + length {
            return None;
        }
        self.received.drain(..9 + length);
        Some((kind, flags))
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Only static names are compressed (RFC 7541).
pub(crate) fn call_headers(path: &str) -> Vec<u8> {
    // `:method: POST` and `:scheme: http`.
    let mut block = vec![0x83, 0x86];
    // `:path` and `:authority` have numbers for their names.
    literal(&mut block, &[0x04], path);
    literal(&mut block, &[0x01], "localhost");
    literal(&mut block, &[0x0f, 0x10], "application/grpc");
    header(&mut block, "te", "trailers");
    block
}

pub(crate) fn header(block: &mut Vec<u8>, name: &str, value: &str) {
    let mut name_of_its_own = vec![0x00, u8::try_from(name.len()).unwrap()];
    name_of_its_own.extend(name.as_bytes());
    literal(block, &name_of_its_own, value);
}

fn literal(block: &mut Vec<u8>, name: &[u8], value: &str) {
    block.extend(name);
    let length = value.len();
    if length < 127 {
        block.push(u8::try_from(length).unwrap());
    } else {
        // In groups of seven bits.
        block.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap());
    }
    block.extend(value.as_bytes());
}
