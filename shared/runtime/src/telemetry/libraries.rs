//! The libraries with logs and spans of their own.

/// With many spans inside ours. An exporter's own spans and logs would feed themselves.
pub(super) const LIBRARIES: [&str; 12] = [
    "h2",
    "hyper",
    "hyper_util",
    "lapin",
    "opentelemetry",
    "opentelemetry_otlp",
    "opentelemetry_sdk",
    "sea_orm",
    "sea_orm_migration",
    "sqlx",
    "tonic",
    "tower",
];

pub(super) fn is_ours(target: &str) -> bool {
    let named = target.split("::").next().unwrap_or(target);
    !LIBRARIES.contains(&named)
}
