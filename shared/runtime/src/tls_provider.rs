//! The one TLS provider of a process.

/// Makes `ring` the TLS provider of the process. Several libraries bring rustls; without a decision the first
/// connection panics. Deciding twice is harmless.
pub fn install_tls_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
