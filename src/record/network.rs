use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// A network in the one form that addresses are compared in: without host bits, and IPv4 as IPv4.
pub(crate) fn parse_network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>();
    let network = network
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .ok()?;
    let canonical = match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => Ipv4Net::new(v4, v6.prefix_len() - 96).map_or(network, IpNet::V4),
            None => network,
        },
        _ => network,
    };
    Some(canonical.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_brought_into_one_form() {
        let cases = [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("203.0.113.7", "203.0.113.7/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.0.2.1/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("::1", "::1/128"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("2001:db8::1/32", "2001:db8::/32"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_network(text).unwrap().to_string(), expected, "{text}");
        }
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "010.0.0.1",
            "localhost",
            "10.0.0.0/8 ",
            "10.0.0.1:80",
            "[::1]",
            "fe80::1%eth0",
        ] {
            assert!(parse_network(text).is_none(), "{text:?}");
        }
    }
}
