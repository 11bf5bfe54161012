//! The sender of mails and their destination: a mail server if one is set, otherwise a folder.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::extension::ClientId;
use runtime::config::{Mode, Problems};

use crate::sender::{SmtpServer, check_authorities};

/// At each flag: `next_help_heading` would also apply to the settings of the struct that flattens these.
const HEADING: &str = "Mail";

const EXPECTED_URL: &str = "smtp://host:port, smtps://user:password@host or \
    smtp://user:password@host:587, with ?tls=required, opportunistic or none where the default does not fit";

/// Flags and variables of mails. No `Debug`: the URL is a secret.
#[derive(Clone, clap::Args)]
pub struct MailArgs {
    /// Sender of all mails
    #[arg(long, help_heading = HEADING, env = "MAIL_FROM", value_name = "MAILBOX",
        default_value = "Angarium <noreply@localhost>")]
    mail_from: String,

    /// Folder for mails as files, used without SMTP_URL; production requires SMTP_URL
    #[arg(long, help_heading = HEADING, env = "MAIL_DIR", value_name = "FOLDER")]
    mail_dir: Option<PathBuf>,

    /// Mail server, as smtp://host:port or smtps://user:password@host; SMTP_URL_FILE names a file that holds it
    #[arg(long, help_heading = HEADING, env = "SMTP_URL", value_name = "URL", hide_env_values = true)]
    smtp_url: Option<String>,

    /// Extra CA certificates that are trusted for the mail server, PEM; read at each connect
    #[arg(long, help_heading = HEADING, env = "SMTP_CA_FILE", value_name = "FILE")]
    smtp_ca_file: Option<PathBuf>,

    /// The name in the greeting to the mail server (EHLO): a host name or an IP address [default: the machine's name]
    #[arg(long, help_heading = HEADING, env = "SMTP_EHLO_NAME", value_name = "NAME")]
    smtp_ehlo_name: Option<String>,

    /// Time limit for sending one mail. A mail is sent again if its answer is lost, so be generous
    #[arg(long, help_heading = HEADING, env = "SMTP_TIMEOUT", value_name = "TIME", default_value = "60s")]
    smtp_timeout: String,
}

impl MailArgs {
    /// Without folder and server, mails go to `default_folder`. Production requires a server: files reach no user and
    /// contain codes.
    pub fn check(
        self,
        default_folder: &Path,
        mode: Mode,
        problems: &mut Problems,
    ) -> Option<MailConfig> {
        let from = problems.parse(
            "MAIL_FROM",
            &self.mail_from,
            "a mailbox such as Angarium <noreply@example.com>",
        );
        let timeout = problems.duration_within(
            "SMTP_TIMEOUT",
            &self.smtp_timeout,
            (Duration::from_secs(1), Duration::from_secs(600)),
        );
        // In a Compose file, an empty variable means "not set".
        let delivery = match self.smtp_url.as_deref().filter(|url| !url.is_empty()) {
            None if mode == Mode::Production => {
                problems.missing("SMTP_URL", EXPECTED_URL);
                None
            }
            None => {
                let folder = self.mail_dir.filter(|dir| !dir.as_os_str().is_empty());
                Some(Delivery::Folder(
                    folder.unwrap_or_else(|| default_folder.to_owned()),
                ))
            }
            Some(url) => {
                let server = SmtpServer::parse(url);
                if server.is_none() {
                    problems.add_secret("SMTP_URL", EXPECTED_URL);
                }
                let server =
                    server.and_then(|server| trusting(server, self.smtp_ca_file, problems));
                let name = self.smtp_ehlo_name.filter(|name| !name.is_empty());
                let server = server.and_then(|server| greeted_as(server, name, problems));
                server.map(Delivery::Smtp)
            }
        };
        Some(MailConfig {
            from: from?,
            delivery: delivery?,
            timeout: timeout?,
        })
    }
}

fn trusting(
    server: SmtpServer,
    ca_file: Option<PathBuf>,
    problems: &mut Problems,
) -> Option<SmtpServer> {
    let Some(path) = ca_file.filter(|path| !path.as_os_str().is_empty()) else {
        return Some(server);
    };
    let shown = path.display().to_string();
    if !server.may_use_tls() {
        problems.add("SMTP_CA_FILE", &shown, "nothing, as SMTP_URL has tls=none");
        return None;
    }
    let read = std::fs::read(&path).and_then(|pem| check_authorities(&pem));
    if let Err(error) = read {
        let expected = format!("a file with certificates in PEM ({error})");
        problems.add("SMTP_CA_FILE", &shown, &expected);
        return None;
    }
    Some(server.trusting(path))
}

fn greeted_as(
    server: SmtpServer,
    name: Option<String>,
    problems: &mut Problems,
) -> Option<SmtpServer> {
    let Some(name) = name else {
        return Some(server);
    };
    let client = match name.parse() {
        Ok(IpAddr::V4(address)) => Some(ClientId::Ipv4(address)),
        Ok(IpAddr::V6(address)) => Some(ClientId::Ipv6(address)),
        Err(_) => store::host_name(&name).map(ClientId::Domain),
    };
    if client.is_none() {
        let expected = "a host name such as mail.example.com, or an IP address";
        problems.add("SMTP_EHLO_NAME", &name, expected);
    }
    Some(server.greeted_as(client?))
}

#[derive(Clone)]
pub struct MailConfig {
    pub from: Mailbox,
    pub delivery: Delivery,
    /// For the hand-over of one mail.
    pub timeout: Duration,
}

#[derive(Clone)]
pub enum Delivery {
    /// One file per notification.
    Folder(PathBuf),
    Smtp(SmtpServer),
}

impl MailConfig {
    /// For a demo, which must not send real mails.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.delivery = Delivery::Folder(folder.to_owned());
        self
    }
}

/// For people.
impl fmt::Display for MailConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.delivery {
            Delivery::Folder(folder) => {
                write!(formatter, "The mails are in {}/.", folder.display())
            }
            Delivery::Smtp(server) => write!(formatter, "The mails went to {server}."),
        }
    }
}
