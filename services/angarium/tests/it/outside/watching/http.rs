//! Enough of HTTP to ask a program on this machine.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// `query` as given.
pub(super) fn get(port: u16, path: &str, query: &[(&str, &str)]) -> Result<Value, String> {
    let body = text(port, path, query)?;
    serde_json::from_str(&body).map_err(|error| format!("{path}: {error}: {body}"))
}

pub(super) fn text(port: u16, path: &str, query: &[(&str, &str)]) -> Result<String, String> {
    let (head, body) = ask(port, path, query).map_err(|error| error.to_string())?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if status != "200" {
        return Err(format!("{path}: {head}: {body}"));
    }
    Ok(body)
}

/// Version 1.0: the answer ends with the connection, and has no chunks.
fn ask(port: u16, path: &str, query: &[(&str, &str)]) -> std::io::Result<(String, String)> {
    let mut target = path.to_owned();
    for (index, (name, value)) in query.iter().enumerate() {
        let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        target += &format!("{}{name}={value}", if index == 0 { '?' } else { '&' });
    }
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {target} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let head = head.lines().next().unwrap_or_default();
    Ok((head.to_owned(), body.to_owned()))
}
