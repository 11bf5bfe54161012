//! Links that break in the ways in which links do, under load: the one to the broker, and those to the databases.
//!
//! Each kind of link has a system of its own, and both run at the same time. Whatever the fault, it heals by itself once the
//! link does, and until then the broker is not knocked at more often than it can bear.

use std::time::{Duration, Instant};

use anyhow::Result;
use testkit::{BrokerKind, Database, Proxy, StoreKind};

use crate::broker::RECOVERY;
use crate::checker::Verdict;
use crate::load::{self, Load};
use crate::watch::{Recovery, Watch};
use crate::world::{Way, World};

mod faulty;

use faulty::{Faulty, Target};

/// How long each fault lasts.
struct Plan {
    cuts: u32,
    cut: Duration,
    half_open: Duration,
    span: Duration,
    /// Of a thousand calls to a slow database, those that must be taken.
    taken: f64,
}

/// Two heartbeats of 10 s, and what it takes to act on them.
const DETECTED: Duration = Duration::from_secs(25);
/// In any minute, of one service.
const RECONNECTS: usize = 30;
/// What a statement takes more on a database that is overloaded.
const SLOW_QUERY: Duration = Duration::from_millis(300);
/// A call asks eight things one after the other, and its caller waits no longer than this.
const SLOWEST_CALL: Duration = Duration::from_secs(10);

pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let plan = if quick {
        Plan {
            cuts: 1,
            cut: Duration::from_secs(2),
            half_open: DETECTED + Duration::from_secs(5),
            span: Duration::from_secs(3),
            // There is time for few.
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
    let (broker, databases) = tokio::join!(
        on(Target::Broker, &plan, seed, patience),
        on(Target::Databases, &plan, seed, patience)
    );
    Ok(broker?.and(&databases?))
}

async fn on(target: Target, plan: &Plan, seed: u64, patience: u64) -> Result<Verdict> {
    let mut world = World::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (broker, databases) = (world.amqp_url()?, [&world.producer, &world.consumer]);
    let links = match target {
        Target::Broker => [broker.as_str(), broker.as_str()],
        Target::Databases => databases.map(Database::url),
    };
    let links = [Proxy::before(links[0]).await, Proxy::before(links[1]).await];
    let [producer, consumer] = [0, 1].map(|link| Some(links[link].url().to_owned()));
    world.go_by(match target {
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
    let load = world.load(&run, &[&args[..], &["--patience", &text]].concat())?;
    let watch = Watch::over(&world, &format!("network {target:?}")).await?;
    let mut system = System {
        faulty,
        load,
        watch,
    };
    system.heals(Recovery::none()).await?;
    system.all(plan).await?;
    let System {
        faulty,
        load,
        mut watch,
    } = system;
    let most = faulty.most_in_a_minute();
    // A database is asked for connections by each call that finds none, so there the calls set the pace.
    watch.judge(
        target == Target::Databases || most <= RECONNECTS,
        &format!("connections asked for in a minute, at the most: {most}"),
    );
    world.end(load, patience).await?;
    let verdict = world.verdict(&run, true).await?;
    watch.close(verdict).await
}

struct System {
    faulty: Faulty,
    load: Load,
    watch: Watch,
}

impl System {
    async fn all(&mut self, plan: &Plan) -> Result<()> {
        self.cuts(plan).await?;
        self.silence(plan).await?;
        let (by, jitter) = self.faulty.target.delay();
        let late = format!("{by:?} late each way, give or take {jitter:?}");
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
        self.told(&what, longest, begun);
        Ok(())
    }

    async fn silence(&mut self, plan: &Plan) -> Result<()> {
        let begun = Instant::now();
        self.faulty.each(Proxy::half_open);
        let (longest, beyond) = self.faulty.waits(plan.half_open, DETECTED).await;
        self.watch.judge(
            beyond <= self.faulty.target.left_to_the_system(),
            &format!("half open: answers were waited for until {longest:.1?}, and on {beyond} connections for longer"),
        );
        let longest = self.heals(Recovery::none()).await?;
        let what = format!("half open for {:?}", plan.half_open);
        self.told(&what, longest, begun);
        Ok(())
    }

    /// What makes everything slower and ends nothing: calls go on meanwhile.
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
            let taken = || load::accepted_of_1000(&self.load.answers(begun));
            while taken().0 < plan.taken && begun.elapsed() < span + SLOWEST_CALL {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let (accepted, of) = taken();
            let said = format!("{what}: of {of} calls {:.2} % taken", accepted / 10.0);
            self.watch.judge(accepted >= plan.taken, &said);
        }
        let longest = self.heals(Recovery::none()).await?;
        self.told(&format!("{what}, for {span:?}"), longest, begun);
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
        self.told(&what, longest, begun);
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
        self.told(&what, longest, begun);
        Ok(())
    }

    async fn heals(&mut self, mut longest: Recovery) -> Result<Recovery> {
        self.faulty.each(Proxy::mend);
        let recovers = self.watch.recovers(&mut self.load, RECOVERY, &mut longest);
        recovers.await?;
        Ok(longest)
    }

    /// Without its broker a system takes every call; without its database it cannot.
    fn told(&mut self, what: &str, longest: Recovery, since: Instant) {
        self.watch.recovered(what, longest);
        if self.faulty.target == Target::Broker {
            self.watch.calls(&self.load, since, "meanwhile");
        }
        let (most, open) = (self.faulty.target.most_open(), self.faulty.most_open());
        if open > most {
            let leak = format!("{open} connections open at once, and not more than {most}");
            self.watch.judge(false, &leak);
        }
    }
}
