//! Where the services are, and as which operator to call them.

use std::path::PathBuf;
use std::time::Duration;

use runtime::config::Problems;

use crate::registry::SERVICES;

/// The services and the operator.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Access {
    /// Where a service is, as order-service=https://orders.example:50052; may be repeated
    /// [default: this machine, each service at its own port]
    #[arg(long, global = true, value_name = "SERVICE=URL", value_parser = endpoint)]
    pub endpoint: Vec<(String, String)>,

    /// With https: trust servers with a certificate of one of these authorities, PEM
    #[arg(long, global = true, value_name = "FILE")]
    pub tls_ca_cert: Option<PathBuf>,

    /// The address of a user who is an operator
    #[arg(long, global = true, env = "OPERATOR_EMAIL", value_name = "ADDRESS")]
    pub email: Option<String>,

    /// A file that holds the password of that user
    #[arg(
        long,
        global = true,
        env = "OPERATOR_PASSWORD_FILE",
        value_name = "FILE"
    )]
    pub password_file: Option<PathBuf>,

    /// How long to call again a service that does not answer, or does not know the key of the token yet
    #[arg(long, global = true, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub patience: Duration,
}

impl Access {
    /// An action needs an operator.
    pub(crate) fn check(&self, problems: &mut Problems) {
        if self.email.is_none() {
            problems.note("OPERATOR_EMAIL (--email): not set, expected the address of a user who is an operator");
        }
        if self.password_file.is_none() {
            problems.note("OPERATOR_PASSWORD_FILE (--password-file): not set, expected a file that holds the password of the operator");
        }
    }

    pub(super) fn url(&self, name: &str, default_port: u16) -> String {
        let mut endpoints = self.endpoint.iter();
        let named = endpoints.find(|(service, _)| service == name);
        named.map_or_else(
            || format!("http://127.0.0.1:{default_port}"),
            |(_, url)| url.clone(),
        )
    }
}

fn endpoint(text: &str) -> Result<(String, String), String> {
    let (service, url) = text.split_once('=').ok_or("expected SERVICE=URL")?;
    let is_known = SERVICES.iter().any(|one| one.definition.name == service);
    if !is_known {
        return Err(format!("there is no service {service}"));
    }
    Ok((service.to_owned(), url.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_names_a_service_and_its_url() {
        let read = endpoint("order-service=http://[::1]:5");
        let expected = ("order-service".to_owned(), "http://[::1]:5".to_owned());
        assert_eq!(read, Ok(expected));
        assert!(endpoint("basket-service=http://x").is_err() && endpoint("x").is_err());
    }
}
