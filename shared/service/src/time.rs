//! Converts between Unix milliseconds and `google.protobuf.Timestamp`.

use prost_types::Timestamp;

/// A time in Unix milliseconds as `Timestamp`. It may lie before 1970.
pub fn timestamp(unix_ms: i64) -> Timestamp {
    let nanos = unix_ms.rem_euclid(1000) * 1_000_000;
    Timestamp {
        seconds: unix_ms.div_euclid(1000),
        nanos: i32::try_from(nanos).unwrap_or_default(),
    }
}

/// A `Timestamp` in Unix milliseconds. A missing one counts as 1970.
pub fn unix_ms(time: Option<Timestamp>) -> i64 {
    let time = time.unwrap_or_default();
    let below = i64::from(time.nanos) / 1_000_000;
    time.seconds.saturating_mul(1000).saturating_add(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_in_time_keeps_its_milliseconds_before_1970_as_well() {
        for (unix_ms, seconds, nanos) in [
            (1_700_000_000_123, 1_700_000_000, 123_000_000),
            (0, 0, 0),
            // Nanos always count forward.
            (-1, -1, 999_000_000),
        ] {
            let time = timestamp(unix_ms);
            assert_eq!((time.seconds, time.nanos), (seconds, nanos));
            assert_eq!(super::unix_ms(Some(time)), unix_ms);
        }
        assert_eq!(unix_ms(None), 0);
    }
}
