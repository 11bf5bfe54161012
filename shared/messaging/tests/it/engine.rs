//! Relay and consumer of a service, started and stopped together.

use std::sync::atomic::{AtomicBool, Ordering};

use messaging::transport::{Broker, RabbitMqConfig};
use messaging::{
    Delivered, Engine, EngineConfig, HandlerError, Participant, Subscriptions, Transaction,
};
use rstest::rstest;
use testkit::{BrokerKind, Operator, Proxy, Stack, StoreKind, VirtualHost, eventually_is};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::effects::{QUEUE, each_on_its_own};
use crate::events::{Changed, EXCHANGE, Failure, id, message};
use crate::fixture::{Fixture, consumer_config};

fn participant() -> Participant {
    Participant {
        service: "test",
        exchanges: &[EXCHANGE, "echo_events"],
        subscriptions: Some(each_on_its_own()),
    }
}

fn engine(fixture: &Fixture) -> Engine {
    let broker = fixture.broker.of_services([&participant().topology()]);
    let config = EngineConfig {
        consumer: consumer_config(),
        ..EngineConfig::default()
    };
    Engine::new(&fixture.store, &broker, participant(), config)
}

#[rstest]
#[tokio::test]
async fn a_committed_event_has_its_effect_which_publishes_events(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let fixture = Fixture::new(stack.store(), stack.broker()).await;
    let engine = engine(&fixture);
    engine.declare().await.unwrap();
    let (stop, committed) = (CancellationToken::new(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(engine.run(stop.clone(), committed.clone()));
    let event = Changed {
        echo: true,
        ..Changed::failing("a", 1, Failure::Retry)
    };
    let event_id = fixture.commit(&event, 1).await;
    fixture.becomes(&event_id.to_string(), "done").await;
    let echoes = async || {
        let outbox = fixture.outbox().await.into_iter();
        let echoes = outbox.filter(|row| row.event_type == "test.account.v1.Echoed");
        echoes.map(|row| row.published).collect::<Vec<_>>()
    };
    eventually_is("one echo, and it is out", vec![true], echoes).await;
    stop.cancel();
    committed.cancel();
    running.join_next().await.unwrap().unwrap();
}

#[rstest]
#[tokio::test]
async fn the_last_calls_events_go_out_before_the_process_does(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let fixture = Fixture::new(stack.store(), stack.broker()).await;
    let engine = engine(&fixture);
    engine.declare().await.unwrap();
    let (stop, committed) = (CancellationToken::new(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(engine.run(stop.clone(), committed.clone()));
    let first = fixture.commit(&Changed::of("a"), 1).await;
    fixture.becomes(&first.to_string(), "done").await;
    stop.cancel();
    fixture.commit(&Changed::of("a"), 2).await;
    committed.cancel();
    running.join_next().await.unwrap().unwrap();
    assert_eq!(fixture.pending().await, 0);
    eventually_is("one waits in the queue", 1, async || {
        fixture.broker.messages(QUEUE).await
    })
    .await;
}

#[tokio::test]
async fn a_lost_broker_is_noticed_and_so_is_its_return() {
    let fixture = Fixture::new(StoreKind::Sqlite, BrokerKind::RabbitMq).await;
    let Broker::RabbitMq(mut config) = fixture.broker.of_services([&participant().topology()])
    else {
        panic!("a RabbitMQ was asked for");
    };
    let proxy = Proxy::before(config.url.as_str()).await;
    config.url = proxy.url().parse().unwrap();
    for subscriptions in [Some(each_on_its_own()), None] {
        let participant = Participant {
            subscriptions,
            ..participant()
        };
        let broker = Broker::RabbitMq(config.clone());
        let engine = Engine::new(
            &fixture.store,
            &broker,
            participant,
            EngineConfig::default(),
        );
        let mut connected = engine.connected();
        assert!(!*connected.borrow());
        let (stop, committed) = (CancellationToken::new(), CancellationToken::new());
        let mut running = JoinSet::new();
        running.spawn(engine.run(stop.clone(), committed.clone()));
        becomes(&mut connected, true).await;
        proxy.cut();
        becomes(&mut connected, false).await;
        proxy.mend();
        becomes(&mut connected, true).await;
        stop.cancel();
        committed.cancel();
        running.join_next().await.unwrap().unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn what_a_failed_handler_published_is_not(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    let event = Changed {
        echo: true,
        ..Changed::failing("a", 99, Failure::Reject)
    };
    let rejected = message(&event, 1);
    fixture.send(&each_on_its_own(), [&rejected]).await;
    fixture.run_consumer(each_on_its_own());
    fixture.becomes(&id(&rejected), "dead").await;
    assert_eq!(fixture.outbox().await, []);
    fixture.stop().await;
}

async fn becomes(connected: &mut watch::Receiver<bool>, there: bool) {
    eventually_is("the broker is known to be there", there, async || {
        *connected.borrow_and_update()
    })
    .await;
}

#[tokio::test]
async fn publisher_and_consumer_have_separate_named_connections() {
    let fixture = Fixture::new(StoreKind::Sqlite, BrokerKind::Embedded).await;
    let host = VirtualHost::create(&Operator::of_test_run(), &testkit::amqp_url()).await;
    let (engine, mut connected) = engine_on(&fixture, &host);
    let (stop, committed) = (CancellationToken::new(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(engine.run(stop.clone(), committed.clone()));
    becomes(&mut connected, true).await;
    let names = ["test consume", "test consume", "test publish"];
    eventually_is(
        "the broker lists them",
        names.map(str::to_owned).to_vec(),
        async || {
            let mut names: Vec<String> = host
                .connections()
                .await
                .into_iter()
                .map(|(name, _)| name)
                .collect();
            names.sort();
            names
        },
    )
    .await;
    for (name, heartbeat_s) in host.connections().await {
        assert_eq!(heartbeat_s, 10, "{name}");
    }
    stop.cancel();
    committed.cancel();
    running.join_next().await.unwrap().unwrap();
}

/// The consumer connects again when its lanes have ended.
#[tokio::test]
async fn a_lost_queue_is_reported_while_a_handler_runs() {
    static RUNS: AtomicBool = AtomicBool::new(false);
    struct Running;
    impl Drop for Running {
        fn drop(&mut self) {
            RUNS.store(false, Ordering::Release);
        }
    }
    async fn endless(_: &Transaction, _: Changed, _: &Delivered) -> Result<(), HandlerError> {
        RUNS.store(true, Ordering::Release);
        let _running = Running;
        std::future::pending().await
    }
    let fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let operator = Operator::of_test_run();
    let host = VirtualHost::create(&operator, &testkit::amqp_url()).await;
    let participant = Participant {
        subscriptions: Some(Subscriptions::new(QUEUE).on::<Changed>(endless)),
        ..participant()
    };
    let broker = Broker::RabbitMq(RabbitMqConfig::new(host.url().clone()));
    let engine = Engine::new(
        &fixture.store,
        &broker,
        participant,
        EngineConfig::default(),
    );
    let mut connected = engine.connected();
    let (stop, committed) = (CancellationToken::new(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(engine.run(stop.clone(), committed.clone()));
    becomes(&mut connected, true).await;
    fixture.commit(&Changed::of("a"), 1).await;
    eventually_is("the handler runs", true, async || {
        RUNS.load(Ordering::Acquire)
    })
    .await;
    let name = host.url().path().trim_start_matches('/').to_owned();
    operator
        .run(&["delete_queue", QUEUE, "--vhost", &name])
        .await;
    becomes(&mut connected, false).await;
    assert!(RUNS.load(Ordering::Acquire));
    becomes(&mut connected, true).await;
    running.shutdown().await;
}

#[tokio::test]
async fn lost_permissions_are_reported_and_work_resumes_with_them() {
    let fixture = Fixture::new(StoreKind::Sqlite, BrokerKind::Embedded).await;
    let host = VirtualHost::create(&Operator::of_test_run(), &testkit::amqp_url()).await;
    let (engine, mut connected) = engine_on(&fixture, &host);
    engine.declare().await.unwrap();
    let (stop, committed) = (CancellationToken::new(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(engine.run(stop.clone(), committed.clone()));
    let before = fixture.commit(&Changed::of("a"), 1).await;
    fixture.becomes(&before.to_string(), "done").await;

    host.permit("^$").await;
    host.close_connections().await;
    becomes(&mut connected, false).await;
    let meanwhile = fixture.commit(&Changed::of("a"), 2).await;
    host.permit(".*").await;
    becomes(&mut connected, true).await;
    fixture.becomes(&meanwhile.to_string(), "done").await;
    assert_eq!(fixture.versions("a").await, [1, 2]);
    stop.cancel();
    committed.cancel();
    running.join_next().await.unwrap().unwrap();
}

fn engine_on(fixture: &Fixture, host: &VirtualHost) -> (Engine, watch::Receiver<bool>) {
    let broker = testkit::Broker::of(host).of_services([&participant().topology()]);
    let engine = Engine::new(
        &fixture.store,
        &broker,
        participant(),
        EngineConfig::default(),
    );
    let connected = engine.connected();
    (engine, connected)
}
