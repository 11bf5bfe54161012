//! How to connect to a mail server. Guarantee: a password is sent in clear text only if the URL asks for it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use percent_encoding::percent_decode_str;
use url::Url;

/// For each address of the server: a silent one must not use up the time of the others.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// No `Debug`: it contains a password.
#[derive(Clone)]
pub struct SmtpServer {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
    /// Extra CA certificates, PEM.
    ca_file: Option<PathBuf>,
    /// In our greeting.
    name: ClientId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    Tls,
    /// STARTTLS, required.
    StartTls,
    /// STARTTLS if the server offers it.
    IfOffered,
    Plain,
}

impl SmtpServer {
    /// Parses `smtps://…`, or `smtp://…` with `?tls=required`, `opportunistic` or `none`. The default is required if
    /// the URL has a password, and opportunistic otherwise.
    pub fn parse(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let host = store::host_name(url.host_str()?)?;
        // A part without an effect is a mistake.
        let knows_all = url.query_pairs().all(|(name, _)| name == "tls");
        if !matches!(url.path(), "" | "/") || !knows_all {
            return None;
        }
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
            ca_file: None,
            name: ClientId::default(),
        })
    }

    /// Also trusts the authorities in `ca_file`, which is read at each connect.
    #[must_use]
    pub fn trusting(mut self, ca_file: PathBuf) -> Self {
        self.ca_file = Some(ca_file);
        self
    }

    #[must_use]
    pub fn greeted_as(mut self, name: ClientId) -> Self {
        self.name = name;
        self
    }

    pub fn may_use_tls(&self) -> bool {
        self.security != Security::Plain
    }

    pub(super) async fn connect(&self) -> Result<AsyncSmtpConnection, ConnectError> {
        let name = &self.name;
        let wrapper = match self.security {
            Security::Tls => Some(self.tls().await?),
            Security::StartTls | Security::IfOffered | Security::Plain => None,
        };
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            (self.host.as_str(), self.port),
            Some(CONNECT_TIMEOUT),
            name,
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
            connection.starttls(self.tls().await?, name).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    async fn tls(&self) -> Result<TlsParameters, ConnectError> {
        let mut tls = TlsParameters::builder(self.host.clone());
        if let Some(path) = &self.ca_file {
            tls = tls.add_root_certificate(read_authorities(path).await?);
        }
        Ok(tls.build()?)
    }
}

async fn read_authorities(path: &Path) -> Result<Certificate, ConnectError> {
    let unreadable = |source| ConnectError::Authorities {
        path: path.to_owned(),
        source,
    };
    let pem = tokio::fs::read(path).await.map_err(unreadable)?;
    check_authorities(&pem).map_err(unreadable)?;
    Ok(Certificate::from_pem(&pem)?)
}

/// # Errors
/// Without certificates in `pem`.
pub fn check_authorities(pem: &[u8]) -> std::io::Result<()> {
    let none = || std::io::Error::new(std::io::ErrorKind::InvalidData, "no certificate in PEM");
    let has_one = pem.windows(BEGIN.len()).any(|window| window == BEGIN);
    let is_readable = Certificate::from_pem(pem).is_ok();
    (has_one && is_readable).then_some(()).ok_or_else(none)
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error(transparent)]
    Smtp(#[from] Error),
    #[error("SMTP_CA_FILE {path}: {source}")]
    Authorities {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl ConnectError {
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Smtp(error) => error.status().map(u16::from),
            Self::Authorities { .. } => None,
        }
    }
}

/// Without secrets.
impl fmt::Display for SmtpServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(formatter, "[{}]:{}", self.host, self.port);
        }
        write!(formatter, "{}:{}", self.host, self.port)
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
            at("[::1]:2525", Security::StartTls, false)
        );
    }

    #[test]
    fn the_host_has_the_form_that_resolvers_take() {
        let plain = Security::IfOffered;
        for (url, shown) in [
            ("smtp://b%C3%BCcher.example", "xn--bcher-kva.example:25"),
            ("smtp://127.0.0.1:1025", "127.0.0.1:1025"),
            ("smtp://mail_1", "mail_1:25"),
        ] {
            assert_eq!(parsed(url), Some((shown.to_owned(), plain, false)), "{url}");
        }
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
            "smtp://mail?timeout=5",
            "smtp://mail/path",
            "smtp://a,b",
            "smtp://a%20b",
        ] {
            assert!(SmtpServer::parse(url).is_none(), "{url}");
        }
    }
}
