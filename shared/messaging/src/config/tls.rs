//! The certificates of the broker and of this client.

use std::fs::File;
use std::path::PathBuf;

use url::Url;

use crate::transport::RabbitMqTls;

/// TLS to the broker, for `amqps://`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct BrokerTlsArgs {
    /// Extra CA certificates trusted for RabbitMQ, PEM; read at each connect
    #[arg(long, env = "AMQP_CA_FILE", value_name = "FILE")]
    pub amqp_ca_file: Option<PathBuf>,

    /// Client certificate, if RabbitMQ requires one, PEM; read at each connect
    #[arg(long, env = "AMQP_CERT_FILE", value_name = "FILE")]
    pub amqp_cert_file: Option<PathBuf>,

    /// Private key of the client certificate, PEM; read at each connect
    #[arg(long, env = "AMQP_KEY_FILE", value_name = "FILE")]
    pub amqp_key_file: Option<PathBuf>,
}

impl BrokerTlsArgs {
    /// `url` is the broker's. `problem` gets the variable, the value and the expectation.
    pub(super) fn check(
        &self,
        url: &Url,
        problem: &mut dyn FnMut(&str, &str, &str),
    ) -> Option<RabbitMqTls> {
        let given = |path: &Option<PathBuf>| {
            let path = path.clone();
            path.filter(|path| !path.as_os_str().is_empty())
        };
        let ca_file = given(&self.amqp_ca_file);
        let identity = match (given(&self.amqp_cert_file), given(&self.amqp_key_file)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => {
                problem("AMQP_KEY_FILE", "", "the key of AMQP_CERT_FILE");
                return None;
            }
            (None, Some(_)) => {
                problem("AMQP_CERT_FILE", "", "the certificate of AMQP_KEY_FILE");
                return None;
            }
        };
        if url.scheme() != "amqps" && (ca_file.is_some() || identity.is_some()) {
            // Certificates mean that the password must not travel in clear text.
            problem(
                "AMQP_URL",
                "(not shown)",
                "amqps://, because certificates are set",
            );
            return None;
        }
        // Checked now, because a later connect can only log the mistake.
        let (cert, key) = identity.as_ref().map(|(cert, key)| (cert, key)).unzip();
        let mut is_complete = true;
        for (setting, file) in [
            ("AMQP_CA_FILE", ca_file.as_ref()),
            ("AMQP_CERT_FILE", cert),
            ("AMQP_KEY_FILE", key),
        ] {
            if let Some(file) = file.filter(|file| File::open(file).is_err()) {
                problem(setting, &file.display().to_string(), "a readable file");
                is_complete = false;
            }
        }
        is_complete.then_some(RabbitMqTls { ca_file, identity })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(url: &str, args: &BrokerTlsArgs) -> Vec<String> {
        let mut found = Vec::new();
        let url = url.parse().unwrap();
        let checked = args.check(&url, &mut |setting, _, _| found.push(setting.to_owned()));
        assert_eq!(checked.is_none(), !found.is_empty());
        found
    }

    #[test]
    fn certificates_go_with_amqps_and_a_certificate_with_its_key() {
        let none = BrokerTlsArgs::default();
        let ca = BrokerTlsArgs {
            amqp_ca_file: Some("Cargo.toml".into()),
            ..none.clone()
        };
        let missing = BrokerTlsArgs {
            amqp_ca_file: Some("no/such/ca.pem".into()),
            ..none.clone()
        };
        let no_key = BrokerTlsArgs {
            amqp_cert_file: Some("cert.pem".into()),
            ..none.clone()
        };
        let no_cert = BrokerTlsArgs {
            amqp_key_file: Some("key.pem".into()),
            amqp_cert_file: Some("".into()),
            ..none.clone()
        };
        assert_eq!(problems("amqp://host", &none), [""; 0]);
        assert_eq!(problems("amqps://host", &none), [""; 0]);
        assert_eq!(problems("amqps://host", &ca), [""; 0]);
        assert_eq!(problems("amqp://host", &ca), ["AMQP_URL"]);
        assert_eq!(problems("amqps://host", &missing), ["AMQP_CA_FILE"]);
        assert_eq!(problems("amqps://host", &no_key), ["AMQP_KEY_FILE"]);
        assert_eq!(problems("amqps://host", &no_cert), ["AMQP_CERT_FILE"]);
    }
}
