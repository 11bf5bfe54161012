//! Messages that the client library cannot parse, and damaged rows of the queue file, among many good ones: in the queue and in its
//! dead-letter queue. Each is kept with its bytes, the good ones have their effects in order, and no connection ends.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use event::Message;
use messaging::transport::{
    Broker as Way, Confirmation, DEAD_LETTER_EXCHANGE, RabbitMqConfig, dead_letter_queue,
};
use messaging::{Consumer, ConsumerConfig, Store};
use testkit::{Broker, BrokerKind, Database, Proxy, StoreKind, amqp_url};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checker::Verdict;
use crate::deposit;
use crate::poison::{self, wrong};
use crate::tables::{self, Migrator};

/// The text that is sent, and the bytes that arrive: not UTF-8.
const SENT: &str = "to be spoiled";
const ARRIVES: &[u8] = b"gr\xf6\xdfe \xff\xfe\xe4\xfc\x80??";
/// One for consuming and one for dead letters, during the whole run.
const CONNECTIONS: usize = 2;

pub(crate) async fn run(seed: u64, quick: bool, patience: Duration) -> Result<Verdict> {
    let (good, spoiled) = if quick { (100, 12) } else { (2000, 100) };
    let mut verdicts = Vec::new();
    for (store, broker) in [
        (StoreKind::Postgres, BrokerKind::RabbitMq),
        (StoreKind::Sqlite, BrokerKind::Embedded),
    ] {
        let good = wrong::samples(good, 0, 0, seed);
        let verdict = on(store, broker, &good, spoiled, patience).await?;
        println!("unparsable {store:?} {broker:?}: {verdict}");
        verdicts.push(verdict);
    }
    let both = verdicts.into_iter().reduce(|one, other| one.and(&other));
    both.context("there are two verdicts")
}

async fn on(
    store: StoreKind,
    kind: BrokerKind,
    good: &[wrong::Sample],
    spoiled: usize,
    patience: Duration,
) -> Result<Verdict> {
    let database = Database::create(store).await;
    let db = database.migrated::<Migrator>().await;
    let broker = Broker::create(kind).await;
    broker.transport(deposit::consumer()).declare().await?;
    let spoiled = publish(&broker, good, spoiled).await?;

    let (way, proxy) = way(&broker).await?;
    let stop = CancellationToken::new();
    let consumer = Consumer::new(
        Store::new(db.clone()),
        way.transport("consumer", deposit::consumer()),
        deposit::subscriptions(false),
        ConsumerConfig::default(),
    );
    // If the run fails early, the set ends the consumer.
    let mut consuming = JoinSet::new();
    consuming.spawn(consumer.run(stop.clone()));
    let begun = Instant::now();
    let all = good.len() + spoiled.len();
    while settled(&db).await? < all {
        ensure!(
            begun.elapsed() < patience,
            "{} of {all} messages are handled or kept after {patience:?}",
            settled(&db).await?
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let drain = begun.elapsed();
    stop.cancel();
    while let Some(ended) = consuming.join_next().await {
        ended?;
    }

    let mut wrong = kept_wrongly(&db, &spoiled).await?;
    for queue in [deposit::QUEUE.to_owned(), dead_letter_queue(deposit::QUEUE)] {
        wrong += usize::try_from(broker.messages(&queue).await)?;
    }
    let connections = proxy.map_or(CONNECTIONS, |proxy| proxy.attempts());
    if connections != CONNECTIONS {
        println!(
            "unparsable {store:?} {kind:?} WRONG: {connections} connections, expected {CONNECTIONS}"
        );
        wrong += 1;
    }
    let verdict = poison::verdict(&db, good, drain, wrong).await?;
    db.close().await?;
    Ok(verdict)
}

/// The consumer's broker; for RabbitMQ behind a proxy that counts connections.
async fn way(broker: &Broker) -> Result<(Way, Option<Proxy>)> {
    match broker.of_services([&deposit::consumer()]) {
        Way::RabbitMq(config) => {
            let proxy = Proxy::before(config.url.as_str()).await;
            let config = RabbitMqConfig {
                url: proxy.url().parse()?,
                ..config
            };
            Ok((Way::RabbitMq(config), Some(proxy)))
        }
        embedded => Ok((embedded, None)),
    }
}

/// Publishes the good messages and the spoiled ones among them. Every second spoiled one goes to the dead-letter queue.
async fn publish(broker: &Broker, good: &[wrong::Sample], spoiled: usize) -> Result<Vec<Message>> {
    let spoiled: Vec<Message> = (0..spoiled).map(|number| spoil(good, number)).collect();
    let each = good.len().div_ceil(spoiled.len().max(1));
    let proxy = match broker.kind() {
        BrokerKind::RabbitMq => {
            let proxy = Proxy::before(amqp_url().as_str()).await;
            proxy.spoil(SENT.as_bytes(), ARRIVES);
            Some(proxy)
        }
        BrokerKind::Embedded => None,
    };
    let publisher = broker.transport(deposit::producer()).publisher().await?;
    for (spoiled, good) in spoiled.iter().zip(good.chunks(each.max(1))) {
        match &proxy {
            Some(proxy) => {
                let sent = broker.publish_by(proxy, spoiled).await;
                ensure!(sent == Confirmation::Routed, "{sent:?}");
            }
            None => insert_damaged(broker, spoiled).await?,
        }
        for sample in good {
            let confirm = publisher.publish(&sample.message).await?;
            ensure!(confirm.await? == Confirmation::Routed);
        }
    }
    Ok(spoiled)
}

/// A message with its own body, by which the check finds it, and with the ids of a good message, which must still be handled.
fn spoil(good: &[wrong::Sample], number: usize) -> Message {
    let mut message = good
        .first()
        .map(|sample| sample.message.clone())
        .unwrap_or_default();
    message.body = format!("unparsable {number}").into();
    match number % 3 {
        0 => message.message_id = Some(SENT.to_owned()),
        1 => message.event_type = Some(SENT.to_owned()),
        _ => {
            message.headers.insert(SENT.to_owned(), "1".to_owned());
        }
    }
    if number % 2 == 1 {
        message.exchange = DEAD_LETTER_EXCHANGE.to_owned();
        message.routing_key = deposit::QUEUE.to_owned();
    }
    message
}

/// Inserts a damaged row, as a manual change or a damaged page would leave it.
async fn insert_damaged(broker: &Broker, message: &Message) -> Result<()> {
    let folder = broker.folder().context("an embedded broker has a folder")?;
    let url = format!("sqlite://{}", folder.join("queue.db").display());
    let db = sea_orm::Database::connect(url).await?;
    let queue = match message.exchange.as_str() {
        DEAD_LETTER_EXCHANGE => dead_letter_queue(deposit::QUEUE),
        _ => deposit::QUEUE.to_owned(),
    };
    let inserting = "INSERT INTO message (queue, exchange, routing_key, properties, body)
                     VALUES ($1, $2, $3, '{\"headers\": ', $4)";
    let values = [
        queue.into(),
        message.exchange.as_str().into(),
        message.routing_key.as_str().into(),
        message.body.to_vec().into(),
    ];
    tables::execute(&db, inserting, values).await?;
    db.close().await?;
    Ok(())
}

async fn settled(db: &store::Database) -> Result<usize> {
    let settled = "SELECT count(*) FROM angarium_inbox WHERE state IN ('done', 'dead')";
    Ok(usize::try_from(tables::number(db, settled).await?)?)
}

/// How many messages are not dead with their bytes and the cause.
async fn kept_wrongly(db: &store::Database, spoiled: &[Message]) -> Result<usize> {
    let dead = "SELECT body FROM angarium_inbox WHERE state = 'dead' AND cause LIKE '%undecodable: it cannot be read%'";
    let mut bodies = Vec::new();
    for row in tables::rows(db, dead, []).await? {
        bodies.push(row.try_get::<Vec<u8>>("", "body")?);
    }
    let missing = spoiled.iter().filter(|message| {
        let kept = bodies.iter().filter(|body| body[..] == message.body[..]);
        kept.count() != 1
    });
    Ok(missing.count() + bodies.len().abs_diff(spoiled.len()))
}
