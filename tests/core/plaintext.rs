//! Whether a request came in plaintext, as proxies say.

use std::net::IpAddr;

use keygate::ClientAddress;
use proptest::collection::vec;
use proptest::prelude::*;

const FOR: &str = "X-Forwarded-For";
const PROTO: &str = "X-Forwarded-Proto";

type Line<'a> = (&'a str, &'a str);

fn proxied() -> ClientAddress {
    ClientAddress::behind(["10.0.0.0/8"])
}

fn came_in_plaintext(source: &ClientAddress, peer: &str, lines: &[Line<'_>]) -> bool {
    let lines = lines.iter().map(|(name, line)| (*name, line.as_bytes()));
    source.sent_in_plaintext(peer.parse().ok(), lines)
}

#[test]
fn only_a_trusted_proxy_is_believed_that_a_request_came_in_plaintext() {
    let lines = [(PROTO, "http"), ("Forwarded", "for=192.0.2.1;proto=http")];
    let address_only = [(FOR, "192.0.2.1")];
    for source in [proxied(), proxied().forwarded()] {
        assert!(came_in_plaintext(&source, "10.0.0.2", &lines), "{source:?}");
        assert!(came_in_plaintext(&source, "::ffff:10.0.0.2", &lines));
        for stranger in ["192.0.2.9", "::1", "nobody"] {
            assert!(
                !came_in_plaintext(&source, stranger, &lines),
                "{source:?}: {stranger}"
            );
        }
        assert!(!came_in_plaintext(&source, "10.0.0.2", &address_only));
        assert!(!came_in_plaintext(&source, "10.0.0.2", &[]));
    }
    for source in [
        ClientAddress::peer(),
        ClientAddress::behind(["10.0.0.0/8", "x"]),
    ] {
        assert!(
            !came_in_plaintext(&source, "10.0.0.2", &lines),
            "{source:?}"
        );
    }
}

#[test]
fn what_counts_is_said_by_the_proxy_that_names_the_client() {
    let cases: [(&[Line<'_>], bool); 29] = [
        (&[(PROTO, "http")], true),
        (&[(FOR, "192.0.2.1"), (PROTO, "http")], true),
        (&[(PROTO, "http"), (FOR, "192.0.2.1")], true),
        (&[("x-forwarded-proto", " HTTP\t")], true),
        // Some name the scheme of a WebSocket.
        (&[(PROTO, "ws")], true),
        (&[(PROTO, "https")], false),
        (&[(PROTO, "wss")], false),
        // What cannot be read says nothing.
        (&[(PROTO, "")], false),
        (&[(PROTO, "\"http\"")], false),
        (&[(PROTO, "http;https")], false),
        (&[(PROTO, "httpx")], false),
        (&[(PROTO, "http,")], false),
        (&[("X_Forwarded_Proto", "http")], false),
        (&[("X-Forwarded-Scheme", "http")], false),
        (&[("Forwarded", "for=192.0.2.1;proto=http")], false),
        // An address that cannot be read hides nothing.
        (&[(FOR, "unknown"), (PROTO, "http")], true),
        (&[(FOR, ""), (PROTO, "http")], true),
        (&[(FOR, "192.0.2.1, x, 10.0.0.3"), (PROTO, "http")], true),
        // What a client sent stands to the left of what a proxy appended.
        (&[(FOR, "192.0.2.1"), (PROTO, "http, https")], false),
        (&[(FOR, "192.0.2.1"), (PROTO, "https, http")], true),
        (&[(PROTO, "http"), (PROTO, "https")], false),
        (&[(PROTO, "https"), (PROTO, "http")], true),
        // From one proxy to the next, plaintext is fine.
        (
            &[(FOR, "192.0.2.1, 10.0.0.3"), (PROTO, "https, http")],
            false,
        ),
        (
            &[(FOR, "192.0.2.1, 10.0.0.3"), (PROTO, "http, https")],
            true,
        ),
        (
            &[
                (FOR, "192.0.2.1"),
                (PROTO, "http"),
                (PROTO, "https,http"),
                (FOR, "10.0.0.3"),
            ],
            false,
        ),
        // One value: what the outermost has set was handed on.
        (&[(FOR, "192.0.2.1, 10.0.0.3"), (PROTO, "http")], true),
        (&[(FOR, "192.0.2.1, 10.0.0.3"), (PROTO, "https")], false),
        // All are trusted: the leftmost is the client.
        (&[(FOR, "10.0.0.4, 10.0.0.3"), (PROTO, "http, https")], true),
        (
            &[
                (FOR, "10.0.0.4, 10.0.0.3"),
                (PROTO, "http, https"),
                (FOR, "192.0.2.1"),
            ],
            false,
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(
            came_in_plaintext(&proxied(), "10.0.0.2", lines),
            expected,
            "{lines:?}"
        );
    }
}

#[test]
fn in_forwarded_it_is_said_by_the_element_that_names_the_client() {
    let cases: [(&[&str], bool); 19] = [
        (&["for=192.0.2.1;proto=http"], true),
        (&["Proto=HTTP; for=192.0.2.1"], true),
        (&["for=192.0.2.1;proto=\"http\""], true),
        (&["for=192.0.2.1;proto=\"h\\ttp\""], true),
        (&["for=192.0.2.1;proto=ws"], true),
        (&["for=192.0.2.1;proto=https"], false),
        (&["for=192.0.2.1"], false),
        // An address that cannot be read hides nothing.
        (&["proto=http"], true),
        (&["for=unknown;proto=http"], true),
        (&["for=_hidden;proto=http"], true),
        // What cannot be read as a whole says nothing.
        (&["for=192.0.2.1;proto=http;"], true),
        (&["for=192.0.2.1;proto=http;by"], false),
        (&["for=192.0.2.1;proto=http;proto=http"], false),
        (&["for=192.0.2.1;x-proto=http"], false),
        (&["proto=http, for=192.0.2.1"], false),
        (&["for=192.0.2.1;proto=http, for=192.0.2.2"], false),
        (
            &["for=192.0.2.1;proto=http", "for=10.0.0.3;proto=https"],
            true,
        ),
        (
            &["for=192.0.2.1;proto=https, for=10.0.0.3;proto=http"],
            false,
        ),
        (&["for=10.0.0.4;proto=http, for=10.0.0.3"], true),
    ];
    for (lines, expected) in cases {
        let named: Vec<Line<'_>> = lines.iter().map(|line| ("Forwarded", *line)).collect();
        let source = proxied().forwarded();
        assert_eq!(
            came_in_plaintext(&source, "10.0.0.2", &named),
            expected,
            "{lines:?}"
        );
        let beside: Vec<Line<'_>> = named.into_iter().chain([(PROTO, "http")]).collect();
        assert_eq!(
            came_in_plaintext(&source, "10.0.0.2", &beside),
            expected,
            "the other field counts for nothing: {lines:?}"
        );
    }
}

#[test]
fn long_fields_are_read_to_their_end() {
    let (addresses, schemes) = ("10.0.0.3,".repeat(60), "http,".repeat(10_000));
    let lines = [
        (FOR, &*format!("192.0.2.1,{addresses}10.0.0.3")),
        (PROTO, &*format!("{schemes}https{}", ",x".repeat(61))),
    ];
    assert!(!came_in_plaintext(&proxied(), "10.0.0.2", &lines));
    let lines = [lines[0], (PROTO, &*format!("http{}", ",x".repeat(61)))];
    assert!(came_in_plaintext(&proxied(), "10.0.0.2", &lines));
    let lines = [
        (FOR, &*"10.0.0.3,".repeat(10_000)),
        (PROTO, &*"https,".repeat(10_000)),
    ];
    assert!(!came_in_plaintext(&proxied(), "10.0.0.2", &lines));
}

proptest! {
    /// Proxies append to what a client sends, on its line or on one of their own: none of it counts.
    #[test]
    fn nothing_that_a_client_forges_changes_what_appending_proxies_say(
        forged in vec("[a-z, ]{0,12}|http|https|http, http|https,https", 0..3),
        hops in vec((any::<bool>(), any::<bool>()), 1..4),
    ) {
        let mut schemes = forged;
        let mut addresses = Vec::new();
        for (at, (is_plaintext, own_line)) in hops.iter().enumerate() {
            let scheme = if *is_plaintext { "http" } else { "https" };
            match schemes.last_mut() {
                Some(line) if !own_line => *line = format!("{line}, {scheme}"),
                _ => schemes.push(scheme.to_owned()),
            }
            addresses.push(if at == 0 { "192.0.2.1" } else { "10.0.0.3" });
        }
        let addresses = addresses.join(",");
        let schemes = schemes.iter().map(|line| (PROTO, line.as_str()));
        let lines: Vec<Line<'_>> = schemes.chain([(FOR, addresses.as_str())]).collect();
        let (is_plaintext, _) = hops[0];
        prop_assert_eq!(came_in_plaintext(&proxied(), "10.0.0.2", &lines), is_plaintext);
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(
        lines in vec((0..3_usize, vec(any::<u8>(), 0..64)), 0..4),
        forwarded: bool,
    ) {
        let names = [FOR, PROTO, "Forwarded"];
        let lines = lines.iter().map(|(name, line)| (names[*name], &line[..]));
        let source = if forwarded { proxied().forwarded() } else { proxied() };
        let peer: Option<IpAddr> = "10.0.0.2".parse().ok();
        let _ = source.sent_in_plaintext(peer, lines);
    }
}
