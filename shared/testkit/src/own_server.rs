//! A server of one run's own, which may be ended at any moment: everybody else's stays up.
//!
//! `ANGARIUM_TEST_OWN_SERVER` starts it (`cargo xtask` sets it) and ends it, whatever becomes of this process.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use url::Url;

use crate::{Operator, environment};

/// For a start on a busy machine, recovery included.
const LIMIT: Duration = Duration::from_secs(180);

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// With the settings of a server that keeps what it has promised, unlike the one of the test run.
    Postgres,
    /// One node.
    RabbitMq,
}

/// A private server, gone when this is dropped.
pub struct OwnServer {
    url: Url,
    rabbitmqctl: Option<Operator>,
    // Before the child, which ends the server once this is closed.
    stdin: Option<ChildStdin>,
    said: Lines<BufReader<ChildStdout>>,
    _keeper: Child,
}

impl OwnServer {
    /// Starts one.
    ///
    /// # Errors
    /// Where there is no way to one here, with the reason, to be shown to a person.
    pub async fn start(kind: ServerKind) -> Result<Self, String> {
        let line = environment::own_server().ok_or("ANGARIUM_TEST_OWN_SERVER is not set")?;
        let (program, first) = line
            .split_first()
            .ok_or("ANGARIUM_TEST_OWN_SERVER is empty")?;
        let product = match kind {
            ServerKind::Postgres => "postgres",
            ServerKind::RabbitMq => "rabbitmq",
        };
        let mut keeper = Command::new(program)
            .args(first)
            .arg(product)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C is for us; it ends in order once we are gone.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("ANGARIUM_TEST_OWN_SERVER cannot be run: {error}"))?;
        let stdin = keeper.stdin.take();
        let stdout = keeper.stdout.take().expect("it is piped");
        let mut said = BufReader::new(stdout).lines();
        let mut rabbitmqctl = None;
        let url = loop {
            let line = tokio::time::timeout(LIMIT, said.next_line()).await;
            let line = line.map_err(|_| format!("{product} does not start within {LIMIT:?}"))?;
            match line.expect("its output").as_deref().map(words) {
                Some(("control", line)) => {
                    let line = line.split_whitespace().map(str::to_owned);
                    rabbitmqctl = Some(Operator::with(line.collect()));
                }
                Some(("up", url)) => break url.parse().expect("a URL"),
                _ => {
                    let ended = keeper.wait_with_output().await.expect("its output");
                    return Err(String::from_utf8_lossy(&ended.stderr).trim().to_owned());
                }
            }
        };
        Ok(Self {
            url,
            rabbitmqctl,
            stdin,
            said,
            _keeper: keeper,
        })
    }

    /// Where it is, also after each new start.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whoever may do everything on a broker.
    ///
    /// # Panics
    /// Where it is no broker.
    pub fn operator(&self) -> &Operator {
        self.rabbitmqctl.as_ref().expect("it is a RabbitMQ")
    }

    /// Ends it as a power cut would (kill -9).
    pub async fn kill(&mut self) {
        self.obey("kill", "down").await;
    }

    /// Ends it in order.
    pub async fn stop(&mut self) {
        self.obey("stop", "down").await;
    }

    /// Starts it again, and waits until it answers.
    pub async fn start_again(&mut self) {
        self.obey("start", "up").await;
    }

    async fn obey(&mut self, order: &str, answer: &str) {
        let stdin = self.stdin.as_mut().expect("it is piped");
        let line = format!("{order}\n");
        stdin.write_all(line.as_bytes()).await.expect("it listens");
        let said = tokio::time::timeout(LIMIT, self.said.next_line()).await;
        let said = said.unwrap_or_else(|_| panic!("no {answer} within {LIMIT:?}"));
        let said = said.expect("its output");
        assert!(
            said.as_deref().is_some_and(|said| words(said).0 == answer),
            "{order} was answered with {said:?}"
        );
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // Its keeper reads the end of its input, and ends the server. Nobody needs to wait for that.
        drop(self.stdin.take());
    }
}

fn words(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or((line, ""))
}
