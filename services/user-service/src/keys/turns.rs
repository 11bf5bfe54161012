//! Decides which key signs, and when the next key is due. Pure.
//!
//! Guarantee: while there is a key with a turn now or later, a key signs. A clock that was ahead or is set back leaves
//! keys with turns in the far future; these do not block logins.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) from_ms: i64,
    pub(super) until_ms: i64,
}

impl Turn {
    fn is_at(self, now_ms: i64) -> bool {
        self.from_ms <= now_ms && now_ms < self.until_ms
    }
}

/// The key with a turn now, otherwise the one with the next turn.
pub(super) fn signing(turns: &[Turn], now_ms: i64) -> Option<usize> {
    let earliest = |wanted: &dyn Fn(&Turn) -> bool| {
        let candidates = turns.iter().enumerate().filter(|(_, turn)| wanted(turn));
        candidates
            .min_by_key(|(_, turn)| turn.from_ms)
            .map(|(place, _)| place)
    };
    earliest(&|turn| turn.is_at(now_ms)).or_else(|| earliest(&|turn| turn.from_ms > now_ms))
}

/// The first time without a turn, also before a later turn. `None` if the time until `ahead_ms` from now is covered.
pub(super) fn missing_from(turns: &[Turn], now_ms: i64, ahead_ms: i64) -> Option<i64> {
    let mut covered_until = now_ms;
    while let Some(turn) = turns.iter().find(|turn| turn.is_at(covered_until)) {
        covered_until = turn.until_ms;
    }
    (covered_until <= now_ms + ahead_ms).then_some(covered_until)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOW: i64 = 1_800_000_000_000;
    const MONTH: i64 = 30 * 24 * HOUR;

    fn turn(from_ms: i64, until_ms: i64) -> Turn {
        Turn { from_ms, until_ms }
    }

    #[test]
    fn the_first_key_signs_at_once() {
        assert_eq!(signing(&[], NOW), None);
        assert_eq!(missing_from(&[], NOW, HOUR), Some(NOW));
    }

    #[test]
    fn a_successor_is_due_an_hour_ahead_and_signs_from_the_end_on() {
        let until = NOW + MONTH;
        let first = turn(NOW, until);
        assert_eq!(missing_from(&[first], until - HOUR - 1, HOUR), None);
        assert_eq!(missing_from(&[first], until - HOUR, HOUR), Some(until));
        let both = [first, turn(until, until + MONTH)];
        assert_eq!(missing_from(&both, until - HOUR, HOUR), None);
        assert_eq!(signing(&both, until - 1), Some(0));
        assert_eq!(signing(&both, until), Some(1));
    }

    #[test]
    fn a_key_of_a_clock_that_was_ahead_signs_until_there_is_another() {
        for ahead in [1, HOUR / 2, 2 * HOUR, 365 * 24 * HOUR] {
            let from = NOW + ahead;
            let of_the_future = turn(from, from + MONTH);
            assert_eq!(signing(&[of_the_future], NOW), Some(0), "{ahead}");
            assert_eq!(missing_from(&[of_the_future], NOW, HOUR), Some(NOW));
            let both = [of_the_future, turn(NOW, NOW + MONTH)];
            assert_eq!(signing(&both, NOW), Some(1));
            assert_eq!(missing_from(&both, NOW, HOUR), None);
        }
    }

    #[test]
    fn what_is_over_does_not_sign() {
        assert_eq!(signing(&[turn(NOW - HOUR, NOW)], NOW), None);
        assert_eq!(missing_from(&[turn(NOW - HOUR, NOW)], NOW, HOUR), Some(NOW));
    }
}
