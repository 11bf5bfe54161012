//! Events as other services publish them.

use contracts::money::Money;
use contracts::order::v1::{OrderCancelled, OrderConfirmed, OrderLine, OrderPlaced, OrderShipped};
use contracts::user::v1::{
    EmailVerificationRequested, PasswordResetRequested, SessionStartedAtNewPlace, UserCreated,
    UserDeleted, UserPasswordChanged, UserRole, UserRoleChanged, UserUpdated,
};
use mail_codes::{MailCodes, Purpose};
use prost_types::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

use crate::fixture::sealing_key;

pub(crate) fn registered(email: &str, display_name: &str) -> UserCreated {
    UserCreated {
        user_id: Uuid::now_v7().to_string(),
        email: email.to_owned(),
        display_name: display_name.to_owned(),
        create_time: None,
    }
}

pub(crate) fn placed(user_id: &str) -> OrderPlaced {
    let eur = |units, nanos| Money {
        currency_code: "EUR".to_owned(),
        units,
        nanos,
    };
    OrderPlaced {
        order_id: Uuid::now_v7().to_string(),
        user_id: user_id.to_owned(),
        lines: vec![OrderLine {
            sku: "TEA-EARL-GREY".to_owned(),
            quantity: 2,
            unit_price: Some(eur(4, 500_000_000)),
        }],
        total_price: Some(eur(9, 0)),
        create_time: None,
    }
}

pub(crate) fn cancelled(user_id: &str, reason: &str) -> OrderCancelled {
    OrderCancelled {
        order_id: Uuid::now_v7().to_string(),
        user_id: user_id.to_owned(),
        reason: reason.to_owned(),
        cancel_time: None,
    }
}

pub(crate) fn confirmed(user_id: &str) -> OrderConfirmed {
    OrderConfirmed {
        order_id: Uuid::now_v7().to_string(),
        user_id: user_id.to_owned(),
        confirm_time: None,
    }
}

pub(crate) fn shipped(user_id: &str) -> OrderShipped {
    OrderShipped {
        order_id: Uuid::now_v7().to_string(),
        user_id: user_id.to_owned(),
        carrier: "Royal Mail".to_owned(),
        tracking_number: "RM 123".to_owned(),
        ship_time: None,
    }
}

pub(crate) fn moved(user: &UserCreated, email: &str) -> UserUpdated {
    UserUpdated {
        user_id: user.user_id.clone(),
        email: email.to_owned(),
        display_name: user.display_name.clone(),
        update_time: None,
        previous_email: user.email.clone(),
    }
}

pub(crate) fn password_changed(user: &UserCreated) -> UserPasswordChanged {
    UserPasswordChanged {
        user_id: user.user_id.clone(),
        change_time: None,
    }
}

pub(crate) fn became_admin(user: &UserCreated) -> UserRoleChanged {
    UserRoleChanged {
        user_id: user.user_id.clone(),
        role: UserRole::Admin.into(),
        previous_role: UserRole::User.into(),
        change_time: None,
    }
}

pub(crate) fn logged_in_elsewhere(user: &UserCreated) -> SessionStartedAtNewPlace {
    SessionStartedAtNewPlace {
        session_id: Uuid::now_v7().to_string(),
        user_id: user.user_id.clone(),
        client_network: "203.0.113.0/24".to_owned(),
        start_time: Some(in_the_future()),
    }
}

pub(crate) fn deleted(user: &UserCreated) -> UserDeleted {
    UserDeleted {
        user_id: user.user_id.clone(),
        delete_time: None,
    }
}

/// With a code that is valid for the duration of a test.
pub(crate) fn verification(user: &UserCreated, code: &str) -> EmailVerificationRequested {
    EmailVerificationRequested {
        verification_id: Uuid::now_v7().to_string(),
        user_id: user.user_id.clone(),
        email: user.email.clone(),
        display_name: user.display_name.clone(),
        sealed_code: sealed(Purpose::EmailVerification, &user.user_id, code),
        expire_time: Some(in_the_future()),
    }
}

pub(crate) fn reset(user: &UserCreated, code: &str) -> PasswordResetRequested {
    PasswordResetRequested {
        reset_id: Uuid::now_v7().to_string(),
        user_id: user.user_id.clone(),
        email: user.email.clone(),
        display_name: user.display_name.clone(),
        sealed_code: sealed(Purpose::PasswordReset, &user.user_id, code),
        expire_time: Some(in_the_future()),
    }
}

pub(crate) fn sealed(purpose: Purpose, user_id: &str, code: &str) -> Vec<u8> {
    let codes = MailCodes::new(&sealing_key());
    let code = SecretString::from(code);
    codes
        .seal(purpose, user_id.parse().unwrap(), &code)
        .unwrap()
}

fn in_the_future() -> Timestamp {
    Timestamp {
        seconds: 4_000_000_000,
        nanos: 0,
    }
}
