use std::net::{IpAddr, Ipv6Addr};

/// By what requests from `address` are told apart from others where anybody could have many addresses:
/// the address itself, or of IPv6 its network of 64 bits.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
        v4 => v4,
    }
}
