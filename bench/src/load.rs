//! The load: PlaceOrder with three lines, from a fixed number of callers or at a fixed rate.
//!
//! At a fixed rate, the latency of a call counts from its scheduled time, so a slow system cannot hide its queue by
//! slowing down the load (no coordinated omission).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use contracts::order::v1::PlaceOrderRequest;
use contracts::order::v1::order_service_client::OrderServiceClient;
use hdrhistogram::Histogram;
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

/// An order that was answered OK.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) correlation_id: String,
    pub(crate) order_id: String,
}

/// The result of a load.
pub(crate) struct Outcome {
    pub(crate) placed: Vec<Placed>,
    pub(crate) attempts: usize,
    /// How many calls failed, by status code.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Latency of the calls that were answered OK, in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// From the first call to the last answer.
    pub(crate) took: Duration,
}

struct Answer {
    correlation_id: String,
    result: Result<String, Status>,
    latency: Duration,
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

    async fn call(&self, prefix: &str, number: usize, since: Instant) -> Answer {
        let correlation_id = format!("{prefix}{number}");
        let mut client = self.clients[number % self.clients.len()].clone();
        let result = match self.request(number, &correlation_id) {
            Ok(request) => client.place_order(request).await,
            Err(error) => Err(Status::internal(error.to_string())),
        };
        let result = result.and_then(|answer| {
            let order = answer.into_inner().order;
            let order = order.ok_or_else(|| Status::data_loss("the answer holds no order"))?;
            Ok(order.order_id)
        });
        Answer {
            correlation_id,
            result,
            latency: since.elapsed(),
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
        Shape::Closed { callers } => closed(target, callers, began + duration, prefix).await?,
        Shape::Open { per_second } => open(target, per_second, duration, began, prefix).await?,
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
                outcome.placed.push(Placed {
                    correlation_id: answer.correlation_id,
                    order_id,
                });
            }
            Err(status) => *outcome.failed.entry(reason(&status)).or_default() += 1,
        }
    }
    Ok(outcome)
}

async fn closed(
    target: &Target,
    callers: usize,
    until: Instant,
    prefix: &str,
) -> Result<Vec<Answer>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut running = JoinSet::new();
    for _ in 0..callers {
        let (target, next, prefix) = (target.clone(), Arc::clone(&next), prefix.to_owned());
        running.spawn(async move {
            let mut answers = Vec::new();
            while Instant::now() < until {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let answer = target.call(&prefix, number, Instant::now()).await;
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
    began: Instant,
    prefix: &str,
) -> Result<Vec<Answer>> {
    let period = Duration::from_secs(1) / per_second.max(1);
    let prefix: Arc<str> = prefix.into();
    let mut running = JoinSet::new();
    let mut answers = Vec::new();
    for number in 0_u32.. {
        let scheduled = began + period * number;
        if scheduled >= began + duration {
            break;
        }
        tokio::time::sleep_until(scheduled.into()).await;
        let (target, prefix) = (target.clone(), Arc::clone(&prefix));
        let number = usize::try_from(number)?;
        running.spawn(async move { target.call(&prefix, number, scheduled).await });
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
