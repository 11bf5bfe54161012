//! The address that a call comes from: the other end of its connection, or what a proxy of ours says. All limits count
//! by it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use tonic::Request;

/// A client's address; of IPv6 its network (/64), because the owner of one address has all of it. Unknown addresses
/// count as one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientAddress(Option<IpAddr>);

impl ClientAddress {
    /// Of a call without a known address.
    pub const UNKNOWN: Self = Self(None);

    /// The client at `address`.
    pub fn new(address: IpAddr) -> Self {
        Self(Some(network(address)))
    }

    /// As the server found it; unknown if the request did not pass the server.
    pub fn of<T>(request: &Request<T>) -> Self {
        let found = request.extensions().get::<Self>();
        found.copied().unwrap_or(Self::UNKNOWN)
    }

    /// As [`of`](Self::of), before the request is gRPC's.
    pub(crate) fn of_http<B>(request: &http::Request<B>) -> Self {
        let found = request.extensions().get::<Self>();
        found.copied().unwrap_or(Self::UNKNOWN)
    }

    /// Its network: the first 24 bits of IPv4, the first 64 of IPv6, or `unknown`. A household keeps it when its
    /// provider changes its address.
    pub fn network(self) -> String {
        match self.0 {
            Some(IpAddr::V4(v4)) => {
                let [a, b, c, _] = v4.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            _ => self.to_string(),
        }
    }

    /// Where a call comes from. A proxy of ours puts the address last in `header`; without one the client is the other
    /// end of the connection.
    pub(crate) fn find(headers: &HeaderMap, header: Option<&str>, peer: Option<IpAddr>) -> Self {
        let address = match header {
            None => peer,
            Some(name) => last_of(headers, name),
        };
        Self(address.map(network))
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("unknown"),
            Some(IpAddr::V4(v4)) => v4.fmt(f),
            Some(IpAddr::V6(v6)) => {
                let [a, b, c, d, ..] = v6.segments();
                write!(f, "{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        }
    }
}

/// Only the last one is the proxy's; the client claims the others.
fn last_of(headers: &HeaderMap, name: &str) -> Option<IpAddr> {
    let value = headers.get_all(name).iter().next_back()?;
    let text = value.to_str().ok()?;
    let (_, last) = text.rsplit_once(',').unwrap_or(("", text));
    last.trim().parse().ok()
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let peer = Some(IpAddr::from([192, 0, 2, 1]));
        ClientAddress::find(&headers, Some("x-forwarded-for"), peer).to_string()
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
    fn without_a_proxy_the_client_cannot_name_its_address() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "203.0.113.7".parse().unwrap());
        let peer = Some(IpAddr::from([192, 0, 2, 1]));
        let found = ClientAddress::find(&headers, None, peer);
        assert_eq!(found.to_string(), "192.0.2.1");
    }

    #[test]
    fn a_network_is_wider_than_an_address() {
        let network = |text: &str| ClientAddress::new(text.parse().unwrap()).network();
        assert_eq!(network("203.0.113.7"), "203.0.113.0/24");
        assert_eq!(network("::ffff:203.0.113.7"), "203.0.113.0/24");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(ClientAddress::UNKNOWN.network(), "unknown");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        assert_eq!(forwarded(&["2001:db8:1:2:3:4:5:6"]), "2001:db8:1:2::/64");
        assert_ne!(forwarded(&["2001:db8::1"]), forwarded(&["2001:db8:0:1::1"]));
        assert_eq!(forwarded(&["::ffff:203.0.113.7"]), "203.0.113.7");
    }
}
