//! Reads the requests of a PostgreSQL client on one connection. Each ends with Sync or is a simple query, and the
//! client waits for its answer: it is one round trip.

use std::collections::HashMap;

/// The request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A ping: a request without a statement.
    Ping,
    /// Parses a statement for later executions.
    Prepare(String),
    /// Executes statements; nearly always one.
    Execute(Vec<String>),
}

#[derive(Default)]
pub(super) struct Frontend {
    /// An incomplete message.
    rest: Vec<u8>,
    started: bool,
    /// By name of the prepared statement.
    texts: HashMap<String, String>,
    parsed: Option<String>,
    executed: Vec<String>,
    bound: String,
}

impl Frontend {
    /// Returns the requests that the next bytes complete.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Asked> {
        self.rest.extend_from_slice(bytes);
        let mut asked = Vec::new();
        while let Some((kind, body)) = self.next_message() {
            asked.extend(self.message(kind, &body));
        }
        asked
    }

    /// The first message has no type. The length counts itself.
    fn next_message(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = usize::from(self.started);
        let length = self.rest.get(head..head + 4)?;
        let length = u32::from_be_bytes(length.try_into().ok()?);
        let end = head + usize::try_from(length).ok()?;
        if self.rest.len() < end {
            return None;
        }
        let message: Vec<u8> = self.rest.drain(..end).collect();
        let kind = if self.started { message[0] } else { 0 };
        self.started = true;
        Some((kind, message[head + 4..].to_vec()))
    }

    fn message(&mut self, kind: u8, body: &[u8]) -> Option<Asked> {
        let mut texts = body
            .split(|byte| *byte == 0)
            .map(|text| String::from_utf8_lossy(text).into_owned());
        match kind {
            b'Q' => return Some(simple(one_line(&texts.next()?))),
            b'P' => {
                let (name, text) = (texts.next()?, one_line(&texts.next()?));
                self.parsed = Some(text.clone());
                self.texts.insert(name, text);
            }
            b'B' => {
                let name = texts.nth(1)?;
                self.bound = self.texts.get(&name).cloned().unwrap_or_default();
            }
            b'E' => self.executed.push(self.bound.clone()),
            b'S' => return Some(self.sync()),
            _ => {}
        }
        None
    }

    fn sync(&mut self) -> Asked {
        let parsed = self.parsed.take();
        if !self.executed.is_empty() {
            return Asked::Execute(std::mem::take(&mut self.executed));
        }
        parsed.map_or(Asked::Ping, Asked::Prepare)
    }
}

/// An empty query only asks for the state of the session.
fn simple(text: String) -> Asked {
    if text.is_empty() {
        return Asked::Ping;
    }
    Asked::Execute(vec![text])
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &[u8], body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("a short message");
        [kind, &length.to_be_bytes(), body].concat()
    }

    fn session() -> Vec<u8> {
        [
            message(b"", b"\0\x03\0\0user\0ada\0\0"),
            message(b"p", b"proof\0"),
            message(b"Q", b"BEGIN\0"),
            message(b"P", b"s_1\0SELECT\n  1\0\0\0"),
            message(b"D", b"Ss_1\0"),
            message(b"S", b""),
            message(b"B", b"\0s_1\0\0\0\0\0\0\0"),
            message(b"E", b"\0\0\0\0\0"),
            message(b"S", b""),
            message(b"S", b""),
            message(b"Q", b"\0"),
        ]
        .concat()
    }

    fn expected() -> Vec<Asked> {
        vec![
            Asked::Execute(vec!["BEGIN".to_owned()]),
            Asked::Prepare("SELECT 1".to_owned()),
            Asked::Execute(vec!["SELECT 1".to_owned()]),
            Asked::Ping,
            Asked::Ping,
        ]
    }

    #[test]
    fn each_question_is_read_as_what_it_is() {
        assert_eq!(Frontend::default().read(&session()), expected());
    }

    #[test]
    fn messages_may_arrive_in_any_pieces() {
        let mut frontend = Frontend::default();
        let bytes = session();
        let asked: Vec<_> = bytes
            .chunks(3)
            .flat_map(|piece| frontend.read(piece))
            .collect();
        assert_eq!(asked, expected());
    }
}
