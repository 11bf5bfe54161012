//! The client address of a call, for throttling.

use std::net::IpAddr;

use tonic::Request;

/// The source of the client's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AddressSource {
    /// The peer of the connection is the client.
    #[default]
    Connection,
    /// The peer is our proxy, which appends the client's address to this header.
    Header(String),
}

impl AddressSource {
    /// The client's address; `unknown` if there is none, so all such clients share one.
    pub fn of<T>(&self, request: &Request<T>) -> String {
        let address = match self {
            Self::Connection => request.remote_addr().map(|addr| addr.ip()),
            Self::Header(name) => last_of(request, name),
        };
        address.map_or_else(|| "unknown".to_owned(), network)
    }
}

/// Only the last entry is the proxy's; earlier ones are claims of the client.
fn last_of<T>(request: &Request<T>, name: &str) -> Option<IpAddr> {
    let value = request.metadata().get_all(name).iter().next_back()?;
    let (_, last) = value
        .to_str()
        .ok()
        .map(|text| text.rsplit_once(',').unwrap_or(("", text)))?;
    last.trim().parse().ok()
}

/// An owner of one IPv6 address has a whole network.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(values: &[&str]) -> String {
        let mut request = Request::new(());
        for value in values {
            let metadata = request.metadata_mut();
            metadata.append("x-forwarded-for", value.parse().unwrap());
        }
        AddressSource::Header("x-forwarded-for".to_owned()).of(&request)
    }

    #[test]
    fn behind_a_proxy_its_own_word_counts_and_not_the_clients() {
        assert_eq!(forwarded(&["203.0.113.7"]), "203.0.113.7");
        assert_eq!(forwarded(&["198.51.100.1, 203.0.113.7"]), "203.0.113.7");
        assert_eq!(forwarded(&["198.51.100.1", "203.0.113.7"]), "203.0.113.7");
        for unreadable in [&[][..], &["localhost"], &["203.0.113.7,"]] {
            assert_eq!(forwarded(unreadable), "unknown");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        assert_eq!(
            forwarded(&["2001:db8::1"]),
            forwarded(&["2001:db8::ffff:1"])
        );
        assert_ne!(forwarded(&["2001:db8::1"]), forwarded(&["2001:db8:0:1::1"]));
        assert_eq!(forwarded(&["::ffff:203.0.113.7"]), "203.0.113.7");
    }
}
