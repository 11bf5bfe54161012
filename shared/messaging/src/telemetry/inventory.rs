//! The gauges of a service's engine: its outbox, its inbox, its connections.
//!
//! Guarantee: a collection never waits. The SDK holds a lock meanwhile, which each new instrument needs.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::metrics::AsyncInstrument;
use opentelemetry::{KeyValue, global};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::SERVICE;
use super::counting::{Counted, Counter, STATES};
use super::incomplete::INCOMPLETE;
use crate::consumer::Producers;
use crate::store::Store;

pub(crate) struct Inventory {
    counter: Arc<Counter>,
}

impl Inventory {
    pub(crate) fn new(
        service: &'static str,
        connected: watch::Receiver<bool>,
        consuming: watch::Receiver<bool>,
        producers: Arc<Producers>,
    ) -> Self {
        let counter = Arc::new(Counter::default());
        let meter = global::meter("messaging");
        let of_service = KeyValue::new(SERVICE, service);
        let gauge = |observe: fn(&Counted, &KeyValue, &dyn AsyncInstrument<u64>)| {
            let (counter, of_service) = (Arc::clone(&counter), of_service.clone());
            move |gauge: &dyn AsyncInstrument<u64>| {
                if let Some(counted) = counter.last() {
                    observe(&counted, &of_service, gauge);
                }
            }
        };
        meter
            .u64_observable_gauge("angarium.outbox.pending")
            .with_unit("{event}")
            .with_description("Events that are committed and not yet published")
            .with_callback(gauge(|counted, service, gauge| {
                gauge.observe(counted.pending, std::slice::from_ref(service));
            }))
            .build();
        meter
            .u64_observable_gauge("angarium.outbox.unroutable")
            .with_unit("{event}")
            .with_description("Pending events that no queue takes, and those that wait behind them")
            .with_callback(gauge(|counted, service, gauge| {
                gauge.observe(counted.unroutable, std::slice::from_ref(service));
            }))
            .build();
        meter
            .u64_observable_gauge("angarium.inbox.held")
            .with_unit("{event}")
            .with_description("Events that a consumer keeps because they cannot be handled now")
            .with_callback(gauge(|counted, service, gauge| {
                for (state, count) in STATES.into_iter().zip(counted.held) {
                    let state = KeyValue::new("angarium.inbox.state", state);
                    gauge.observe(count, &[service.clone(), state]);
                }
            }))
            .build();
        for (name, unit, description, value) in INCOMPLETE {
            let (counter, of_service) = (Arc::clone(&counter), of_service.clone());
            meter
                .u64_observable_gauge(name)
                .with_unit(unit)
                .with_description(description)
                .with_callback(move |gauge| {
                    if let Some(counted) = counter.last() {
                        let value = value(&counted.incomplete);
                        gauge.observe(value, std::slice::from_ref(&of_service));
                    }
                })
                .build();
        }
        meter
            .f64_observable_gauge("angarium.outbox.oldest_age")
            .with_unit("s")
            .with_description("Age of the oldest event that counts against OUTBOX_BUDGET")
            .with_callback({
                let (counter, of_service) = (Arc::clone(&counter), of_service.clone());
                move |gauge| {
                    if let Some(counted) = counter.last() {
                        let age = Duration::from_millis(counted.oldest_age_ms);
                        gauge.observe(age.as_secs_f64(), std::slice::from_ref(&of_service));
                    }
                }
            })
            .build();
        meter
            .u64_observable_gauge("angarium.broker.connected")
            .with_unit("{connection}")
            .with_description("1 if the service has all its connections to the broker, else 0")
            .with_callback({
                let of_service = of_service.clone();
                move |gauge| {
                    let connected = u64::from(*connected.borrow());
                    gauge.observe(connected, std::slice::from_ref(&of_service));
                }
            })
            .build();
        meter
            .u64_observable_gauge("angarium.consumer.waiting")
            .with_unit("{consumer}")
            .with_description("1 while the consumer waits for its database, else 0")
            .with_callback({
                let of_service = of_service.clone();
                move |gauge| {
                    let waiting = u64::from(!*consuming.borrow());
                    gauge.observe(waiting, std::slice::from_ref(&of_service));
                }
            })
            .build();
        meter
            .u64_observable_gauge("angarium.inbox.short_retention")
            .with_unit("{producer}")
            .with_description(
                "Producers that can publish an event again after the inbox has forgotten it",
            )
            .with_callback(move |gauge| {
                gauge.observe(producers.too_long(), std::slice::from_ref(&of_service));
            })
            .build();
        Self { counter }
    }

    pub(crate) async fn run(self, store: &Store, stop: &CancellationToken) {
        stop.run_until_cancelled(self.counter.run(store)).await;
    }
}
