//! Which mails a user wants. Pure.
//!
//! All mails are wanted until the user changes it. Mails that protect the account are always sent.

use runtime::FieldMask;
use uuid::Uuid;

use crate::notification::Kind;

/// The fields that an update may change, by their proto names.
pub const WRITABLE: [&str; 4] = [
    "order_placed_mails",
    "order_confirmed_mails",
    "order_shipped_mails",
    "order_cancelled_mails",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences {
    pub user_id: Uuid,
    pub wanted: Wanted,
    /// 0 without a change, then one more per change.
    pub version: i64,
    pub updated_at_ms: Option<i64>,
}

/// The optional kinds of mails, in the order of [`WRITABLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub order_placed: bool,
    pub order_confirmed: bool,
    pub order_shipped: bool,
    pub order_cancelled: bool,
}

/// The values of a request, in the same order.
pub type Given = [Option<bool>; 4];

impl Default for Wanted {
    fn default() -> Self {
        Self {
            order_placed: true,
            order_confirmed: true,
            order_shipped: true,
            order_cancelled: true,
        }
    }
}

impl Wanted {
    /// Whether to send a mail of this kind.
    pub fn includes(self, kind: Kind) -> bool {
        match kind {
            Kind::OrderPlaced => self.order_placed,
            Kind::OrderConfirmed => self.order_confirmed,
            Kind::OrderShipped => self.order_shipped,
            Kind::OrderCancelled => self.order_cancelled,
            Kind::Welcome
            | Kind::EmailVerification
            | Kind::PasswordReset
            | Kind::AccountDeleted => true,
        }
    }
}

impl Preferences {
    /// The preferences of a user who has never changed them.
    pub fn unchanged(user_id: Uuid) -> Self {
        Self {
            user_id,
            wanted: Wanted::default(),
            version: 0,
            updated_at_ms: None,
        }
    }

    /// Applies the fields that `mask` selects. A selected field without a value becomes true, the initial value.
    pub fn change(&mut self, given: Given, mask: &FieldMask, now_ms: i64) {
        let places = [
            &mut self.wanted.order_placed,
            &mut self.wanted.order_confirmed,
            &mut self.wanted.order_shipped,
            &mut self.wanted.order_cancelled,
        ];
        for ((place, given), field) in places.into_iter().zip(given).zip(WRITABLE) {
            if mask.writes(field, given.is_some()) {
                *place = given.unwrap_or(true);
            }
        }
        self.version += 1;
        self.updated_at_ms = Some(now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mails_about_orders_can_be_refused() {
        let nothing = Wanted {
            order_placed: false,
            order_confirmed: false,
            order_shipped: false,
            order_cancelled: false,
        };
        for kind in Kind::ALL {
            assert!(Wanted::default().includes(kind), "{kind:?}");
            let is_about_an_order = format!("{kind:?}").starts_with("Order");
            assert_eq!(nothing.includes(kind), !is_about_an_order, "{kind:?}");
        }
    }

    #[test]
    fn a_change_writes_what_its_mask_selects() {
        let given = [Some(false), None, Some(true), None];
        let mut preferences = Preferences::unchanged(Uuid::nil());
        preferences.change(given, &FieldMask::Populated, 7);
        let expected = Wanted {
            order_placed: false,
            ..Wanted::default()
        };
        assert_eq!(preferences.wanted, expected);
        assert_eq!(
            (preferences.version, preferences.updated_at_ms),
            (1, Some(7))
        );

        let named = FieldMask::Named(["order_cancelled_mails"].into());
        preferences.change([None, None, None, Some(false)], &named, 8);
        assert!(!preferences.wanted.order_placed && !preferences.wanted.order_cancelled);
        preferences.change([None; 4], &FieldMask::All, 9);
        assert_eq!(preferences.wanted, Wanted::default());
        assert_eq!(preferences.version, 3);
    }
}
