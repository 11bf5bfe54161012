//! A RabbitMQ operator, for what AMQP cannot do.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::environment;

/// Each command starts an Erlang VM, which is slow on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// Runs `rabbitmqctl` on one broker.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The program and its first arguments.
    line: Vec<String>,
}

impl Operator {
    /// For the broker of the test run.
    ///
    /// # Panics
    /// If `ANGARIUM_TEST_RABBITMQCTL` is not set.
    pub fn of_test_run() -> Self {
        Self {
            line: environment::rabbitmqctl().unwrap_or_else(|| {
                panic!(
                    "set ANGARIUM_TEST_RABBITMQCTL to a command line that runs rabbitmqctl on the broker of \
                     ANGARIUM_TEST_AMQP_URL (`docker exec -i NAME rabbitmqctl`, for example), or run `cargo xtask test` \
                     without ANGARIUM_TEST_AMQP_URL"
                )
            }),
        }
    }

    /// As [`of_test_run`](Self::of_test_run), but `None` if it is not set.
    pub fn if_any() -> Option<Self> {
        environment::rabbitmqctl().map(|line| Self { line })
    }

    pub(crate) fn with(line: Vec<String>) -> Self {
        Self { line }
    }

    /// One command, because each starts a VM.
    pub(crate) async fn delete(&self, vhost: &str, users: &[&str]) {
        let deletions: Vec<String> = users
            .iter()
            .map(|user| format!("rabbit_auth_backend_internal:delete_user(<<\"{user}\">>, By)"))
            .collect();
        let all = format!(
            "By = <<\"testkit\">>, rabbit_vhost:delete(<<\"{vhost}\">>, By), {}, ok.",
            deletions.join(", ")
        );
        self.run(&["eval", &all]).await;
    }

    /// Runs a command and returns its output.
    ///
    /// # Panics
    /// If it fails (with its output), or does not end in time.
    pub async fn run(&self, args: &[&str]) -> String {
        self.run_with(args, "").await
    }

    /// As [`run`](Self::run), with input on stdin.
    ///
    /// # Panics
    /// As `run`.
    pub async fn run_with(&self, args: &[&str], input: &str) -> String {
        let (program, first) = self
            .line
            .split_first()
            .expect("a command line is not empty");
        let mut child = Command::new(program)
            .args(first)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("rabbitmqctl cannot be run by {:?}: {error}", self.line)
            });
        let mut stdin = child.stdin.take().expect("it is piped");
        // A command that reads nothing may have ended.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let ended = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
        let output = ended
            .unwrap_or_else(|_| panic!("rabbitmqctl {args:?} does not end within {LIMIT:?}"))
            .expect("its output");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "rabbitmqctl {args:?}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    }
}
