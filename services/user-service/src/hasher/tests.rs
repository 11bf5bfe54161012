//! Costs, verdicts, limits, and the order of service.

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};

use super::algorithm::BLOCK_BYTES;
use super::*;
use crate::password::InvalidPassword;

fn parse(text: &str) -> Result<Password, InvalidPassword> {
    Password::parse(text.into())
}

fn matches(hash: &PasswordHash, text: &str) -> bool {
    let verified = Argon2::default().verify_password(text.as_bytes(), hash.expose());
    verified.is_ok()
}

#[tokio::test]
async fn a_password_is_the_same_one_on_another_keyboard() {
    let hasher = Hasher::new(Limits::of_this_machine());
    let hash = hasher
        .hash(
            parse("cafe\u{301} ｎｏｉｒ").unwrap(),
            Priority::Registration,
        )
        .await;
    assert!(matches(&hash.unwrap(), "caf\u{e9} noir"));
}

#[tokio::test]
async fn a_hash_is_argon2id_with_our_costs_and_a_salt_of_its_own() {
    let hasher = Hasher::new(Limits::of_this_machine());
    let one = hasher
        .hash(parse("correct horse").unwrap(), Priority::Registration)
        .await
        .unwrap();
    let other = hasher
        .hash(parse("correct horse").unwrap(), Priority::Registration)
        .await
        .unwrap();
    for hash in [&one, &other] {
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(matches(hash, "correct horse"));
        assert!(!matches(hash, "correct horsf"));
    }
    assert_ne!(one.expose(), other.expose());
}

async fn verdict(text: &str, hash: Option<PasswordHash>) -> Verdict {
    let hasher = Hasher::new(Limits::of_this_machine());
    let attempt = Attempt::new(text.into());
    let turn = hasher.turn(Priority::Login).await.unwrap();
    turn.verify(attempt, hash).await.unwrap()
}

#[tokio::test]
async fn the_password_matches_in_any_form_and_no_other_matches() {
    let hasher = Hasher::new(Limits::of_this_machine());
    let hash = hasher
        .hash(parse("cafe\u{301} noir").unwrap(), Priority::Registration)
        .await
        .unwrap();
    let known = || Some(PasswordHash::stored(hash.expose().to_owned()));
    let right = verdict("caf\u{e9} noir", known()).await;
    assert!(matches!(right, Verdict::Right { rehashed: None }));
    for wrong in ["cafe noir", "", "caf\u{e9} noir "] {
        assert!(matches!(verdict(wrong, known()).await, Verdict::Wrong));
    }
    assert!(matches!(
        verdict("caf\u{e9} noir", None).await,
        Verdict::Wrong
    ));
}

#[tokio::test]
async fn a_hash_of_other_costs_is_made_anew_at_the_next_login() {
    let weak = Params::new(8_192, 1, 1, None).unwrap();
    let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, weak);
    let hash = weak.hash_password(b"correct horse").unwrap().to_string();
    let Verdict::Right { rehashed } =
        verdict("correct horse", Some(PasswordHash::stored(hash))).await
    else {
        panic!("it is the right password");
    };
    let rehashed = rehashed.unwrap();
    assert!(
        rehashed
            .expose()
            .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
    );
    assert!(matches(&rehashed, "correct horse"));
}

#[tokio::test]
async fn a_hash_that_cannot_be_read_is_a_fault_and_no_wrong_password() {
    let hasher = Hasher::new(Limits::of_this_machine());
    let broken = PasswordHash::stored("$argon2id$v=19$".to_owned());
    let turn = hasher.turn(Priority::Login).await.unwrap();
    let failed = turn.verify(Attempt::new("x".into()), Some(broken)).await;
    assert!(matches!(failed, Err(HashError::Failed(_))));
}

#[tokio::test]
async fn a_full_queue_refuses_new_callers_and_serves_the_others() {
    let hasher = Hasher::new(Limits {
        at_a_time: 1,
        waiting: 1,
    });
    let hash = || hasher.hash(parse("correct horse").unwrap(), Priority::Registration);
    // Polled in this order: the third finds one running and one waiting.
    let (first, second, third) = tokio::join!(hash(), hash(), hash());
    assert!(first.is_ok() && second.is_ok());
    assert!(matches!(third, Err(HashError::Busy)));
    assert!(hash().await.is_ok(), "the queue is empty again");
}

#[tokio::test]
async fn who_goes_away_leaves_the_queue() {
    let hasher = Hasher::new(Limits {
        at_a_time: 1,
        waiting: 1,
    });
    let hash = || hasher.hash(parse("correct horse").unwrap(), Priority::Registration);
    let gone = async {
        let mut waiting = Box::pin(hash());
        assert!(futures::poll!(&mut waiting).is_pending());
    };
    let (first, (), third) = tokio::join!(hash(), gone, hash());
    assert!(first.is_ok() && third.is_ok());
}

#[tokio::test]
async fn a_cancelled_hash_keeps_its_core_until_it_ends() {
    let hasher = Hasher::new(Limits {
        at_a_time: 1,
        waiting: 0,
    });
    let hash = || hasher.hash(parse("correct horse").unwrap(), Priority::Registration);
    let mut begun = Box::pin(hash());
    assert!(futures::poll!(&mut begun).is_pending());
    drop(begun);
    assert!(matches!(hash().await, Err(HashError::Busy)));
    while let Err(HashError::Busy) = hash().await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_hundred_at_once_use_the_same_two_blocks() {
    let hasher = Hasher::new(Limits {
        at_a_time: 2,
        waiting: 100,
    });
    for _ in 0..2 {
        let hash = || hasher.hash(parse("correct horse").unwrap(), Priority::Registration);
        let hashed = futures::future::join_all((0..50).map(|_| hash())).await;
        assert!(hashed.iter().all(Result::is_ok));
    }
    assert!(hasher.blocks() <= 2, "{}", hasher.blocks());
}

#[tokio::test]
async fn a_hash_of_higher_costs_leaves_a_block_of_our_size() {
    let mut memory = algorithm::Memory::new();
    let costly = Params::new(32_768, 1, 1, None).unwrap();
    let costly = Argon2::new(Algorithm::Argon2id, Version::V0x13, costly);
    let hash = costly.hash_password(b"correct horse").unwrap().to_string();
    let hash = PasswordHash::stored(hash);
    let attempt = Attempt::new("correct horse".into());
    let verdict = algorithm::verify(&attempt, Some(&hash), &mut memory).unwrap();
    assert!(matches!(verdict, Verdict::Right { rehashed: Some(_) }));
    assert_eq!(memory.len() as u64 * 1_024, BLOCK_BYTES);
    assert_eq!(memory.capacity(), memory.len());
}

#[tokio::test]
async fn logins_of_the_known_come_first_and_registrations_last() {
    let hasher = Hasher::new(Limits {
        at_a_time: 1,
        waiting: 10,
    });
    let busy = hasher.turn(Priority::Known).await.unwrap();
    let served = std::sync::Mutex::new(Vec::new());
    let serve = async |priority| {
        let _turn = hasher.turn(priority).await.unwrap();
        served.lock().unwrap().push(priority);
    };
    // Polled in this order, while the only slot is busy.
    tokio::join!(
        serve(Priority::Registration),
        serve(Priority::Login),
        serve(Priority::Known),
        serve(Priority::Registration),
        serve(Priority::Known),
        async { drop(busy) },
    );
    let expected = [
        Priority::Known,
        Priority::Known,
        Priority::Login,
        Priority::Registration,
        Priority::Registration,
    ];
    assert_eq!(served.into_inner().unwrap(), expected);
}

#[tokio::test]
async fn waiting_registrations_leave_room_for_logins() {
    let hasher = Hasher::new(Limits {
        at_a_time: 1,
        waiting: 1,
    });
    let busy = hasher.turn(Priority::Known).await.unwrap();
    let mut registration = Box::pin(hasher.turn(Priority::Registration));
    assert!(futures::poll!(&mut registration).is_pending());
    let refused = hasher.turn(Priority::Registration).await;
    assert!(matches!(refused, Err(HashError::Busy)));
    let mut login = Box::pin(hasher.turn(Priority::Login));
    assert!(futures::poll!(&mut login).is_pending());
    drop(busy);
    assert!(login.await.is_ok());
    assert!(registration.await.is_ok());
}

#[test]
fn hashes_at_a_time_fit_the_cores_and_half_of_the_memory() {
    let at_a_time = |cores, limit| Limits::fitting(cores, limit).at_a_time;
    assert_eq!(at_a_time(2, None), 2);
    assert_eq!(at_a_time(2, Some(256 << 20)), 2);
    assert_eq!(at_a_time(64, Some(256 << 20)), 6);
    assert_eq!(at_a_time(64, Some(16 << 20)), 1);
}
