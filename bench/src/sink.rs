//! A mail server that accepts every mail and counts each `Message-ID`.
//!
//! It speaks the SMTP that a client without TLS needs. It runs inside the load generator, so the two share one line in
//! the report.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const MESSAGE_ID: &str = "message-id:";

/// Whether mails are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Takes,
    /// Accepts connections and never answers: mails stay pending, at no cost.
    Silent,
}

/// Dropping it closes all its connections.
pub(crate) struct Sink {
    port: u16,
    seen: Arc<Mutex<HashMap<String, u32>>>,
    _serving: JoinSet<()>,
}

impl Sink {
    pub(crate) async fn start(manner: Manner) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let seen = Arc::default();
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, manner, Arc::clone(&seen)));
        Ok(Self {
            port,
            seen,
            _serving: serving,
        })
    }

    /// For `SMTP_URL`.
    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}?tls=none", self.port)
    }

    /// How often the mail with this id was accepted.
    pub(crate) fn count(&self, id: &str) -> u32 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(id).copied().unwrap_or_default()
    }
}

async fn accept(listener: TcpListener, manner: Manner, seen: Arc<Mutex<HashMap<String, u32>>>) {
    let mut conversations = JoinSet::new();
    let mut silent = Vec::new();
    while let Ok((stream, _)) = listener.accept().await {
        match manner {
            Manner::Silent => silent.push(stream),
            Manner::Takes => {
                let seen = Arc::clone(&seen);
                conversations.spawn(async move {
                    // A client that disconnects ends only its own session.
                    let _ = converse(stream, &seen).await;
                });
            }
        }
        while conversations.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, seen: &Mutex<HashMap<String, u32>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    say(&mut stream, "220 bench").await?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        match line.split([' ', '\r']).next().unwrap_or_default() {
            "EHLO" => say(&mut stream, "250-bench\r\n250 8BITMIME").await?,
            "DATA" => {
                say(&mut stream, "354 go on").await?;
                let id = read_mail(&mut stream).await?;
                *seen
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .entry(id)
                    .or_default() += 1;
                say(&mut stream, "250 taken").await?;
            }
            "QUIT" => return say(&mut stream, "221 bye").await,
            _ => say(&mut stream, "250 ok").await?,
        }
    }
}

/// Reads to the end of the mail, and returns the first part of its `Message-ID`: the notification's id.
async fn read_mail(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let (mut id, mut line) = (String::new(), Vec::new());
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(id);
        }
        if id.is_empty() {
            id = message_id(&String::from_utf8_lossy(&line)).unwrap_or_default();
        }
    }
}

fn message_id(line: &str) -> Option<String> {
    let start = line.get(..MESSAGE_ID.len())?;
    if !start.eq_ignore_ascii_case(MESSAGE_ID) {
        return None;
    }
    let value = line[MESSAGE_ID.len()..].trim().trim_start_matches('<');
    value.split(['@', '>']).next().map(str::to_owned)
}

async fn say(stream: &mut BufReader<TcpStream>, text: &str) -> std::io::Result<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_id_is_read_up_to_its_domain() {
        let line = "Message-ID: <019aa5b2-6f3e@localhost>\r\n";
        assert_eq!(message_id(line).as_deref(), Some("019aa5b2-6f3e"));
        assert_eq!(message_id("Subject: Message-ID\r\n"), None);
    }
}
