//! The operator who calls the services, with a new login before the access token ends.
//!
//! A silent service is called again, with growing pauses, within the operator's patience, and then not again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use contracts::user::v1::AuthenticateRequest;
use contracts::user::v1::user_service_client::UserServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use super::access::Access;
use super::calls::{Call, Client};
use crate::registry::SERVICES;

const CALL: Duration = Duration::from_secs(30);
/// An access token is good for 15 minutes.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// As large as the services send it.
const RESPONSE_BYTES: usize = 4 * 1024 * 1024;
/// Between attempts of a call.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Operator {
    channels: BTreeMap<&'static str, Channel>,
    email: String,
    password: String,
    token: Option<(Instant, MetadataValue<Ascii>)>,
    patience: Duration,
    away: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) enum Refusal {
    /// The service did not answer in time.
    Away(String, Box<Status>),
    /// The service has refused the call, or the operator.
    Refused(anyhow::Error),
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Refusal> for anyhow::Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Away(service, status) => {
                anyhow::Error::new(*status).context(format!("{service} does not answer"))
            }
            Refusal::Refused(error) => error,
        }
    }
}

impl Operator {
    pub(super) async fn connect(access: &Access) -> anyhow::Result<Self> {
        let email = access.email.clone().context("OPERATOR_EMAIL is not set")?;
        let file = access.password_file.as_ref();
        let file = file.context("OPERATOR_PASSWORD_FILE is not set")?;
        let password = tokio::fs::read_to_string(file).await;
        let password = password.with_context(|| format!("cannot read {}", file.display()))?;
        let mut channels = BTreeMap::new();
        for service in SERVICES.iter().map(|service| &service.definition) {
            let url = access.url(service.name, service.default_port);
            let channel = channel(access, &url).await;
            let channel = channel.with_context(|| format!("{} at {url}", service.name))?;
            channels.insert(service.name, channel);
        }
        let mut operator = Self {
            channels,
            email,
            password: password.trim_end_matches(['\r', '\n']).to_owned(),
            token: None,
            patience: access.patience,
            away: BTreeSet::new(),
        };
        operator.token().await?;
        Ok(operator)
    }

    pub(super) fn knows(&self, service: &str) -> bool {
        self.channels.contains_key(service)
    }

    pub(super) async fn ask<C: Call>(
        &mut self,
        service: &str,
        call: C,
    ) -> Result<C::Answer, Refusal> {
        let channel = self.channels.get(service).cloned();
        let channel = channel.with_context(|| format!("there is no service {service}"))?;
        let mut client = Client::new(channel).max_decoding_message_size(RESPONSE_BYTES);
        let mut pauses = Pauses::new(self.patience);
        loop {
            let mut request = Request::new(call.clone());
            let token = self.token().await?;
            request.metadata_mut().insert("authorization", token);
            let status = match C::send(&mut client, request).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => status,
            };
            if !is_temporary(&status) {
                let refused = anyhow::Error::new(status).context(service.to_owned());
                return Err(refused.into());
            }
            if self.away.contains(service) || !pauses.pause().await {
                self.away.insert(service.to_owned());
                return Err(Refusal::Away(service.to_owned(), Box::new(status)));
            }
        }
    }

    async fn token(&mut self) -> anyhow::Result<MetadataValue<Ascii>> {
        if let Some((at, token)) = &self.token
            && at.elapsed() < FRESH
        {
            return Ok(token.clone());
        }
        let users = self.channels.get(user_service::NAME);
        let mut users = UserServiceClient::new(users.context("there is no user service")?.clone());
        let mut pauses = Pauses::new(self.patience);
        let answer = loop {
            let request = AuthenticateRequest {
                email: self.email.clone(),
                password: self.password.clone(),
                ..AuthenticateRequest::default()
            };
            match users.authenticate(request).await {
                Err(status) if status.code() == Code::Unavailable && pauses.pause().await => {}
                answer => break answer.context("the operator cannot log in")?.into_inner(),
            }
        };
        let token = answer.tokens.unwrap_or_default().access_token;
        let token: MetadataValue<Ascii> = format!("Bearer {token}").parse()?;
        self.token = Some((Instant::now(), token.clone()));
        Ok(token)
    }
}

/// The service starts, is away or busy, or lacks the key of the token.
fn is_temporary(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted
    )
}

struct Pauses {
    next: Duration,
    until: Instant,
}

impl Pauses {
    fn new(patience: Duration) -> Self {
        Self {
            next: FIRST_PAUSE,
            until: Instant::now() + patience,
        }
    }

    /// `false` if the patience has ended.
    async fn pause(&mut self) -> bool {
        if Instant::now() + self.next > self.until {
            return false;
        }
        tokio::time::sleep(self.next).await;
        self.next = (2 * self.next).min(LONGEST_PAUSE);
        true
    }
}

async fn channel(access: &Access, url: &str) -> anyhow::Result<Channel> {
    let mut endpoint = Endpoint::from_shared(url.to_owned())?.timeout(CALL);
    if let Some(file) = &access.tls_ca_cert {
        let pem = tokio::fs::read(file).await;
        let pem = pem.with_context(|| format!("cannot read {}", file.display()))?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
        endpoint = endpoint.tls_config(tls)?;
    }
    Ok(endpoint.connect_lazy())
}
