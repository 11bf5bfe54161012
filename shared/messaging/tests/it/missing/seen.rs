//! What a service reports as missing: in its health, and when a producer falls silent.

use event::Message;
use messaging::{Engine, EngineConfig, Participant};
use rstest::rstest;
use testkit::{Stack, eventually_is};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::by_hand::{checkpoint, message, now_ms};
use super::{consumer, pace};
use crate::effects::each_on_its_own;
use crate::events::{self, Changed, EXCHANGE};
use crate::fixture::Fixture;

async fn becomes(complete: &mut watch::Receiver<bool>, expected: bool, why: &str) {
    eventually_is(why, expected, async || *complete.borrow_and_update()).await;
}

#[rstest]
#[tokio::test]
async fn health_says_what_is_missing_and_who_is_silent(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    fixture.look_soon();
    let participant = Participant {
        service: "test",
        exchanges: &[EXCHANGE],
        subscriptions: Some(each_on_its_own()),
    };
    let broker = fixture.broker.of_services([&participant.topology()]);
    let config = EngineConfig {
        consumer: consumer(),
        checkpoints: pace(),
        ..EngineConfig::default()
    };
    let engine = Engine::new(&fixture.store, &broker, participant, config);
    let mut complete = engine.complete().unwrap();
    engine.declare().await.unwrap();
    let (stop, committed) = (CancellationToken::new(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(engine.run(stop.clone(), committed.clone()));
    let published = async |messages: &[Message]| fixture.send(&each_on_its_own(), messages).await;

    let [first, second] = [1, 2].map(|number| message(&checkpoint(number, number, now_ms()).1));
    let (lost, third) = checkpoint(3, 3, now_ms());
    published(&[first, second, message(&third)]).await;
    becomes(&mut complete, false, "an event is missing").await;
    let mut arrives = events::message(&Changed::of("a"), 1);
    arrives.message_id = Some(lost.to_string());
    published(&[arrives]).await;
    becomes(&mut complete, true, "it has arrived").await;

    let (_, mut fifth) = checkpoint(5, 5, now_ms());
    fifth.published.clear();
    published(&[message(&fifth)]).await;
    becomes(&mut complete, false, "a checkpoint is missing").await;
    let (_, mut fourth) = checkpoint(4, 4, now_ms());
    fourth.published.clear();
    published(&[message(&fourth)]).await;
    becomes(&mut complete, true, "it has come").await;

    let (_, mut sixth) = checkpoint(6, 6, now_ms());
    sixth.published.clear();
    sixth.interval_s = 1;
    published(&[message(&sixth)]).await;
    becomes(&mut complete, false, "the producer is silent").await;
    let (_, mut seventh) = checkpoint(7, 7, now_ms());
    seventh.published.clear();
    published(&[message(&seventh)]).await;
    becomes(&mut complete, true, "it is heard again").await;
    stop.cancel();
    committed.cancel();
    running.join_next().await.unwrap().unwrap();
}
