//! The host of a URL as the network knows it.
//!
//! URLs keep the host as it was written: IPv6 addresses in brackets, other characters escaped. Resolvers and
//! certificates need the plain form.

use percent_encoding::percent_decode_str;
use url::Host;

const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// The form for a resolver: an IPv6 address without brackets, a name in ASCII. `None` if it is neither.
pub fn host_name(host: &str) -> Option<String> {
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = bracketed {
        let address: std::net::Ipv6Addr = address.parse().ok()?;
        return Some(address.to_string());
    }
    let decoded = percent_decode_str(host).decode_utf8().ok()?;
    match Host::parse(&decoded).ok()? {
        Host::Domain(name) if is_name(&name) => Some(name),
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(address.to_string()),
        Host::Ipv6(address) => Some(address.to_string()),
    }
}

/// With underscores, which the standard forbids and networks of containers use.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = |label: &str| {
        !label.is_empty() && label.len() <= LONGEST_LABEL && label.bytes().all(allowed)
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= LONGEST_NAME && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_the_form_that_resolvers_take() {
        for (given, expected) in [
            ("db", "db"),
            ("DB.example", "db.example"),
            ("db.example.", "db.example."),
            ("rabbit_1", "rabbit_1"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "::1"),
            ("[::ffff:127.0.0.2]", "::ffff:127.0.0.2"),
            ("b%C3%BCcher.example", "xn--bcher-kva.example"),
            ("bücher.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(host_name(given).as_deref(), Some(expected), "{given}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for given in [
            "",
            ".",
            "a..b",
            "a b",
            "a%20b",
            "a,b",
            "a%2Fb",
            "[::1",
            "[fe80::1%25eth0]",
            "999.1.1.1",
            "%ff",
            &"a".repeat(64),
        ] {
            assert_eq!(host_name(given), None, "{given}");
        }
    }
}
