//! Without calls in progress, a stop does not wait for unreachable systems.

use std::time::{Duration, Instant};

use rstest::rstest;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use testkit::{
    Broker, BrokerKind, Collector, Database, Proxy, StoreKind, eventually, eventually_is,
};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::broker_password::status;
use crate::process::{Process, broker_settings, command};

/// More than a stop takes with everything there.
const AT_ONCE: Duration = Duration::from_millis(200);
const A_SECOND: Duration = AT_ONCE.saturating_add(Duration::from_secs(1));
/// A wait that ends by a limit is as long each time; the best of a few shows what the machine adds.
const ATTEMPTS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Broker,
    Collector,
    Database,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Refuses,
    /// It accepts each connection, and never answers.
    IsSilent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    /// Since the process was connected.
    Later,
    /// The process has noticed it.
    Noticed,
}

// With several threads, the proxies work while the test waits for a process.
#[rstest]
#[case::broker_refuses((Part::Broker, Way::Refuses, When::Noticed), AT_ONCE)]
#[case::no_broker((Part::Broker, Way::Refuses, When::Always), AT_ONCE)]
#[case::broker_goes_silent((Part::Broker, Way::IsSilent, When::Later), AT_ONCE)]
#[case::silent_broker((Part::Broker, Way::IsSilent, When::Always), AT_ONCE)]
#[case::database_refuses((Part::Database, Way::Refuses, When::Noticed), AT_ONCE)]
// The relay may be at a last look for events, and the last telemetry may be sent: each for a second at most.
#[case::database_goes_silent((Part::Database, Way::IsSilent, When::Later), A_SECOND)]
#[case::database_is_silent((Part::Database, Way::IsSilent, When::Noticed), A_SECOND)]
#[case::silent_collector((Part::Collector, Way::IsSilent, When::Later), A_SECOND)]
// Its first export is still repeated.
#[case::no_collector((Part::Collector, Way::Refuses, When::Always), A_SECOND)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_nothing_that_is_away(
    #[case] away: (Part, Way, When),
    #[case] limit: Duration,
) {
    let mut took = Vec::new();
    for _ in 0..ATTEMPTS {
        let without = Servers::create().await.stop(Some(away)).await;
        if without < limit {
            return;
        }
        let with_all = Servers::create().await.stop(None).await;
        // Twice: on a machine under load everything takes longer.
        if without < with_all * 4 + limit {
            return;
        }
        took.push((with_all, without));
    }
    panic!("{away:?}: with everything there, and without it, a stop takes {took:?}");
}

/// New ones for each start, which announces a key: so the number of events is known.
struct Servers {
    database: Database,
    broker: Broker,
    collector: Collector,
}

impl Servers {
    async fn create() -> Self {
        Self {
            database: Database::create(StoreKind::Postgres).await,
            broker: Broker::create(BrokerKind::RabbitMq).await,
            collector: Collector::start(),
        }
    }

    /// Returns how long the stop of a new process takes.
    async fn stop(&self, away: Option<(Part, Way, When)>) -> Duration {
        let (url, prefix) = broker_settings(&self.broker);
        let to_database = Proxy::before(self.database.url()).await;
        let to_broker = Proxy::before(&url).await;
        let to_collector = Proxy::before(&self.collector.endpoint()).await;
        let is = |part| away.is_some_and(|(away, _, _)| away == part);
        let leave = || match away {
            None => (),
            Some((part, way, _)) => {
                let proxy = match part {
                    Part::Broker => &to_broker,
                    Part::Collector => &to_collector,
                    Part::Database => &to_database,
                };
                match way {
                    Way::Refuses => proxy.cut(),
                    Way::IsSilent => proxy.half_open(),
                }
            }
        };
        let at = away.map(|(_, _, when)| when);
        if at == Some(When::Always) {
            leave();
        }
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(folder.path());
        command
            .args(["--database-url", to_database.url()])
            .env("AMQP_URL", to_broker.url())
            .env("AMQP_PREFIX", prefix)
            .env("OTEL_BSP_SCHEDULE_DELAY", "100")
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", "500")
            .env("OTEL_METRIC_EXPORT_INTERVAL", "200")
            .env("LOG_FILTER", "info");
        if is(Part::Collector) {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", to_collector.url());
        }
        let exported = self.collector.metrics().len();
        let process = Process::start(&mut command);
        let users = "angarium.user.v1.UserService";
        let broker = "angarium.user.v1.UserService/broker";
        if at != Some(When::Always) {
            is_at_rest(&process, &self.database).await;
            if is(Part::Database) {
                is_compared(&self.database).await;
            }
            if is(Part::Collector) {
                eventually("something is exported", async || {
                    let measured = self.collector.metrics().len();
                    if measured > exported {
                        Ok(())
                    } else {
                        Err(measured)
                    }
                })
                .await;
            }
            leave();
        }
        if at == Some(When::Noticed) {
            match away {
                Some((Part::Broker, ..)) => {
                    becomes(&process, broker, ServingStatus::NotServing).await;
                }
                Some((Part::Database, ..)) => {
                    becomes(&process, users, ServingStatus::NotServing).await;
                }
                _ => unreachable!("no case waits until a collector is missed"),
            }
        }
        let begun = Instant::now();
        assert_eq!(process.interrupt().code(), Some(0));
        let took = begun.elapsed();
        // The test's clean-up needs the servers.
        to_database.mend();
        to_broker.mend();
        took
    }
}

/// All services are connected, and the event of the start is handled.
async fn is_at_rest(process: &Process, database: &Database) {
    for (address, service) in [
        (&process.users, "angarium.user.v1.UserService"),
        (&process.orders, "angarium.order.v1.OrderService"),
        (
            &process.notifications,
            "angarium.notification.v1.NotificationService",
        ),
    ] {
        let broker = format!("{service}/broker");
        eventually_is(&broker, ServingStatus::Serving, async || {
            status(address, &broker).await
        })
        .await;
    }
    let db = sea_orm::Database::connect(database.url()).await.unwrap();
    let open = "SELECT (SELECT count(*) FROM user_service.angarium_outbox)
                     + (SELECT count(*) FROM order_service.angarium_inbox WHERE state <> 'done')
                     + (SELECT count(*) FROM notification_service.angarium_inbox WHERE state <> 'done')
                     + 2 - (SELECT count(*) FROM order_service.angarium_inbox)
                     - (SELECT count(*) FROM notification_service.angarium_inbox) AS open";
    eventually_is("open events", 0, async || {
        let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, open));
        row.await
            .unwrap()
            .unwrap()
            .try_get::<i64>("", "open")
            .unwrap()
    })
    .await;
}

/// Both consumers have followed the checkpoint that lists the event of the start. It comes 5 s later, and nothing follows
/// for a minute. A transaction in progress would be work that a stop must wait for.
async fn is_compared(database: &Database) {
    let db = sea_orm::Database::connect(database.url()).await.unwrap();
    let compared = "SELECT count(*) AS streams, count(*) FILTER (WHERE number = last) AS compared
                    FROM (SELECT source, number FROM order_service.angarium_checkpoint_stream UNION ALL
                          SELECT source, number FROM notification_service.angarium_checkpoint_stream) AS stream,
                         (SELECT max(number) AS last FROM user_service.angarium_checkpoint WHERE confirmed_at IS NOT NULL
                          AND last_position >= (SELECT max(position) FROM user_service.angarium_outbox_history)) AS listed
                    WHERE source = 'user-service'";
    eventually("the checkpoint is compared", async || {
        let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, compared));
        let row = row.await.unwrap().unwrap();
        let count = |name| row.try_get::<i64>("", name).unwrap();
        match (count("streams"), count("compared")) {
            (2.., compared) if compared == count("streams") => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

async fn becomes(process: &Process, name: &str, expected: ServingStatus) {
    eventually("the health is as expected", async || {
        let found = status(&process.users, name).await;
        if found == expected {
            Ok(())
        } else {
            Err(found)
        }
    })
    .await;
}
