//! Which addresses other machines can reach.

use libp2p::{Multiaddr, multiaddr::Protocol};
use std::net::{IpAddr, Ipv4Addr};

/// An address that would be published in vain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
	"verifiers on other machines can't reach {address}: {reason}; give an address that they can reach with --announce (or with --listen, where this machine has it itself), such as /ip4/203.0.113.7/tcp/30400"
)]
pub struct Unreachable {
	address: Multiaddr,
	reason: &'static str,
}

/// Refuses an address at which other machines can't reach this one.
///
/// # Errors
///
/// The address with the reason: it is not an IP address with a TCP port, or one that means this machine, this link or
/// this private network alone.
pub fn ensure_reachable(address: &Multiaddr) -> Result<(), Unreachable> {
	let mut parts = address.iter();
	let reason = match (parts.next(), parts.next()) {
		(Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) => of_ip(ip.into(), port),
		(Some(Protocol::Ip6(ip)), Some(Protocol::Tcp(port))) => of_ip(ip.into(), port),
		_ => Some("it is not an IP address with a TCP port"),
	};
	match reason {
		Some(reason) => Err(Unreachable {
			address: address.clone(),
			reason,
		}),
		None => Ok(()),
	}
}

fn of_ip(ip: IpAddr, port: u16) -> Option<&'static str> {
	let reason = match ip {
		IpAddr::V4(ip) => of_ip4(ip),
		IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
			Some(ip) => of_ip4(ip),
			None if ip.is_unspecified() => Some(ALL),
			None if ip.is_loopback() => Some(SELF),
			None if ip.is_unicast_link_local() => Some(LINK),
			None if ip.is_unique_local() => Some(PRIVATE),
			None if ip.is_multicast() => Some(MANY),
			None => None,
		},
	};
	reason.or((port == 0).then_some("it has no port"))
}

const ALL: &str = "it stands for all addresses of a machine";
const SELF: &str = "to every machine it means itself";
const LINK: &str = "it is known on this machine's link alone";
const PRIVATE: &str = "it belongs to a private network";
const MANY: &str = "it is no machine's own";

fn of_ip4(ip: Ipv4Addr) -> Option<&'static str> {
	let [first, second, ..] = ip.octets();
	if first == 0 {
		Some(ALL)
	} else if ip.is_loopback() {
		Some(SELF)
	} else if ip.is_link_local() {
		Some(LINK)
	} else if ip.is_private() || (first == 100 && second & 0xc0 == 64) {
		// The latter is what providers share among customers (RFC 6598).
		Some(PRIVATE)
	} else if first >= 224 {
		Some(MANY)
	} else {
		None
	}
}

/// Whether an address stands for all addresses of this machine.
pub(crate) fn is_unspecified(address: &Multiaddr) -> bool {
	match address.iter().next() {
		Some(Protocol::Ip4(ip)) => ip.is_unspecified(),
		Some(Protocol::Ip6(ip)) => ip.is_unspecified(),
		_ => false,
	}
}

/// Whether an address means the machine itself.
pub(super) fn is_loopback(address: &Multiaddr) -> bool {
	match address.iter().next() {
		Some(Protocol::Ip4(ip)) => ip.is_loopback(),
		Some(Protocol::Ip6(ip)) => ip.is_loopback(),
		_ => false,
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn reason(address: &str) -> Option<&'static str> {
		let address = address.parse().unwrap();
		ensure_reachable(&address).err().map(|error| error.reason)
	}

	#[test]
	fn addresses_of_one_machine_or_network_should_be_refused() {
		for (address, expected) in [
			("/ip4/0.0.0.0/tcp/30400", ALL),
			("/ip4/0.1.2.3/tcp/30400", ALL),
			("/ip4/127.0.0.1/tcp/30400", SELF),
			("/ip4/127.255.1.2/tcp/30400", SELF),
			("/ip4/169.254.1.1/tcp/30400", LINK),
			("/ip4/10.0.0.1/tcp/30400", PRIVATE),
			("/ip4/172.16.0.1/tcp/30400", PRIVATE),
			("/ip4/172.31.255.255/tcp/30400", PRIVATE),
			("/ip4/192.168.1.1/tcp/30400", PRIVATE),
			("/ip4/100.64.0.1/tcp/30400", PRIVATE),
			("/ip4/100.127.0.1/tcp/30400", PRIVATE),
			("/ip4/224.0.0.1/tcp/30400", MANY),
			("/ip4/255.255.255.255/tcp/30400", MANY),
			("/ip6/::/tcp/30400", ALL),
			("/ip6/::1/tcp/30400", SELF),
			("/ip6/fe80::1/tcp/30400", LINK),
			("/ip6/fd00::1/tcp/30400", PRIVATE),
			("/ip6/ff02::1/tcp/30400", MANY),
			("/ip6/::ffff:192.168.1.1/tcp/30400", PRIVATE),
		] {
			assert_eq!(reason(address), Some(expected), "{address}");
		}
		for address in [
			"/ip4/203.0.113.7/tcp/0",
			"/ip4/203.0.113.7/udp/30400",
			"/ip4/203.0.113.7",
			"/dns4/localhost/tcp/30400",
			"/memory/1",
		] {
			assert!(reason(address).is_some(), "{address}");
		}
	}

	#[test]
	fn public_addresses_should_pass() {
		for address in [
			"/ip4/203.0.113.7/tcp/30400",
			"/ip4/100.63.255.255/tcp/1",
			"/ip4/100.128.0.1/tcp/1",
			"/ip4/172.32.0.1/tcp/65535",
			"/ip6/2001:db8::7/tcp/30400",
			"/ip4/203.0.113.7/tcp/30400/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
		] {
			assert_eq!(reason(address), None, "{address}");
		}
	}
}
