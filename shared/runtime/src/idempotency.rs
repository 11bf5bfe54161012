//! Idempotent calls: a `request_id` stands for one effect and its answer (AIP-155).
//!
//! A command claims its call in the transaction of its effect, and stores the answer before the commit. A repeated
//! call, also a concurrent one, waits for that commit and gets the first answer. After a rollback, the next call is the
//! first. Answers are kept for [`RETENTION`].

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::digest::{SHA256, digest};
use sea_orm::{ConnectionTrait, DbErr, Value};
use store::sql;
use tonic::Status;
use uuid::Uuid;

use crate::status::{self, Violations};

mod cleaning;

pub use cleaning::{clean, clean_up};

/// The minimum, as the proto files state.
pub const RETENTION: Duration = Duration::from_secs(24 * 3600);

/// One call with a `request_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    caller: String,
    method: &'static str,
    request_id: Uuid,
    request_hash: String,
}

/// The same caller and method used the `request_id` with other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request_id was used for a request with other content; use a new one")]
pub struct Reused;

/// Why a call cannot be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The caller's mistake.
    #[error(transparent)]
    Reused(#[from] Reused),
    /// The statement failed.
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl Call {
    /// Reads the `request_id` of a request; `None` without one. `caller` is empty for public methods. `request` is the
    /// encoded request without data that must not be stored: a plain hash of a password allows guessing it.
    pub fn read(
        caller: &str,
        method: &'static str,
        request_id: &str,
        request: &[u8],
        violations: &mut Violations,
    ) -> Option<Self> {
        if request_id.is_empty() {
            return None;
        }
        Some(Self {
            caller: caller.to_owned(),
            method,
            request_id: violations.uuid("request_id", request_id),
            request_hash: STANDARD_NO_PAD.encode(digest(&SHA256, request)),
        })
    }

    fn key(&self) -> [Value; 3] {
        let request_id = self.request_id.to_string();
        [
            self.caller.as_str().into(),
            self.method.into(),
            request_id.into(),
        ]
    }
}

/// Claims `call` for this transaction. `None` for the first call, otherwise the stored answer. Waits for a transaction
/// that has claimed it.
pub async fn claim(
    db: &impl ConnectionTrait,
    call: Option<&Call>,
) -> Result<Option<Vec<u8>>, ClaimError> {
    let Some(call) = call else {
        return Ok(None);
    };
    claim_or_find(db, call, None).await
}

/// As [`claim`], but stores `response` as the answer in the same statement.
pub async fn claim_with(
    db: &impl ConnectionTrait,
    call: Option<&Call>,
    response: impl FnOnce() -> Vec<u8>,
) -> Result<Option<Vec<u8>>, ClaimError> {
    let Some(call) = call else {
        return Ok(None);
    };
    claim_or_find(db, call, Some(response())).await
}

/// A stored answer can be deleted once, at the end of its retention.
const CLAIMS: usize = 3;

async fn claim_or_find(
    db: &impl ConnectionTrait,
    call: &Call,
    response: Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>, ClaimError> {
    let insert =
        "INSERT INTO angarium_idempotency (caller, method, request_id, request_hash, response, created_at)
         VALUES ($1, $2, $3, $4, $5, {time}) ON CONFLICT DO NOTHING";
    let [caller, method, request_id] = call.key();
    let values: [Value; 5] = [
        caller,
        method,
        request_id,
        call.request_hash.as_str().into(),
        response.into(),
    ];
    for _ in 0..CLAIMS {
        if sql::execute(db, insert, values.clone()).await? == 1 {
            return Ok(None);
        }
        if let Some(answer) = answered(db, Some(call)).await? {
            return Ok(Some(answer));
        }
        // Its retention ended between the two statements.
    }
    let vanishes = "the answer to this request_id is deleted again and again";
    Err(DbErr::Custom(vanishes.to_owned()).into())
}

/// For expensive work before the transaction.
pub async fn answered(
    db: &impl ConnectionTrait,
    call: Option<&Call>,
) -> Result<Option<Vec<u8>>, ClaimError> {
    let Some(call) = call else {
        return Ok(None);
    };
    let select = "SELECT request_hash, response FROM angarium_idempotency
         WHERE caller = $1 AND method = $2 AND request_id = $3";
    let found = sql::query_one(db, select, call.key()).await?;
    let Some(row) = found else {
        return Ok(None);
    };
    if row.try_get::<String>("", "request_hash")? != call.request_hash {
        return Err(Reused.into());
    }
    let response: Option<Vec<u8>> = row.try_get("", "response")?;
    let unanswered =
        || DbErr::Type("angarium_idempotency.response is null after a commit".to_owned());
    Ok(Some(response.ok_or_else(unanswered)?))
}

/// Stores the answer to a claimed call. It must contain no secrets, and no personal data that may have to be erased
/// earlier.
pub async fn keep(
    db: &impl ConnectionTrait,
    call: Option<&Call>,
    response: Vec<u8>,
) -> Result<(), DbErr> {
    let Some(call) = call else {
        return Ok(());
    };
    let update = "UPDATE angarium_idempotency SET response = $4
         WHERE caller = $1 AND method = $2 AND request_id = $3";
    let [caller, method, request_id] = call.key();
    let values = [caller, method, request_id, response.into()];
    sql::execute(db, update, values).await?;
    Ok(())
}

impl From<Reused> for Status {
    fn from(reused: Reused) -> Self {
        status::request_id_reused(reused.to_string())
    }
}
