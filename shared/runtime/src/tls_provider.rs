//! The TLS provider of the process.

/// Makes `ring` the TLS provider of the process: without a choice, the first connection of rustls panics. A repeated
/// call is harmless.
pub fn install_tls_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
