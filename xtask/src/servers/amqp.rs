//! Logs in to an AMQP 0-9-1 server and opens the virtual host. This proves that a node is up and a URL is correct. It
//! implements only the necessary part of the protocol: a client crate would add an async runtime to a tool that is
//! built before everything else.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context as _, Result, bail};
use percent_encoding::percent_decode_str;
use url::Url;

use super::ready;

pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    user: String,
    password: String,
    vhost: String,
    pub(crate) tls: bool,
}

impl Address {
    /// By the rules of RabbitMQ's URI specification. Errors never contain the text, because it may contain a password.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let url = Url::parse(text)?;
        let (tls, default_port) = match url.scheme() {
            "amqp" => (false, 5672),
            "amqps" => (true, 5671),
            scheme => bail!("its scheme is {scheme}, not amqp or amqps"),
        };
        let or_guest = |text: String| {
            if text.is_empty() {
                "guest".into()
            } else {
                text
            }
        };
        let vhost = url.path().strip_prefix('/').unwrap_or("/");
        Ok(Self {
            host: url.host_str().unwrap_or("localhost").to_owned(),
            port: url.port().unwrap_or(default_port),
            user: or_guest(decode(url.username())),
            password: or_guest(decode(url.password().unwrap_or_default())),
            // amqp://host/ usually means /, not the vhost with the empty name.
            vhost: if vhost.is_empty() {
                "/".to_owned()
            } else {
                decode(vhost)
            },
            tls,
        })
    }
}

/// Returns the server's version.
pub(crate) fn log_in(address: &Address) -> Result<String> {
    let mut stream = ready::connect(&address.host, address.port)?;
    stream.write_all(b"AMQP\x00\x00\x09\x01")?;

    let start = receive(&mut stream, START).context("it does not answer as AMQP 0-9-1")?;
    let version = version(&start).unwrap_or("(unknown version)").to_owned();

    send(&mut stream, START_OK, &start_ok(address))?;
    // RabbitMQ answers a wrong password by closing the connection.
    let tune = receive(&mut stream, TUNE).context("the user or the password is refused")?;

    // Accepts the offered limits, but no heartbeats: the connection lives only for a moment.
    let mut tune_ok = tune.get(..6).context("a short tune method")?.to_vec();
    tune_ok.extend_from_slice(&[0, 0]);
    send(&mut stream, TUNE_OK, &tune_ok)?;
    let mut open = Vec::new();
    short_string(&mut open, &address.vhost);
    open.extend_from_slice(&[0, 0]);
    send(&mut stream, OPEN, &open)?;
    receive(&mut stream, OPEN_OK)
        .with_context(|| format!("the virtual host {} is refused", address.vhost))?;

    // Code 200, no text, no failing method: otherwise the server logs a lost client.
    send(&mut stream, CLOSE, &[0, 200, 0, 0, 0, 0, 0])?;
    let _ = receive(&mut stream, CLOSE_OK);
    Ok(version)
}

const START: u16 = 10;
const START_OK: u16 = 11;
const TUNE: u16 = 30;
const TUNE_OK: u16 = 31;
const OPEN: u16 = 40;
const OPEN_OK: u16 = 41;
const CLOSE: u16 = 50;
const CLOSE_OK: u16 = 51;

const METHOD_FRAME: u8 = 1;
const FRAME_END: u8 = 0xCE;
const FRAME_LIMIT: u32 = 128 * 1024;

fn send(stream: &mut TcpStream, method: u16, arguments: &[u8]) -> Result<()> {
    let size = u32::try_from(arguments.len() + 4)?;
    let mut frame = vec![METHOD_FRAME, 0, 0];
    frame.extend_from_slice(&size.to_be_bytes());
    frame.extend_from_slice(&[0, 10]);
    frame.extend_from_slice(&method.to_be_bytes());
    frame.extend_from_slice(arguments);
    frame.push(FRAME_END);
    stream
        .write_all(&frame)
        .context("the connection was closed")
}

/// The arguments of the expected method.
fn receive(stream: &mut impl Read, expected: u16) -> Result<Vec<u8>> {
    let mut head = [0_u8; 7];
    stream
        .read_exact(&mut head)
        .context("the connection was closed")?;
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    if head[0] != METHOD_FRAME || !(4..=FRAME_LIMIT).contains(&size) {
        bail!("no method frame");
    }
    let mut payload = vec![0_u8; usize::try_from(size)? + 1];
    stream
        .read_exact(&mut payload)
        .context("the connection was closed")?;
    if payload.pop() != Some(FRAME_END) {
        bail!("a frame without its end");
    }
    let arguments = payload.split_off(4);
    let method = u16::from_be_bytes([payload[2], payload[3]]);
    if payload[..2] != [0, 10] || method != expected {
        bail!("{}", refusal(method, &arguments));
    }
    Ok(arguments)
}

fn refusal(method: u16, arguments: &[u8]) -> String {
    let text = arguments.get(2).zip(arguments.get(3..));
    match text.and_then(|(&length, rest)| rest.get(..usize::from(length))) {
        Some(text) if method == CLOSE => String::from_utf8_lossy(text).into_owned(),
        _ => format!("unexpected method 10.{method}"),
    }
}

fn start_ok(address: &Address) -> Vec<u8> {
    let mut arguments = vec![0; 4]; // an empty table of client properties
    short_string(&mut arguments, "PLAIN");
    let response = format!("\0{}\0{}", address.user, address.password);
    let length = u32::try_from(response.len()).unwrap_or(u32::MAX);
    arguments.extend_from_slice(&length.to_be_bytes());
    arguments.extend_from_slice(response.as_bytes());
    short_string(&mut arguments, "en_US");
    arguments
}

fn short_string(buffer: &mut Vec<u8>, text: &str) {
    let text = &text.as_bytes()[..text.len().min(255)];
    buffer.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    buffer.extend_from_slice(text);
}

/// The long string `version` in the table of server properties.
fn version(start: &[u8]) -> Option<&str> {
    const KEY: &[u8] = b"\x07versionS";
    let at = start.windows(KEY.len()).position(|window| window == KEY)?;
    let (length, text) = start.get(at + KEY.len()..)?.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    std::str::from_utf8(text.get(..length)?).ok()
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_details_means_the_defaults() -> Result<()> {
        let address = Address::parse("amqp://broker")?;
        assert_eq!((address.host.as_str(), address.port), ("broker", 5672));
        assert_eq!(
            (address.user.as_str(), address.vhost.as_str()),
            ("guest", "/")
        );
        Ok(())
    }

    #[test]
    fn the_parts_of_a_url_are_decoded() -> Result<()> {
        let address = Address::parse("amqps://me:p%40ss@[::1]:7/a%2fb")?;
        assert!(address.tls);
        assert_eq!((address.password.as_str(), address.port), ("p@ss", 7));
        assert_eq!(address.vhost, "a/b");
        Ok(())
    }

    #[test]
    fn an_error_about_a_url_does_not_show_its_password() {
        for url in ["http://me:secret@host", "amqp://me:secret@host:port"] {
            let error = Address::parse(url).err().map(|error| format!("{error:#}"));
            assert!(error.is_some_and(|text| !text.contains("secret")));
        }
    }

    #[test]
    fn the_version_is_found_among_the_server_properties() {
        let start = b"\0\x09\0\0\0\x40\x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x063.10.8";
        assert_eq!(version(start), Some("3.10.8"));
        assert_eq!(version(b"\x07versionS\0\0\0\xff3.10"), None);
        assert_eq!(version(b""), None);
    }

    #[test]
    fn a_close_is_reported_in_the_servers_words() {
        let mut frame: &[u8] = b"\x01\0\0\0\0\0\x0e\0\x0a\0\x32\x02\x12\x07refused\xce";
        let error = receive(&mut frame, TUNE)
            .err()
            .map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("refused"));
    }

    #[test]
    fn bytes_that_are_no_frame_are_an_error() {
        for mut bytes in [&b"HTTP/1.1 400 Bad Request"[..], b"AMQP\0\0\x09\x01", b""] {
            assert!(receive(&mut bytes, START).is_err());
        }
    }
}
