//! A private server that a test may kill at any moment. The shared servers stay up.
//!
//! `ANGARIUM_TEST_OWN_SERVER` starts it (`cargo xtask` sets it), and ends it even if this process dies.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use url::Url;

use crate::{Operator, environment};

/// For a start on a busy machine, including recovery.
const LIMIT: Duration = Duration::from_secs(180);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// With durable settings, unlike the shared one of the test run.
    Postgres,
    /// One node.
    RabbitMq,
}

/// A private server. Dropping it ends the server.
pub struct OwnServer {
    url: Url,
    rabbitmqctl: Option<Operator>,
    // Dropped before the child, which then ends the server.
    stdin: Option<ChildStdin>,
    said: Lines<BufReader<ChildStdout>>,
    _keeper: Child,
}

impl OwnServer {
    /// Starts a server.
    ///
    /// # Errors
    /// If this machine has no such server, with the reason for a person.
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
            // Ctrl-C is for this process; the child ends in order after it.
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

    /// Its URL; the same after each restart.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// An operator with all permissions on a broker.
    ///
    /// # Panics
    /// If it is no broker.
    pub fn operator(&self) -> &Operator {
        self.rabbitmqctl.as_ref().expect("it is a RabbitMQ")
    }

    /// Kills it, like a power cut (kill -9).
    pub async fn kill(&mut self) {
        self.obey("kill", "down").await;
    }

    /// Stops it in order.
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
        // The child sees the end of its input and ends the server. No need to wait.
        drop(self.stdin.take());
    }
}

fn words(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or((line, ""))
}
