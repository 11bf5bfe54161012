//! Mails through a mail server, over a few reused connections.
//!
//! Not lettre's own pool: it takes back a connection on which a call was cancelled half-way, and the next mail would
//! read the answers to the previous one. Here a connection is reused only after a complete conversation; everything
//! else closes it.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::{MailSender, SendError};
use crate::failure::Failure;
use crate::mail::Mail;

/// An older idle connection is not reused: servers and firewalls drop them silently.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// For each address of the server: an unresponsive one must not use up the time of the others.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// `530`: the server requires a login or TLS. This is about our settings, not about the mail.
const AUTHENTICATION_REQUIRED: u16 = 530;

/// A mail server and how to connect to it. No `Debug`: it contains a password.
#[derive(Clone)]
pub struct SmtpServer {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS, required.
    StartTls,
    /// STARTTLS if the server offers it.
    IfOffered,
    /// No TLS.
    Plain,
}

impl SmtpServer {
    /// Parses `smtps://…`, or `smtp://…` with `?tls=required`, `opportunistic` or `none`. Without that parameter, TLS
    /// is required if the URL has a password, and opportunistic otherwise.
    pub fn parse(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let host = match url.host()? {
            Host::Domain(domain) if !domain.is_empty() => domain.to_owned(),
            Host::Domain(_) => return None,
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) => Some(Credentials::new(decoded(user)?, decoded(password)?)),
            (_, None) => return None,
        };
        let security = security(&url, credentials.is_some())?;
        let default_port = match security {
            Security::Tls => 465,
            Security::StartTls => 587,
            Security::IfOffered | Security::Plain => 25,
        };
        Some(Self {
            host,
            port: url.port().unwrap_or(default_port),
            security,
            credentials,
        })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let name = ClientId::default();
        let tls = || TlsParameters::new(self.host.clone());
        let wrapper = match self.security {
            Security::Tls => Some(tls()?),
            Security::StartTls | Security::IfOffered | Security::Plain => None,
        };
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            (self.host.as_str(), self.port),
            Some(CONNECT_TIMEOUT),
            &name,
            wrapper,
            None,
        )
        .await?;
        let upgrade = match self.security {
            Security::Tls | Security::Plain => false,
            Security::StartTls => true,
            Security::IfOffered => connection.can_starttls(),
        };
        if upgrade {
            connection.starttls(tls()?, &name).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

/// Host and port, without secrets.
impl fmt::Display for SmtpServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// Sends mails through a mail server.
pub struct Smtp {
    server: SmtpServer,
    /// At most as many as were in use at the same time.
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl Smtp {
    /// Connects on the first mail.
    pub fn new(server: SmtpServer) -> Self {
        Self {
            server,
            idle: Mutex::default(),
        }
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, SendError> {
        while let Some(mut idle) = self.rested() {
            if idle.since.elapsed() < LONGEST_REST && idle.connection.test_connected().await {
                return Ok(idle.connection);
            }
        }
        let connected = self.server.connect().await;
        // A failure before the mail is about the server, not about the mail, even if the server calls it permanent.
        connected.map_err(|error| {
            let failure = match error.status() {
                Some(code) => Failure::NotAdmitted(code.into()),
                None => {
                    tracing::warn!(%error, server = %self.server, "the mail server cannot be used");
                    Failure::Unreachable
                }
            };
            SendError::Temporary(failure)
        })
    }

    fn rested(&self) -> Option<Idle> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    fn rest(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(Idle {
            connection,
            since: Instant::now(),
        });
    }
}

#[async_trait]
impl MailSender for Smtp {
    async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let mut connection = self.connection().await?;
        let sent = connection.send(&mail.envelope, &mail.bytes).await;
        sent.map_err(|error| judge(&error))?;
        self.rest(connection);
        Ok(())
    }
}

/// The meaning of the answer to a mail. Its text is dropped, because servers repeat the address in it.
fn judge(error: &Error) -> SendError {
    match error.status().map(u16::from) {
        Some(code @ AUTHENTICATION_REQUIRED) => SendError::Temporary(Failure::NotAdmitted(code)),
        Some(code) if error.is_permanent() => SendError::Permanent(Failure::Refused(code)),
        Some(code) => SendError::Temporary(Failure::NotYet(code)),
        // lettre detects this before it sends: the address needs an extension that the server lacks.
        None if error.is_client() => SendError::Permanent(Failure::Unsupported),
        None => SendError::Temporary(Failure::Interrupted),
    }
}

fn security(url: &Url, has_password: bool) -> Option<Security> {
    let asked = url.query_pairs().find(|(name, _)| name == "tls");
    match (
        url.scheme(),
        asked.as_ref().map(|(_, value)| value.as_ref()),
    ) {
        ("smtps", None) => Some(Security::Tls),
        ("smtp", None) if has_password => Some(Security::StartTls),
        ("smtp", Some("required")) => Some(Security::StartTls),
        ("smtp", None | Some("opportunistic")) => Some(Security::IfOffered),
        ("smtp", Some("none")) => Some(Security::Plain),
        _ => None,
    }
}

fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Option<(String, Security, bool)> {
        let server = SmtpServer::parse(url)?;
        Some((
            server.to_string(),
            server.security,
            server.credentials.is_some(),
        ))
    }

    #[test]
    fn a_password_is_sent_in_clear_text_only_on_request() {
        let at = |text: &str, security, login| Some((text.to_owned(), security, login));
        assert_eq!(
            parsed("smtp://mail"),
            at("mail:25", Security::IfOffered, false)
        );
        assert_eq!(
            parsed("smtp://u:p@mail"),
            at("mail:587", Security::StartTls, true)
        );
        assert_eq!(
            parsed("smtps://u:p@mail"),
            at("mail:465", Security::Tls, true)
        );
        assert_eq!(
            parsed("smtp://u:p@mail:1025?tls=none"),
            at("mail:1025", Security::Plain, true)
        );
        assert_eq!(
            parsed("smtp://[::1]:2525?tls=required"),
            at("::1:2525", Security::StartTls, false)
        );
    }

    #[test]
    fn user_and_password_are_percent_decoded() {
        let server = SmtpServer::parse("smtps://ada%40example.com:p%2Fw%3A@mail").unwrap();
        let expected = Credentials::new("ada@example.com".to_owned(), "p/w:".to_owned());
        assert!(server.credentials == Some(expected));
    }

    #[test]
    fn what_is_no_mail_server_is_refused() {
        for url in [
            "",
            "mail.example.com",
            "http://mail",
            "smtp://",
            "smtp://user@mail",
            "smtp://mail:port",
            "smtp://mail?tls=maybe",
            "smtps://mail?tls=none",
        ] {
            assert!(SmtpServer::parse(url).is_none(), "{url}");
        }
    }
}
