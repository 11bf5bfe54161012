//! Reads untrusted input as the services read it. Each function takes any bytes and panics if a guarantee is broken.
//!
//! The fuzz targets call these functions for hours; the property tests of this crate call them in every test run. A
//! target is one function here, one file in `fuzz/fuzz_targets` and one test.

#![forbid(unsafe_code)]

mod configuration;
mod events;
mod headers;
mod page_tokens;
mod requests;
mod tokens;

pub use configuration::configuration;
pub use events::event;
pub use headers::headers;
pub use page_tokens::page_token;
pub use requests::request;
pub use tokens::token;

/// The input as N lines; missing ones are empty.
fn lines<const N: usize>(bytes: &[u8]) -> [String; N] {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    std::array::from_fn(|_| lines.next().unwrap_or_default().to_owned())
}

/// The input's first byte as a choice, and the rest.
fn chosen<'a, T>(from: &'a [T], bytes: &'a [u8]) -> Option<(&'a T, &'a [u8])> {
    let (first, rest) = bytes.split_first()?;
    Some((from.get(usize::from(*first) % from.len().max(1))?, rest))
}
