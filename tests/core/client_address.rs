use std::net::IpAddr;

use keygate::{ClientAddress, ClientAddressError};
use proptest::collection::vec;
use proptest::prelude::*;

const PROXIES: [&str; 4] = [
    "10.0.0.0/8",
    "::1",
    "2001:db8:ffff::/48",
    "::ffff:127.0.0.1",
];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn resolve(source: &ClientAddress, peer: &str, lines: &[(&str, &[u8])]) -> Option<IpAddr> {
    source.resolve(Some(ip(peer)), lines.iter().copied())
}

/// What becomes of a request from the proxy 10.0.0.2 with these lines of the field.
fn walk(source: &ClientAddress, name: &str, lines: &[&str]) -> Option<IpAddr> {
    let lines: Vec<_> = lines.iter().map(|line| (name, line.as_bytes())).collect();
    resolve(source, "10.0.0.2", &lines)
}

#[test]
fn the_peer_is_the_client_where_no_proxy_is_trusted_whatever_fields_say() {
    let forged: [(&str, &[u8]); 3] = [
        ("X-Forwarded-For", b"192.0.2.1"),
        ("Forwarded", b"for=192.0.2.1"),
        ("X-Real-IP", b"192.0.2.1"),
    ];
    for source in [
        ClientAddress::peer(),
        ClientAddress::peer().forwarded(),
        ClientAddress::behind(["172.16.0.0/12"]),
        ClientAddress::behind(["172.16.0.0/12"]).forwarded(),
    ] {
        for (peer, expected) in [
            ("10.0.0.2", "10.0.0.2"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:10.0.0.2", "10.0.0.2"),
        ] {
            assert_eq!(
                resolve(&source, peer, &forged),
                Some(ip(expected)),
                "{source:?}"
            );
        }
        assert_eq!(source.resolve(None, forged), None, "{source:?}");
    }
}

#[test]
fn proxies_are_recognised_in_every_form_of_their_address() {
    let lines: [(&str, &[u8]); 1] = [("x-forwarded-for", b"192.0.2.1")];
    let source = ClientAddress::behind(PROXIES);
    for peer in [
        "10.9.9.9",
        "::ffff:10.0.0.2",
        "::1",
        "127.0.0.1",
        "2001:db8:ffff:1::7",
    ] {
        assert_eq!(
            resolve(&source, peer, &lines),
            Some(ip("192.0.2.1")),
            "{peer}"
        );
    }
    for peer in ["11.0.0.1", "::2", "127.0.0.2", "2001:db8::1", "::10.0.0.1"] {
        assert_eq!(resolve(&source, peer, &lines), Some(ip(peer)), "{peer}");
    }
}

#[test]
fn x_forwarded_for_is_walked_from_the_right_up_to_whom_nobody_trusts() {
    let source = ClientAddress::behind(PROXIES);
    let cases: [(&[&str], Option<&str>); 45] = [
        (&[], Some("10.0.0.2")),
        (&["192.0.2.1"], Some("192.0.2.1")),
        (&["198.51.100.9, 192.0.2.1"], Some("192.0.2.1")),
        (&["198.51.100.9,192.0.2.1,10.1.1.1"], Some("192.0.2.1")),
        (
            &["198.51.100.9", "192.0.2.1", "10.1.1.1"],
            Some("192.0.2.1"),
        ),
        (
            &["198.51.100.9, 192.0.2.1", "10.1.1.1, ::1"],
            Some("192.0.2.1"),
        ),
        (
            &["192.0.2.1", "10.1.1.1, 198.51.100.9"],
            Some("198.51.100.9"),
        ),
        // All are trusted: the leftmost.
        (&["10.3.3.3"], Some("10.3.3.3")),
        (&["10.3.3.3, ::1", "10.1.1.1"], Some("10.3.3.3")),
        (&["::1", "10.3.3.3, 10.1.1.1"], Some("::1")),
        // What is further to the left does not matter.
        (&["nonsense, 192.0.2.1"], Some("192.0.2.1")),
        (&[",,, 192.0.2.1, ::1"], Some("192.0.2.1")),
        (&["\"", "192.0.2.1"], Some("192.0.2.1")),
        (&["", "192.0.2.1"], Some("192.0.2.1")),
        // Forms.
        (&[" \t192.0.2.1\t "], Some("192.0.2.1")),
        (&["192.0.2.1:80"], Some("192.0.2.1")),
        (&["192.0.2.1:65535"], Some("192.0.2.1")),
        (&["2001:db8::1"], Some("2001:db8::1")),
        (&["2001:DB8:0:0::0:1"], Some("2001:db8::1")),
        (&["[2001:db8::1]"], Some("2001:db8::1")),
        (&["[2001:db8::1]:80"], Some("2001:db8::1")),
        (&["\"[2001:db8::1]:80\""], Some("2001:db8::1")),
        (&["::ffff:192.0.2.1"], Some("192.0.2.1")),
        (&["[::ffff:192.0.2.1]:80"], Some("192.0.2.1")),
        (&["192.0.2.1, ::ffff:10.0.0.9"], Some("192.0.2.1")),
        // What is no address, and is met.
        (&[""], None),
        (&["192.0.2.1,"], None),
        (&["192.0.2.1", ""], None),
        (&["192.0.2.1, , 10.1.1.1"], None),
        (&["unknown"], None),
        (&["192.0.2.1, unknown"], None),
        (&["192.0.2.1, _hidden, 10.1.1.1"], None),
        (&["example.com"], None),
        (&["192.0.2.1 198.51.100.1"], None),
        (&["192.0.2"], None),
        (&["192.0.2.01"], None),
        (&["3221225985"], None),
        (&["192.0.2.1:"], None),
        (&["192.0.2.1:+80"], None),
        (&["192.0.2.1:65536"], None),
        (&["192.0.2.1:_port"], None),
        (&["[192.0.2.1]"], None),
        (&["[2001:db8::1"], None),
        (&["[2001:db8::1]80"], None),
        (&["fe80::1%eth0"], None),
    ];
    for (lines, expected) in cases {
        let found = walk(&source, "X-Forwarded-For", lines);
        assert_eq!(found, expected.map(ip), "{lines:?}");
    }
    let bytes: &[u8] = b"\xff192.0.2.1";
    assert_eq!(
        resolve(&source, "10.0.0.2", &[("x-forwarded-for", bytes)]),
        None
    );
}

#[test]
fn forwarded_is_walked_as_rfc_7239_has_it() {
    let source = ClientAddress::behind(PROXIES).forwarded();
    let cases: [(&[&str], Option<&str>); 51] = [
        (&[], Some("10.0.0.2")),
        (&["for=192.0.2.1"], Some("192.0.2.1")),
        (
            &["For=192.0.2.1;proto=http;by=203.0.113.43"],
            Some("192.0.2.1"),
        ),
        (
            &["proto=http;by=203.0.113.43;FOR=192.0.2.1"],
            Some("192.0.2.1"),
        ),
        (&["for=192.0.2.1; proto=http ;by=_x"], Some("192.0.2.1")),
        (&["for=192.0.2.1;"], Some("192.0.2.1")),
        (&[";;for=192.0.2.1"], Some("192.0.2.1")),
        (&["for=\"192.0.2.1\""], Some("192.0.2.1")),
        (&["for=\"192.0.2.1:80\""], Some("192.0.2.1")),
        (&["for=\"192.0.2.1:_http.a-b\""], Some("192.0.2.1")),
        (
            &["for=\"[2001:db8:cafe::17]:4711\""],
            Some("2001:db8:cafe::17"),
        ),
        (&["for=\"[2001:db8::1]\""], Some("2001:db8::1")),
        (&["for=\"[::ffff:192.0.2.1]\""], Some("192.0.2.1")),
        (&["for=\"\\1\\9\\2.0.2.1\""], Some("192.0.2.1")),
        (&["for=198.51.100.9, for=192.0.2.1"], Some("192.0.2.1")),
        (
            &["for=198.51.100.9, for=192.0.2.1;by=_a, for=10.1.1.1"],
            Some("192.0.2.1"),
        ),
        (
            &["for=192.0.2.1", "for=10.1.1.1, for=\"[::1]\""],
            Some("192.0.2.1"),
        ),
        (&["for=10.3.3.3, for=10.1.1.1"], Some("10.3.3.3")),
        // Quoted commas and semicolons separate nothing.
        (
            &["for=192.0.2.1;host=\"a, for=198.51.100.9\""],
            Some("192.0.2.1"),
        ),
        (
            &["host=\"a;for=198.51.100.9\";for=192.0.2.1"],
            Some("192.0.2.1"),
        ),
        (
            &["host=\"a\\\", for=198.51.100.9\";for=192.0.2.1"],
            Some("192.0.2.1"),
        ),
        (
            &["for=192.0.2.1;host=\"\\\\\", for=10.1.1.1"],
            Some("192.0.2.1"),
        ),
        (
            &["for=192.0.2.1;host=\"\\\\\\\", for=10.1.1.1\""],
            Some("192.0.2.1"),
        ),
        (&["for=192.0.2.1;host=\"\""], Some("192.0.2.1")),
        // What is further to the left does not matter, and cannot swallow what is not.
        (&["nonsense, for=192.0.2.1"], Some("192.0.2.1")),
        (&["for=\"198.51.100.9, for=192.0.2.1"], Some("192.0.2.1")),
        (
            &["for=\"198.51.100.9\\, for=\"[2001:db8::1]\""],
            Some("2001:db8::1"),
        ),
        (
            &["for=198.51.100.9;x=\"", "for=192.0.2.1"],
            Some("192.0.2.1"),
        ),
        (
            &["for=198.51.100.9;x=\", for=192.0.2.1;host=\",for=198.51.100.8\""],
            Some("192.0.2.1"),
        ),
        // What is no address, and is met.
        (&[""], None),
        (&["for=192.0.2.1,"], None),
        (&["for=192.0.2.1, ,for=10.1.1.1"], None),
        (&["for=unknown"], None),
        (&["for=192.0.2.1, for=unknown"], None),
        (&["for=192.0.2.1, for=_SEVKISEK"], None),
        (&["for=192.0.2.1, proto=http"], None),
        (&["192.0.2.1"], None),
        (&["for"], None),
        (&["for="], None),
        (&["for =192.0.2.1"], None),
        (&["for=192.0.2.1:80"], None),
        (&["for=[2001:db8::1]"], None),
        (&["for=\"2001:db8::1\""], None),
        (&["for=\"[fe80::1%25eth0]\""], None),
        (&["for=\"192.0.2.1"], None),
        (&["for=\"192.0.2.1\\"], None),
        (&["for=\"192.0.2.1\\\\\""], None),
        (&["for=\"192.0.2.1\"x"], None),
        (&["for=\"192.0.2.1:_\""], None),
        (&["for=192.0.2.1;for=198.51.100.9"], None),
        (&["for=192.0.2.1 198.51.100.9"], None),
    ];
    for (lines, expected) in cases {
        let found = walk(&source, "Forwarded", lines);
        assert_eq!(found, expected.map(ip), "{lines:?}");
    }
    let long = format!("for=\"192.0.2.1:_{}\"", "a".repeat(1_000));
    assert_eq!(walk(&source, "Forwarded", &[&long]), None);
}

#[test]
fn only_the_field_that_is_configured_counts_under_its_own_name() {
    let lines: [(&str, &[u8]); 6] = [
        ("X_Forwarded_For", b"203.0.113.1"),
        ("x-FORWARDED-for", b"192.0.2.1"),
        ("X-Forwarded-For-", b"203.0.113.2"),
        ("X-Real-IP", b"203.0.113.3"),
        ("forwarDED", b"for=198.51.100.9"),
        ("X-Forwarded", b"for=203.0.113.4"),
    ];
    let source = ClientAddress::behind(PROXIES);
    assert_eq!(resolve(&source, "::1", &lines), Some(ip("192.0.2.1")));
    let source = source.forwarded();
    assert_eq!(resolve(&source, "::1", &lines), Some(ip("198.51.100.9")));
}

#[test]
fn proxies_that_cannot_be_trusted_are_named_and_no_address_is_known() {
    let not_a_network = |text: &str| ClientAddressError::NotANetwork(text.into());
    let everybody = |text: &str| ClientAddressError::Everybody(text.into());
    let cases: [(&[&str], ClientAddressError); 9] = [
        (&[], ClientAddressError::Nobody),
        (&["10.0.0.0/8", ""], not_a_network("")),
        (&["10.0.0.0/33"], not_a_network("10.0.0.0/33")),
        (&["nginx"], not_a_network("nginx")),
        (&["10.0.0.1:80"], not_a_network("10.0.0.1:80")),
        (&["0.0.0.0/0"], everybody("0.0.0.0/0")),
        (&["10.0.0.0/8", "10.0.0.0/0"], everybody("10.0.0.0/0")),
        (&["::/0"], everybody("::/0")),
        (&["::ffff:0:0/96"], everybody("::ffff:0:0/96")),
    ];
    for (proxies, expected) in cases {
        let source = ClientAddress::behind(proxies);
        let error = source.check().unwrap_err();
        assert_eq!(error, expected);
        assert!(error.to_string().contains("client_address"), "{error}");
        assert_eq!(
            walk(&source, "X-Forwarded-For", &["192.0.2.1"]),
            None,
            "{proxies:?}"
        );
    }
    assert_eq!(ClientAddress::behind(PROXIES).check(), Ok(()));
    assert_eq!(ClientAddress::peer().check(), Ok(()));
}

#[test]
fn long_fields_are_walked_in_one_go() {
    // Were it quadratic, this would take minutes.
    let source = ClientAddress::behind(PROXIES);
    let all_trusted = "10.0.0.3,".repeat(200_000) + "10.0.0.3";
    let found = walk(&source, "X-Forwarded-For", &[&all_trusted]);
    assert_eq!(found, Some(ip("10.0.0.3")));
    let source = source.forwarded();
    let all_trusted = "for=10.0.0.3,".repeat(200_000) + "for=10.0.0.3";
    let found = walk(&source, "Forwarded", &[&all_trusted]);
    assert_eq!(found, Some(ip("10.0.0.3")));
    let escapes = format!(
        "for=192.0.2.1;x=\"{}\", for=10.0.0.3",
        "\\\\\\\"".repeat(200_000)
    );
    assert_eq!(
        walk(&source, "Forwarded", &[&escapes]),
        Some(ip("192.0.2.1"))
    );
}

/// Text of what such fields are made of, in any order.
fn mess() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "for=",
        "FOR=",
        "by=",
        ";",
        ",",
        " ",
        "\t",
        "\"",
        "\\",
        "\\\"",
        "_x",
        "unknown",
        "192.0.2.1",
        "10.0.0.3",
        "::1",
        "[::1]",
        "[",
        "]",
        ":",
        ":80",
        "=",
        "%",
        "a",
        "\u{e9}",
        "2001:db8::1",
    ]);
    vec(parts, 0..24).prop_map(|parts| parts.concat())
}

/// An address, and whether the proxies trust it.
fn address() -> impl Strategy<Value = (IpAddr, bool)> {
    prop_oneof![
        any::<[u8; 3]>().prop_map(|[a, b, c]| (IpAddr::from([10, a, b, c]), true)),
        any::<u8>().prop_map(|a| (IpAddr::from([192, 0, 2, a]), false)),
        any::<u16>().prop_map(|a| (IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, a]), false)),
        any::<u16>().prop_map(|a| (IpAddr::from([0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, a]), true)),
    ]
}

/// How proxies write an address as an element of the field.
fn element(address: IpAddr, forwarded: bool, form: u8) -> String {
    let node = match address {
        IpAddr::V4(v4) if form & 1 == 1 => format!("[{}]", v4.to_ipv6_mapped()),
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    };
    let node = if form & 2 == 2 { node + ":4711" } else { node };
    match (forwarded, form & 4 == 4) {
        (false, _) => node,
        (true, false) => format!("for=\"{node}\""),
        (true, true) => format!("by=_p;host=\"a,b;c=\\\"d\\\\\";For=\"{node}\";proto=https"),
    }
}

fn name(forwarded: bool) -> &'static str {
    match forwarded {
        true => "forwarded",
        false => "x-forwarded-for",
    }
}

fn source(forwarded: bool) -> ClientAddress {
    let source = ClientAddress::behind(PROXIES);
    if forwarded {
        source.forwarded()
    } else {
        source
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_peer_that_is_no_proxy_is_the_client_whatever_it_sends(
        (peer, trusted) in address(),
        lines in vec((any::<bool>(), mess()), 0..4),
        forwarded: bool,
    ) {
        prop_assume!(!trusted);
        let lines = lines.iter().map(|(other, line)| (name(*other), line.as_bytes()));
        prop_assert_eq!(source(forwarded).resolve(Some(peer), lines), Some(peer));
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(
        lines in vec((any::<bool>(), prop_oneof![vec(any::<u8>(), 0..64), mess().prop_map(String::into_bytes)]), 0..4),
        forwarded: bool,
    ) {
        let lines = lines.iter().map(|(other, line)| (name(*other), &line[..]));
        let _ = source(forwarded).resolve(Some(ip("::1")), lines);
    }

    /// Proxies append to what a client sends, on its line or on one of their own: none of it counts.
    #[test]
    fn nothing_that_a_client_forges_changes_whom_the_proxies_name(
        forged in vec(mess(), 0..3),
        (client, trusted) in address(),
        proxies in vec(address().prop_filter_map("a proxy", |(a, trusted)| trusted.then_some(a)), 0..3),
        forms: [u8; 4],
        own_lines: [bool; 4],
        forwarded: bool,
    ) {
        prop_assume!(!trusted);
        let mut lines = forged;
        for (at, hop) in std::iter::once(client).chain(proxies).enumerate() {
            let element = element(hop, forwarded, forms[at]);
            match lines.last_mut() {
                Some(line) if !own_lines[at] => *line = format!("{line}, {element}"),
                _ => lines.push(element),
            }
        }
        let lines = lines.iter().map(|line| (name(forwarded), line.as_bytes()));
        prop_assert_eq!(source(forwarded).resolve(Some(ip("10.0.0.2")), lines), Some(client));
    }
}
