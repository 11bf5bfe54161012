//! Each status has its code, its reason and its details.

use super::*;

#[test]
fn every_status_names_domain_and_reason() {
    let second = Duration::from_secs(1);
    for (status, reason) in [
        (
            invalid_argument(vec![Violation::new("a", "b")]),
            "VALIDATION_FAILED",
        ),
        (request_id_reused("m".to_owned()), "REQUEST_ID_REUSED"),
        (not_found("GONE", "T", "n", "m"), "GONE"),
        (not_known_yet("LATE", "T", "n", "m", second), "LATE"),
        (already_exists("TAKEN", "T", "n", "m"), "TAKEN"),
        (failed_precondition("STATE", "T", "s", "d"), "STATE"),
        (aborted("RACE", "m"), "RACE"),
        (unavailable("DATABASE_AWAY", second), "DATABASE_AWAY"),
        (resource_exhausted("BUSY", second), "BUSY"),
        (internal(), "INTERNAL"),
        (unauthenticated(), "UNAUTHENTICATED"),
        (token_expired(), "TOKEN_EXPIRED"),
        (key_unknown(), "KEY_UNKNOWN"),
        (not_authenticated("WRONG", "m"), "WRONG"),
        (too_many_attempts(second), "TOO_MANY_ATTEMPTS"),
        (permission_denied(), "PERMISSION_DENIED"),
        (unknown_method(), "METHOD_UNKNOWN"),
        (deadline_exceeded(second), "DEADLINE_EXCEEDED"),
        (rate_limited("user:1", 5, second), "RATE_LIMITED"),
        (quota_exceeded("MANY", "user:1", "2 of it", second), "MANY"),
        (transaction_conflict(), "TRANSACTION_CONFLICT"),
        (database_full(), "DATABASE_FULL"),
        (unstorable_text(), "TEXT_NOT_STORABLE"),
    ] {
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(
            (info.domain.as_str(), info.reason.as_str()),
            (DOMAIN, reason)
        );
        assert!(!status.message().is_empty());
    }
}

#[test]
fn a_conflict_asks_for_another_try_and_shows_no_cause() {
    let status = transaction_conflict();
    assert_eq!(status.code(), Code::Aborted);
    let details = status.get_error_details();
    assert!(details.retry_info().unwrap().retry_delay > Some(Duration::ZERO));
    assert!(!status.message().contains("deadlock"));
}

#[test]
fn a_missing_resource_is_described() {
    let status = not_found("USER_NOT_FOUND", "User", "u-1", "there is no such user");
    assert_eq!(status.code(), Code::NotFound);
    let details = status.get_error_details();
    let resource = details.resource_info().unwrap();
    assert_eq!(resource.resource_type, "User");
    assert_eq!(resource.resource_name, "u-1");
}

#[test]
fn what_may_be_repeated_says_when() {
    let after = Duration::from_secs(3);
    for status in [
        unavailable("A", after),
        resource_exhausted("B", after),
        too_many_attempts(after),
        not_known_yet("C", "T", "n", "m", after),
        quota_exceeded("D", "user:1", "2 of it", after),
    ] {
        let details = status.get_error_details();
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(after));
    }
}

#[test]
fn a_failed_precondition_names_its_subject() {
    let status = failed_precondition(
        "ORDER_SHIPPED",
        "ORDER_STATE",
        "orders/1",
        "an order that is shipped cannot be cancelled",
    );
    assert_eq!(status.code(), Code::FailedPrecondition);
    let details = status.get_error_details();
    let violation = &details.precondition_failure().unwrap().violations[0];
    assert_eq!(violation.subject, "orders/1");
    assert_eq!(violation.r#type, "ORDER_STATE");
}

#[test]
fn what_the_caller_sent_is_repeated_in_part_only() {
    let name = "ä".repeat(100_000);
    let status = not_found("USER_NOT_FOUND", "User", &name, "there is no such user");
    assert!(status.details().len() < 2_000);
}
