//! The duration of an answer does not reveal whether an address is registered.

use std::time::{Duration, Instant};

use contracts::user::v1::AuthenticateRequest;
use contracts::user::v1::user_service_server::UserService as _;
use testkit::StoreKind;

use crate::bench::{Bench, from};
use crate::samples::ada;

const SAMPLES: u8 = 100;

/// In turns: other load of the machine affects both alike.
#[tokio::test]
async fn an_unknown_address_takes_as_long_as_a_wrong_password() {
    let bench = Bench::new(StoreKind::Sqlite).await;
    let created = bench.users.create_user(from("198.51.100.9", ada())).await;
    created.unwrap();
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    for sample in 0..SAMPLES {
        for (email, times) in [
            ("ada@example.com", &mut known),
            ("eve@example.com", &mut unknown),
        ] {
            let request = AuthenticateRequest {
                email: email.to_owned(),
                password: "a wrong password".to_owned(),
                ..AuthenticateRequest::default()
            };
            let request = from(&format!("203.0.{sample}.7"), request);
            let begun = Instant::now();
            bench.users.authenticate(request).await.unwrap_err();
            times.push(begun.elapsed());
        }
        // After every wait of either account.
        bench.wait(24 * 3600);
    }
    let (known, unknown) = (median(known), median(unknown));
    let difference = known.abs_diff(unknown);
    assert!(
        difference * 10 < known,
        "known {known:?}, unknown {unknown:?}"
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
