//! Links that break under load: the link to the broker, and those to the databases.
//!
//! Each kind of link has its own system, and both run at the same time. After every fault the system recovers by itself when the
//! link works again. Until then it does not ask the broker for connections too often.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use testkit::{BrokerKind, Database, Proxy, StoreKind};
use tokio::task::JoinSet;

use crate::broker::RECOVERY;
use crate::checker::Verdict;
use crate::fixture::{Fixture, Way};
use crate::load_process::{self, LoadProcess};
use crate::watch::{Recovery, Watch};

mod faulty;

use faulty::{Faulty, Target};

/// How long each fault lasts.
#[derive(Clone, Copy)]
struct Plan {
    cuts: u32,
    cut: Duration,
    half_open: Duration,
    span: Duration,
    /// How many of a thousand calls must be accepted with a slow database.
    taken: f64,
}

/// Two heartbeats of 10 s, and a margin.
const DETECTED: Duration = Duration::from_secs(25);
/// The most connections that one service may ask for in a minute.
const RECONNECTS: usize = 30;
/// The additional time of a statement on an overloaded database.
const SLOW_QUERY: Duration = Duration::from_millis(300);
/// The deadline of a caller. A call has eight statements, one after the other.
const SLOWEST_CALL: Duration = Duration::from_secs(10);

pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let plan = if quick {
        Plan {
            cuts: 1,
            cut: Duration::from_secs(2),
            half_open: DETECTED + Duration::from_secs(5),
            span: Duration::from_secs(3),
            // Only few calls have time to finish.
            taken: 200.0,
        }
    } else {
        Plan {
            cuts: 5,
            cut: Duration::from_secs(30),
            half_open: Duration::from_secs(60),
            span: Duration::from_secs(60),
            taken: 500.0,
        }
    };
    // Each in a task: dropping a database blocks its task until no connection of the server is being opened.
    let mut halves = JoinSet::new();
    for target in [Target::Broker, Target::Databases] {
        halves.spawn(on(target, plan, seed, patience));
    }
    let verdicts: Result<Vec<Verdict>> = halves.join_all().await.into_iter().collect();
    let both = verdicts?.into_iter().reduce(|one, other| one.and(&other));
    both.context("neither half was run")
}

async fn on(target: Target, plan: Plan, seed: u64, patience: u64) -> Result<Verdict> {
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (broker, databases) = (fixture.amqp_url()?, [&fixture.producer, &fixture.consumer]);
    let links = match target {
        Target::Broker => [broker.as_str(), broker.as_str()],
        Target::Databases => databases.map(Database::url),
    };
    let links = [Proxy::before(links[0]).await, Proxy::before(links[1]).await];
    let [producer, consumer] = [0, 1].map(|link| Some(links[link].url().to_owned()));
    fixture.go_by(match target {
        Target::Broker => Way {
            broker: producer.zip(consumer).map(|(one, other)| [one, other]),
            ..Way::default()
        },
        Target::Databases => Way {
            producer,
            consumer,
            broker: None,
        },
    });
    let faulty = Faulty::new(target, links);
    let (run, text) = (format!("{seed}-{target:?}"), patience.to_string());
    let args = ["--rate", "20", "--writers", "8", "--accounts", "20"];
    let load = fixture.load(&run, &[&args[..], &["--patience", &text]].concat())?;
    let watch = Watch::over(&fixture, &format!("network {target:?}")).await?;
    let mut system = System {
        faulty,
        load,
        watch,
    };
    system.heals(Recovery::none()).await?;
    system.all(&plan).await?;
    let System {
        faulty,
        load,
        mut watch,
    } = system;
    let most = faulty.most_in_a_minute();
    // Each call without a connection asks a database for one, so there the calls set the pace.
    watch.judge(
        target == Target::Databases || most <= RECONNECTS,
        &format!("at most {most} connections were asked for in a minute"),
    );
    fixture.end(load, patience).await?;
    let verdict = fixture.verdict(&run, true).await?;
    watch.close(verdict).await
}

struct System {
    faulty: Faulty,
    load: LoadProcess,
    watch: Watch,
}

impl System {
    async fn all(&mut self, plan: &Plan) -> Result<()> {
        self.cuts(plan).await?;
        self.silence(plan).await?;
        let (by, jitter) = self.faulty.target.delay();
        let late = format!("delayed by {by:?} ± {jitter:?} in each direction");
        let slow = move |link: &Proxy| link.delay(by, jitter);
        self.endures(plan, &late, 2, slow).await?;
        if self.faulty.target == Target::Databases {
            let slow = |link: &Proxy| link.delay(SLOW_QUERY / 2, Duration::ZERO);
            let late = format!("each statement {SLOW_QUERY:?} slower");
            self.endures(plan, &late, 1, slow).await?;
        }
        let narrow = |link: &Proxy| link.throttle(16 * 1024);
        self.endures(plan, "16 KiB a second", 1, narrow).await?;
        self.resets(plan).await?;
        self.flaps(plan).await
    }

    async fn cuts(&mut self, plan: &Plan) -> Result<()> {
        let begun = Instant::now();
        let mut longest = Recovery::none();
        for _ in 0..plan.cuts {
            self.faulty.each(Proxy::cut);
            tokio::time::sleep(plan.cut).await;
            longest = self.heals(longest).await?;
        }
        let what = format!("cut {} times for {:?}", plan.cuts, plan.cut);
        self.healed(&what, longest, begun);
        Ok(())
    }

    async fn silence(&mut self, plan: &Plan) -> Result<()> {
        let begun = Instant::now();
        self.faulty.each(Proxy::half_open);
        let (longest, beyond) = self.faulty.waits(plan.half_open, DETECTED).await;
        self.watch.judge(
            beyond <= self.faulty.target.left_to_the_system(),
            &format!("half open: the longest wait for an answer was {longest:.1?}, and {beyond} connections waited for longer than {DETECTED:?}"),
        );
        let longest = self.heals(Recovery::none()).await?;
        let what = format!("half open for {:?}", plan.half_open);
        self.healed(&what, longest, begun);
        Ok(())
    }

    /// A fault that makes links slow and ends no connection: calls go on meanwhile.
    async fn endures(
        &mut self,
        plan: &Plan,
        what: &str,
        spans: u32,
        act: impl Fn(&Proxy),
    ) -> Result<()> {
        let (begun, span) = (Instant::now(), spans * plan.span);
        self.faulty.each(act);
        tokio::time::sleep(span).await;
        if self.faulty.target == Target::Databases {
            let taken = || load_process::accepted_of_1000(&self.load.answers(begun));
            while taken().0 < plan.taken && begun.elapsed() < span + SLOWEST_CALL {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let (accepted, of) = taken();
            let said = format!(
                "{what}: {:.2} % of {of} calls were accepted",
                accepted / 10.0
            );
            self.watch.judge(accepted >= plan.taken, &said);
        }
        let longest = self.heals(Recovery::none()).await?;
        self.healed(&format!("{what}, for {span:?}"), longest, begun);
        Ok(())
    }

    async fn resets(&mut self, plan: &Plan) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < plan.span {
            self.faulty.each(Proxy::reset);
            tokio::time::sleep(plan.span.min(Duration::from_secs(5))).await;
        }
        let longest = self.heals(Recovery::none()).await?;
        let what = format!("reset every 5 s for {:?}", plan.span);
        self.healed(&what, longest, begun);
        Ok(())
    }

    async fn flaps(&mut self, plan: &Plan) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < plan.span {
            self.faulty.each(Proxy::cut);
            tokio::time::sleep(Duration::from_secs(2)).await;
            self.faulty.each(Proxy::mend);
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let longest = self.heals(Recovery::none()).await?;
        let what = format!("up and down every 2 s for {:?}", plan.span);
        self.healed(&what, longest, begun);
        Ok(())
    }

    async fn heals(&mut self, mut longest: Recovery) -> Result<Recovery> {
        self.faulty.each(Proxy::mend);
        let recovers = self.watch.recovers(&mut self.load, RECOVERY, &mut longest);
        recovers.await?;
        Ok(longest)
    }

    /// Without the broker a system must accept every call; without the database it cannot.
    fn healed(&mut self, what: &str, longest: Recovery, since: Instant) {
        self.watch.recovered(what, longest);
        if self.faulty.target == Target::Broker {
            self.watch.calls(&self.load, since, what);
        }
        let (most, open) = (self.faulty.target.most_open(), self.faulty.most_open());
        if open > most {
            let leak = format!(
                "{open} connections were open at the same time, at most {most} are allowed"
            );
            self.watch.judge(false, &leak);
        }
    }
}
