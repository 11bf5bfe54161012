//! One call by many callers at the same moment. As in a service, the transaction of its effect claims the `request_id`. Each caller
//! has its own op, so only the claim keeps a second effect out.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use messaging::Store;
use runtime::idempotency::{self, Call, ClaimError};
use runtime::status::Violations;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::PAUSE;
use crate::workload::commands::{self, Command};

/// Callers at the same moment.
pub(super) const CALLERS: usize = 50;
const METHOD: &str = "Deposit";

/// Makes the calls. Returns whether all got the same answer and a call with other content was refused.
pub(super) async fn at_once(store: &Store, round: &str) -> Result<bool> {
    let request_id = Uuid::now_v7();
    let call = Arc::new(read(request_id, b"a deposit")?);
    let barrier = Arc::new(Barrier::new(CALLERS));
    let mut calling = JoinSet::new();
    for caller in 0..CALLERS {
        let (store, call, barrier) = (store.clone(), Arc::clone(&call), Arc::clone(&barrier));
        let command = Command {
            op: format!("{round}-by-{caller}"),
            account: "shared".to_owned(),
        };
        calling.spawn(async move {
            barrier.wait().await;
            until_answered(&store, &call, &command).await
        });
    }
    let mut answers = BTreeSet::new();
    while let Some(called) = calling.join_next().await {
        answers.insert(called??);
    }
    let other = Command {
        op: format!("{round}-with-another-content"),
        account: "shared".to_owned(),
    };
    let refused = take(store, &read(request_id, b"another")?, &other).await;
    Ok(answers.len() == 1 && refused.is_err_and(|error| is_reused(&error)))
}

/// Repeats the call until it gets an answer, as a client does.
async fn until_answered(store: &Store, call: &Call, command: &Command) -> Result<Vec<u8>> {
    loop {
        match take(store, call, command).await {
            Ok(answer) => return Ok(answer),
            Err(error) if is_reused(&error) => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn is_reused(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ClaimError::Reused(_)))
}

/// The command of a service.
async fn take(store: &Store, call: &Call, command: &Command) -> Result<Vec<u8>> {
    let transaction = store.begin_command().await?;
    if let Some(first) = idempotency::claim(&transaction, Some(call)).await? {
        return Ok(first);
    }
    commands::change(&transaction, command).await?;
    let answer = command.op.clone().into_bytes();
    idempotency::keep(&transaction, Some(call), answer.clone()).await?;
    transaction.commit().await?;
    Ok(answer)
}

fn read(request_id: Uuid, content: &[u8]) -> Result<Call> {
    let (request_id, mut violations) = (request_id.to_string(), Violations::default());
    let call = Call::read("", METHOD, &request_id, content, &mut violations);
    call.context("it has a request_id")
}
