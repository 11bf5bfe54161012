//! The operator who calls the services: logged in at the user service, and again before the access token ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use contracts::ops::v1::ops_service_client::OpsServiceClient;
use contracts::user::v1::AuthenticateRequest;
use contracts::user::v1::user_service_client::UserServiceClient;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use super::command::Reconcile;
use crate::registry::SERVICES;

/// The most time of a call.
const PATIENCE: Duration = Duration::from_secs(30);
/// An access token is good for 15 minutes.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// As large as the services send it.
const RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// Calls every service.
pub(super) struct Operator {
    channels: BTreeMap<&'static str, Channel>,
    email: String,
    password: String,
    token: Option<(Instant, MetadataValue<Ascii>)>,
}

impl Operator {
    pub(super) async fn connect(asked: &Reconcile) -> anyhow::Result<Self> {
        let file = &asked.password_file;
        let password = tokio::fs::read_to_string(file).await;
        let password = password.with_context(|| format!("cannot read {}", file.display()))?;
        let mut channels = BTreeMap::new();
        for service in SERVICES.iter().map(|service| &service.definition) {
            let url = asked.url(service.name, service.default_port);
            let channel = channel(asked, &url).await;
            let channel = channel.with_context(|| format!("{} at {url}", service.name))?;
            channels.insert(service.name, channel);
        }
        let mut operator = Self {
            channels,
            email: asked.email.clone(),
            password: password.trim_end_matches(['\r', '\n']).to_owned(),
            token: None,
        };
        operator.token().await?;
        Ok(operator)
    }

    /// The service with this name. `None` where this system has none.
    pub(super) fn service(&self, name: &str) -> Option<OpsServiceClient<Channel>> {
        let channel = self.channels.get(name)?.clone();
        Some(OpsServiceClient::new(channel).max_decoding_message_size(RESPONSE_BYTES))
    }

    /// A call of this operator.
    pub(super) async fn call<T>(&mut self, message: T) -> anyhow::Result<Request<T>> {
        let token = self.token().await?;
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", token);
        Ok(request)
    }

    async fn token(&mut self) -> anyhow::Result<MetadataValue<Ascii>> {
        if let Some((at, token)) = &self.token
            && at.elapsed() < FRESH
        {
            return Ok(token.clone());
        }
        let users = self.channels.get(user_service::NAME);
        let users = users.context("there is no user service")?.clone();
        let request = AuthenticateRequest {
            email: self.email.clone(),
            password: self.password.clone(),
            ..AuthenticateRequest::default()
        };
        let answer = UserServiceClient::new(users).authenticate(request).await;
        let answer = answer.context("the operator cannot log in")?.into_inner();
        let token = answer.tokens.unwrap_or_default().access_token;
        let token: MetadataValue<Ascii> = format!("Bearer {token}").parse()?;
        self.token = Some((Instant::now(), token.clone()));
        Ok(token)
    }
}

async fn channel(asked: &Reconcile, url: &str) -> anyhow::Result<Channel> {
    let mut endpoint = Endpoint::from_shared(url.to_owned())?.timeout(PATIENCE);
    if let Some(file) = &asked.tls_ca_cert {
        let pem = tokio::fs::read(file).await;
        let pem = pem.with_context(|| format!("cannot read {}", file.display()))?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
        endpoint = endpoint.tls_config(tls)?;
    }
    Ok(endpoint.connect_lazy())
}
