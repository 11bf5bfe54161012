//! Builds the message of a notification: headers, and a text and an HTML form of the body.
//!
//! The same notification gives the same bytes, with the same `Message-ID`: servers and mail programs recognise a
//! repeated mail.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Message;
use lettre::address::{Address, Envelope};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::notification::Letter;
use crate::templates;

pub struct Mail {
    pub notification_id: Uuid,
    /// For the mail server.
    pub envelope: Envelope,
    pub bytes: Vec<u8>,
}

/// No further detail: it would contain the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address is not a valid mail address")]
pub struct Unaddressable;

/// `code` replaces its placeholder.
///
/// # Errors
/// If the address is invalid.
pub fn build(
    letter: &Letter,
    from: &Mailbox,
    code: Option<&SecretString>,
) -> Result<Mail, Unaddressable> {
    let code = code.map_or("", SecretString::expose_secret);
    let text = letter.text.replace(templates::CODE, code);
    let html = letter
        .html
        .replace(templates::CODE, &templates::escaped(code));
    let address = address(&letter.email)?;
    let name = Some(letter.display_name.clone()).filter(|name| !name.is_empty());
    let body = MultiPart::alternative()
        // A random one would differ between attempts.
        .boundary(format!("angarium-{}", letter.id.simple()))
        .singlepart(SinglePart::plain(text))
        .singlepart(SinglePart::html(html));
    let created = u64::try_from(letter.created_at_ms).unwrap_or(0);
    let message = Message::builder()
        .message_id(Some(format!("<{}@{}>", letter.id, from.email.domain())))
        .date(UNIX_EPOCH + Duration::from_millis(created))
        .from(from.clone())
        .to(Mailbox::new(name, address))
        .subject(letter.subject.as_str())
        // RFC 3834: no automatic replies.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .multipart(body)
        .map_err(|_| Unaddressable)?;
    Ok(Mail {
        notification_id: letter.id,
        envelope: message.envelope().clone(),
        bytes: message.formatted(),
    })
}

/// Every mail server accepts a domain in ASCII. Only a local part beyond ASCII needs SMTPUTF8.
fn address(given: &str) -> Result<Address, Unaddressable> {
    let (local, domain) = given.rsplit_once('@').ok_or(Unaddressable)?;
    let domain = idna::domain_to_ascii(domain).map_err(|_| Unaddressable)?;
    Address::new(local, domain).map_err(|_| Unaddressable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_beyond_ascii_goes_out_in_ascii() {
        for given in ["ada@bücher.example", "ada@xn--bcher-kva.example"] {
            let address = address(given).ok().unwrap();
            assert_eq!(address.to_string(), "ada@xn--bcher-kva.example");
        }
        assert_eq!(address("ädä@example.com").ok().unwrap().user(), "ädä");
        assert!(address("ada").is_err());
    }
}
