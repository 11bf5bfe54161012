//! Amounts of money, exact to the nano unit, with checks for overflow: the range and form of `google.type.Money`.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    currency: String,
    /// Billionths of the currency's unit.
    nanos: i128,
}

const NANOS_PER_UNIT: i128 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMoney {
    #[error("must have a currency code of three capital letters (ISO 4217)")]
    Currency,
    #[error("must have nanos from 0 to 999999999")]
    Nanos,
    #[error("must not be negative")]
    Negative,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the amount is too large")]
pub struct TooLarge;

impl Money {
    /// Not negative, with a plausible currency.
    ///
    /// # Errors
    /// Names the invalid part.
    pub fn price(currency: &str, units: i64, nanos: i32) -> Result<Self, InvalidMoney> {
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(InvalidMoney::Currency);
        }
        if units < 0 || nanos < 0 {
            return Err(InvalidMoney::Negative);
        }
        if i128::from(nanos) >= NANOS_PER_UNIT {
            return Err(InvalidMoney::Nanos);
        }
        Ok(Self::stored(currency, units, nanos))
    }

    /// Validated when it was written.
    pub fn stored(currency: &str, units: i64, nanos: i32) -> Self {
        Self {
            currency: currency.to_owned(),
            nanos: i128::from(units) * NANOS_PER_UNIT + i128::from(nanos),
        }
    }

    pub fn currency(&self) -> &str {
        &self.currency
    }

    pub fn units(&self) -> i64 {
        // All constructors keep the amount in range.
        i64::try_from(self.nanos / NANOS_PER_UNIT).unwrap_or(i64::MAX)
    }

    /// Billionths beyond the whole units.
    pub fn nanos(&self) -> i32 {
        i32::try_from(self.nanos % NANOS_PER_UNIT).unwrap_or_default()
    }

    pub fn times(&self, quantity: u32) -> Result<Self, TooLarge> {
        self.with(self.nanos.checked_mul(quantity.into()).ok_or(TooLarge)?)
    }

    /// The caller ensures that the currencies are equal.
    pub fn plus(&self, other: &Self) -> Result<Self, TooLarge> {
        self.with(self.nanos.checked_add(other.nanos).ok_or(TooLarge)?)
    }

    fn with(&self, nanos: i128) -> Result<Self, TooLarge> {
        if i64::try_from(nanos / NANOS_PER_UNIT).is_err() {
            return Err(TooLarge);
        }
        Ok(Self {
            currency: self.currency.clone(),
            nanos,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur(units: i64, nanos: i32) -> Money {
        Money::price("EUR", units, nanos).unwrap()
    }

    #[test]
    fn nanos_carry_into_units() {
        let total = eur(0, 990_000_000).times(3).unwrap();
        assert_eq!((total.units(), total.nanos()), (2, 970_000_000));
        assert_eq!(total.plus(&eur(0, 30_000_000)), Ok(eur(3, 0)));
    }

    #[test]
    fn an_amount_out_of_range_is_refused_and_not_wrapped() {
        assert_eq!(eur(i64::MAX, 0).times(2), Err(TooLarge));
        assert_eq!(eur(i64::MAX, 999_999_999).plus(&eur(0, 1)), Err(TooLarge));
        assert_eq!(eur(i64::MAX, 0).times(1), Ok(eur(i64::MAX, 0)));
    }

    #[test]
    fn what_is_not_a_price_is_refused() {
        for currency in ["", "EU", "eur", "EURO", "€€€"] {
            assert_eq!(
                Money::price(currency, 1, 0),
                Err(InvalidMoney::Currency),
                "{currency}"
            );
        }
        assert_eq!(Money::price("EUR", -1, 0), Err(InvalidMoney::Negative));
        assert_eq!(Money::price("EUR", 0, -1), Err(InvalidMoney::Negative));
        assert_eq!(
            Money::price("EUR", 0, 1_000_000_000),
            Err(InvalidMoney::Nanos)
        );
    }
}
