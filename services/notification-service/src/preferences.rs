//! Which mails a user wants. Pure. All mails are wanted until the user changes it. The table of [`kinds`](crate::kinds)
//! says which can be refused.

use std::collections::BTreeSet;

use runtime::FieldMask;
use uuid::Uuid;

use crate::kinds::Kind;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences {
    pub user_id: Uuid,
    pub wanted: Wanted,
    /// 0 without a change, then one more per change.
    pub version: i64,
    pub updated_at_ms: Option<i64>,
}

/// All mails except the refused ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    refused: BTreeSet<Kind>,
    /// Names that only a later release knows. They are kept for it.
    pub unknown: BTreeSet<String>,
}

/// For each kind that can be refused.
pub type Given = Vec<(Kind, Option<bool>)>;

/// By their proto names.
pub fn writable() -> Vec<&'static str> {
    Kind::refusable().map(|(_, choice)| choice.field).collect()
}

impl Wanted {
    /// A refusal of a mail that is always sent has no effect.
    pub fn includes(&self, kind: Kind) -> bool {
        kind.row().refusable.is_none() || !self.refused.contains(&kind)
    }

    pub fn set(&mut self, kind: Kind, is_wanted: bool) {
        if is_wanted {
            self.refused.remove(&kind);
        } else {
            self.refused.insert(kind);
        }
    }

    pub fn refused(&self) -> impl Iterator<Item = Kind> {
        self.refused.iter().copied()
    }
}

impl Preferences {
    pub fn unchanged(user_id: Uuid) -> Self {
        Self {
            user_id,
            wanted: Wanted::default(),
            version: 0,
            updated_at_ms: None,
        }
    }

    /// A selected field without a value becomes true, the initial value.
    pub fn change(&mut self, given: &Given, mask: &FieldMask, now_ms: i64) {
        for (kind, choice) in Kind::refusable() {
            let given = given.iter().find(|(named, _)| *named == kind);
            let given = given.and_then(|(_, value)| *value);
            if mask.writes(choice.field, given.is_some()) {
                self.wanted.set(kind, given.unwrap_or(true));
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
        let refusable: Vec<Kind> = Kind::refusable().map(|(kind, _)| kind).collect();
        for kind in Kind::all() {
            let is_about_an_order = format!("{kind:?}").starts_with("Order");
            assert_eq!(refusable.contains(&kind), is_about_an_order, "{kind:?}");
        }
    }

    #[test]
    fn a_change_writes_what_its_mask_selects() {
        let given = vec![
            (Kind::OrderPlaced, Some(false)),
            (Kind::OrderConfirmed, None),
            (Kind::OrderShipped, Some(true)),
        ];
        let mut preferences = Preferences::unchanged(Uuid::nil());
        preferences.change(&given, &FieldMask::Populated, 7);
        let refused: Vec<Kind> = preferences.wanted.refused().collect();
        assert_eq!(refused, [Kind::OrderPlaced]);
        assert_eq!(
            (preferences.version, preferences.updated_at_ms),
            (1, Some(7))
        );

        let named = FieldMask::Named(["order_cancelled_mails"].into());
        let given = vec![
            (Kind::OrderPlaced, Some(true)),
            (Kind::OrderCancelled, Some(false)),
        ];
        preferences.change(&given, &named, 8);
        let refused: Vec<Kind> = preferences.wanted.refused().collect();
        assert_eq!(refused, [Kind::OrderPlaced, Kind::OrderCancelled]);
        preferences.change(&Vec::new(), &FieldMask::All, 9);
        assert_eq!(preferences.wanted, Wanted::default());
        assert_eq!(preferences.version, 3);
    }

    #[test]
    fn a_mail_that_is_always_sent_cannot_be_refused() {
        let mut wanted = Wanted::default();
        for kind in Kind::all() {
            assert!(wanted.includes(kind), "{kind:?}");
            wanted.set(kind, false);
            let is_sent = kind.row().refusable.is_none();
            assert_eq!(wanted.includes(kind), is_sent, "{kind:?}");
        }
    }
}
