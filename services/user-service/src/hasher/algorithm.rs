//! Argon2id with our costs, in memory that the caller provides.
//!
//! Guarantees: a hash needs one block of [`BLOCK_BYTES`]. The comparison takes the same time for a wrong password.

use argon2::password_hash::phc::{self, Output, ParamsString, Salt};
use argon2::password_hash::try_generate_salt;
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};

use super::verdict::{HashError, Verdict, failed};
use crate::password::{Attempt, PasswordHash};

// OWASP's choice for Argon2id: its minimum of memory with two passes.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

pub(super) const BLOCK_BYTES: u64 = MEMORY_KIB as u64 * 1_024;

/// Verified without a user, so that a login takes as long: our costs, and the hash of no account.
const NO_ACCOUNTS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$YW5nYXJpdW0tbm9ib2R5cw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// One hash at a time. Allocated on first use, then reused.
pub(super) type Memory = Vec<Block>;

pub(super) fn hash(password: &str, memory: &mut Memory) -> Result<PasswordHash, HashError> {
    let params = our_params()?;
    let salt = try_generate_salt().map_err(failed)?;
    let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
    let argon2 = Argon2::new(algorithm, version, params.clone());
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    fill(&argon2, password, &salt, &mut output, memory)?;
    let hash = phc::PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(version.into()),
        params: ParamsString::try_from(&params).map_err(failed)?,
        salt: Some(Salt::new(&salt).map_err(failed)?),
        hash: Some(Output::new(&output).map_err(failed)?),
    };
    Ok(PasswordHash::stored(hash.to_string()))
}

pub(super) fn verify(
    attempt: &Attempt,
    hash: Option<&PasswordHash>,
    memory: &mut Memory,
) -> Result<Verdict, HashError> {
    let known = hash.map_or(NO_ACCOUNTS_HASH, PasswordHash::expose);
    if !is_right(attempt, known, memory)? || hash.is_none() {
        return Ok(Verdict::Wrong);
    }
    let is_of_today = known.starts_with(&format!(
        "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$"
    ));
    let rehashed = if is_of_today {
        None
    } else {
        Some(self::hash(attempt.expose(), memory)?)
    };
    Ok(Verdict::Right { rehashed })
}

fn is_right(attempt: &Attempt, known: &str, memory: &mut Memory) -> Result<bool, HashError> {
    let known = phc::PasswordHash::new(known).map_err(failed)?;
    let (Some(salt), Some(expected)) = (&known.salt, &known.hash) else {
        return Err(failed("the stored hash has no salt or no output"));
    };
    let algorithm = Algorithm::try_from(known.algorithm.as_str()).map_err(failed)?;
    let version = known.version.map_or(Ok(Version::V0x10), Version::try_from);
    let params = Params::try_from(&known).map_err(failed)?;
    let argon2 = Argon2::new(algorithm, version.map_err(failed)?, params);
    let mut output = [0; Output::MAX_LENGTH];
    let output = &mut output[..expected.len()];
    fill(&argon2, attempt.expose(), salt, output, memory)?;
    // `Output` compares in constant time.
    Ok(Output::new(output).map_err(failed)? == *expected)
}

/// `memory` grows to our costs; the additional memory of a hash with higher costs is freed.
fn fill(
    argon2: &Argon2<'_>,
    password: &str,
    salt: &[u8],
    output: &mut [u8],
    memory: &mut Memory,
) -> Result<(), HashError> {
    let ours = our_params()?.block_count();
    let needed = argon2.params().block_count().max(ours);
    if memory.len() < needed {
        memory.reserve_exact(needed - memory.len());
        memory.resize(needed, Block::new());
    }
    let filled = argon2.hash_password_into_with_memory(
        password.as_bytes(),
        salt,
        output,
        memory.as_mut_slice(),
    );
    if memory.len() > ours {
        memory.truncate(ours);
        memory.shrink_to_fit();
    }
    filled.map_err(failed)
}

fn our_params() -> Result<Params, HashError> {
    Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(failed)
}
