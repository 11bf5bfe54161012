//! Places orders with three lines, from a fixed number of callers or at a fixed rate.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use contracts::order::v1::PlaceOrderRequest;
use contracts::order::v1::order_service_client::OrderServiceClient;
use hdrhistogram::Histogram;
use load::{Call, Load};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use uuid::Uuid;

const CONNECTIONS: usize = 4;
const LINES: [&str; 3] = ["TEA-1", "CUP-2", "POT-3"];
/// Longer than the services' own deadline.
const TIMEOUT: Duration = Duration::from_secs(30);
/// After a refusal, a caller waits this long, as a polite client does.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(20);

/// How calls arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A fixed number of callers; each calls again after its answer.
    Closed { callers: usize },
    /// A fixed number of calls per second, whether or not earlier ones are answered.
    Open { per_second: u32 },
}

/// The target of the calls, and their tokens.
#[derive(Clone)]
pub(crate) struct Target {
    clients: Vec<OrderServiceClient<Channel>>,
    /// Call `n` uses token `n` modulo their number. Without tokens, calls carry none.
    tokens: Arc<Vec<String>>,
    /// Whether each call has a `request_id`.
    pub(crate) request_ids: bool,
}

/// The result of a load.
pub(crate) struct Outcome {
    /// The ids of the orders that were answered OK.
    pub(crate) placed: Vec<String>,
    pub(crate) attempts: usize,
    /// How many calls failed, by status code.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Latency of the calls that were answered OK, in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// From the first call to the last answer.
    pub(crate) took: Duration,
}

struct Answer {
    /// The id of the order.
    result: Result<String, Status>,
    latency: Duration,
}

impl Outcome {
    /// The number of failed calls.
    pub(crate) fn without_order(&self) -> usize {
        self.attempts - self.placed.len()
    }
}

impl Target {
    pub(crate) fn new(url: &str, tokens: Vec<String>) -> Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let endpoint = Endpoint::from_shared(url.to_owned())?
                .tcp_nodelay(true)
                .timeout(TIMEOUT);
            clients.push(OrderServiceClient::new(endpoint.connect_lazy()));
        }
        Ok(Self {
            clients,
            tokens: Arc::new(tokens),
            request_ids: false,
        })
    }

    pub(crate) fn at(address: SocketAddr, tokens: Vec<String>) -> Result<Self> {
        Self::new(&format!("http://{address}"), tokens)
    }

    async fn call(&self, prefix: &str, call: Call) -> Answer {
        let number = call.number as usize;
        let mut client = self.clients[number % self.clients.len()].clone();
        let result = match self.request(number, &format!("{prefix}{number}")) {
            Ok(request) => client.place_order(request).await,
            Err(error) => Err(Status::internal(error.to_string())),
        };
        let result = result.and_then(|answer| {
            let order = answer.into_inner().order;
            let order = order.ok_or_else(|| Status::data_loss("the answer holds no order"))?;
            Ok(order.order_id)
        });
        Answer {
            result,
            latency: call.since.elapsed(),
        }
    }

    fn request(&self, number: usize, correlation_id: &str) -> Result<Request<PlaceOrderRequest>> {
        let request_id = self.request_ids.then(|| Uuid::now_v7().to_string());
        let message = PlaceOrderRequest {
            lines: LINES.map(scenarios::caller::line).to_vec(),
            request_id: request_id.unwrap_or_default(),
            ..PlaceOrderRequest::default()
        };
        let mut request = match self.tokens.get(number % self.tokens.len().max(1)) {
            Some(token) => scenarios::caller::authorized(token, message),
            None => Request::new(message),
        };
        let metadata = request.metadata_mut();
        metadata.insert("x-correlation-id", correlation_id.parse()?);
        Ok(request)
    }
}

/// Calls for `duration`, and waits for the last answer. Call `n` has `prefix` and `n` as its correlation id.
pub(crate) async fn run(
    target: &Target,
    shape: Shape,
    duration: Duration,
    prefix: &str,
) -> Result<Outcome> {
    let began = Instant::now();
    let answers = match shape {
        Shape::Closed { callers } => closed(target, callers, duration, prefix).await?,
        Shape::Open { per_second } => open(target, per_second, duration, prefix).await?,
    };
    let took = began.elapsed();
    let mut outcome = Outcome {
        placed: Vec::with_capacity(answers.len()),
        attempts: answers.len(),
        failed: BTreeMap::new(),
        latency: histogram()?,
        took,
    };
    for answer in answers {
        match answer.result {
            Ok(order_id) => {
                record(&mut outcome.latency, answer.latency);
                outcome.placed.push(order_id);
            }
            Err(status) => *outcome.failed.entry(reason(&status)).or_default() += 1,
        }
    }
    Ok(outcome)
}

async fn closed(
    target: &Target,
    callers: usize,
    duration: Duration,
    prefix: &str,
) -> Result<Vec<Answer>> {
    let load = Load::closed().lasting(duration);
    let mut running = JoinSet::new();
    for _ in 0..callers {
        let (target, mut calls, prefix) = (target.clone(), load.caller(), prefix.to_owned());
        running.spawn(async move {
            let mut answers = Vec::new();
            while let Some(call) = calls.next().await {
                let answer = target.call(&prefix, call).await;
                let refused = answer.result.is_err();
                answers.push(answer);
                if refused {
                    tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
                }
            }
            answers
        });
    }
    let mut all = Vec::new();
    while let Some(answers) = running.join_next().await {
        all.extend(answers.context("a caller panicked")?);
    }
    Ok(all)
}

async fn open(
    target: &Target,
    per_second: u32,
    duration: Duration,
    prefix: &str,
) -> Result<Vec<Answer>> {
    let period = Duration::from_secs(1) / per_second.max(1);
    let mut calls = Load::open(period).lasting(duration).caller();
    let prefix: Arc<str> = prefix.into();
    let mut running = JoinSet::new();
    let mut answers = Vec::new();
    while let Some(call) = calls.next().await {
        let (target, prefix) = (target.clone(), Arc::clone(&prefix));
        running.spawn(async move { target.call(&prefix, call).await });
        while let Some(answer) = running.try_join_next() {
            answers.push(answer.context("a call panicked")?);
        }
    }
    while let Some(answer) = running.join_next().await {
        answers.push(answer.context("a call panicked")?);
    }
    Ok(answers)
}

/// Up to ten minutes, with three significant digits.
pub(crate) fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 600_000_000, 3)?)
}

pub(crate) fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
}

/// The code and the first words of the message.
fn reason(status: &Status) -> String {
    let words: Vec<&str> = status.message().split_whitespace().take(8).collect();
    format!("{:?}: {}", status.code(), words.join(" "))
}
