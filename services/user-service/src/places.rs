//! The place of a login: the network and the program of the client.
//!
//! The database keeps places as digests with the deployment's key, bound to the user: without the key, nothing shows
//! where a user was, or that two users were at one place.

use runtime::ClientAddress;
use runtime::sealed::{DigestKey, MasterKey};
use uuid::Uuid;

/// Longer than a session: a user who logs in at the end of each one is still known.
pub const KNOWN_FOR_MS: i64 = 180 * 24 * 3600 * 1_000;
/// No program has a longer name.
const MAX_PROGRAM_BYTES: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    network: String,
    program: String,
}

impl Place {
    /// Only the name of the program in `user-agent` counts: an update is no new place.
    pub fn new(address: ClientAddress, user_agent: &str) -> Self {
        let name = user_agent.split(['/', ' ']).next().unwrap_or_default();
        let end = name.floor_char_boundary(MAX_PROGRAM_BYTES);
        Self {
            network: address.network(),
            program: name[..end].to_lowercase(),
        }
    }

    pub fn network(&self) -> &str {
        &self.network
    }
}

#[derive(Clone)]
pub struct Places {
    digests: DigestKey,
}

impl Places {
    pub fn new(secret_key: &MasterKey) -> Self {
        Self {
            digests: secret_key.digest_key("places"),
        }
    }

    pub fn digest(&self, user_id: Uuid, place: &Place) -> String {
        let Place { network, program } = place;
        self.digests
            .digest(format!("{user_id} {network} {program}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(address: &str, user_agent: &str) -> Place {
        Place::new(ClientAddress::new(address.parse().unwrap()), user_agent)
    }

    #[test]
    fn an_update_of_the_program_is_no_new_place() {
        let before = place("203.0.113.7", "grpcurl/1.9.1 grpc-go/1.61.0");
        assert_eq!(before, place("203.0.113.250", "GRPCurl/1.9.2"));
        assert_ne!(before, place("203.0.114.7", "grpcurl/1.9.1"));
        assert_ne!(before, place("203.0.113.7", "tonic/0.14.2"));
        assert_eq!(place("203.0.113.7", ""), place("203.0.113.7", "/1"));
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let long = place("203.0.113.7", &"ä".repeat(99));
        assert_eq!(long.program, "ä".repeat(32));
    }

    #[test]
    fn two_users_at_one_place_have_different_digests() {
        let places = Places::new(&MasterKey::well_known("SECRET_KEY"));
        let place = place("203.0.113.7", "grpcurl/1.9.1");
        let digest = |user| places.digest(Uuid::from_u128(user), &place);
        assert_eq!(digest(1), digest(1));
        assert_ne!(digest(1), digest(2));
        assert!(!digest(1).contains("203"), "{}", digest(1));
    }
}
