//! Columns that no log may show, because rows have a public `Debug`.

use std::fmt;

use sea_orm::DeriveValueType;

#[derive(Clone, PartialEq, Eq, DeriveValueType)]
pub struct Sensitive(pub String);

impl fmt::Debug for Sensitive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}
