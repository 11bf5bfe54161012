//! Checks whether a PostgreSQL server accepts connections, like pg_isready: a start-up message without a login. With
//! Docker there is no pg_isready, so this implements the necessary part of the protocol.

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result, bail};

use super::ready;

const PROTOCOL: u32 = 3 << 16;

pub(crate) fn accepts(host: &str, port: u16, user: &str) -> Result<()> {
    let mut stream = ready::connect(host, port)?;
    stream.write_all(&startup(user))?;
    let mut head = [0_u8; 5];
    stream
        .read_exact(&mut head)
        .with_context(|| format!("{host}:{port} does not answer as PostgreSQL does"))?;
    match head[0] {
        // A password request or a success: it accepts connections.
        b'R' => Ok(()),
        b'E' => {
            let mut body = Vec::new();
            let _ = stream.take(4096).read_to_end(&mut body);
            match field(&body, b'C') {
                // Starting up, shutting down, or out of connections. All other errors come after that check.
                Some(code) if !(code.starts_with("57P0") || code == "53300") => Ok(()),
                _ => bail!(
                    "{}",
                    field(&body, b'M').unwrap_or("an error without a text")
                ),
            }
        }
        _ => bail!("{host}:{port} does not answer as PostgreSQL does"),
    }
}

fn startup(user: &str) -> Vec<u8> {
    let mut body = PROTOCOL.to_be_bytes().to_vec();
    for text in ["user", user, "database", "postgres", ""] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    let mut message = length.to_be_bytes().to_vec();
    message.append(&mut body);
    message
}

/// A field of an error response: kind, text, zero byte.
fn field(body: &[u8], kind: u8) -> Option<&str> {
    let mut fields = body.split(|&byte| byte == 0);
    let text = fields.find(|field| field.first() == Some(&kind))?;
    std::str::from_utf8(&text[1..]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_startup_message_carries_its_own_length() {
        let message = startup("me");
        let length = message.len();
        assert_eq!(
            message[..4],
            u32::try_from(length).unwrap_or(0).to_be_bytes()
        );
        assert!(message.ends_with(b"database\0postgres\0\0"));
    }

    #[test]
    fn the_fields_of_an_error_are_read() {
        let body = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0";
        assert_eq!(field(body, b'C'), Some("57P03"));
        assert_eq!(
            field(body, b'M'),
            Some("the database system is starting up")
        );
        assert_eq!(field(body, b'H'), None);
    }
}
