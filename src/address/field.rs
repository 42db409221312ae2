use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str;

use super::scheme::is_plaintext;

/// The header field in which proxies say where a request came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    /// A list of addresses, which no standard describes.
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

/// What a proxy says of its peer.
#[derive(Clone, Copy)]
pub(super) struct Hop {
    /// `None`: it is no address.
    pub(super) address: Option<IpAddr>,
    /// Whether it says that the peer sent the request in plaintext.
    pub(super) is_plaintext: bool,
}

impl Hop {
    const UNREADABLE: Self = Self {
        address: None,
        is_plaintext: false,
    };
}

/// How far a walk from the right came.
#[derive(Clone, Copy)]
pub(super) enum Walked {
    /// All were trusted, so many, of which this is the leftmost, if there were any.
    Through(usize, Option<Hop>),
    /// It ended, behind so many that were trusted, at this client, or at something that is no address.
    Ended(usize, Hop),
}

impl Walked {
    /// Goes on from here with a line that stands further to the right, and was walked so far.
    pub(super) fn with_right(self, line: Self) -> Self {
        match (self, line) {
            (Self::Through(further, left), Self::Through(passed, leftmost)) => {
                Self::Through(further + passed, left.or(leftmost))
            }
            (Self::Ended(further, client), Self::Through(passed, _)) => {
                Self::Ended(further + passed, client)
            }
            // What a line says goes before what the lines to its left have said.
            (_, ended) => ended,
        }
    }

    /// How many proxies stand to the right of the one that names the client, and what that one says, if any
    /// does.
    pub(super) fn client(self) -> (usize, Option<Hop>) {
        match self {
            Self::Through(passed, leftmost) => (passed.saturating_sub(1), leftmost),
            Self::Ended(passed, client) => (passed, Some(client)),
        }
    }
}

impl Field {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "X-Forwarded-For",
            Self::Forwarded => "Forwarded",
        }
    }

    /// Whether proxies that write this field say by that of `name` in what way they were sent a request.
    pub(super) fn is_schemes(self, name: &str) -> bool {
        self == Self::XForwardedFor && name.eq_ignore_ascii_case("X-Forwarded-Proto")
    }

    /// Walks one line. What stands to the left of where it ends is not looked at.
    pub(super) fn walk(self, mut line: &[u8], is_trusted: impl Fn(IpAddr) -> bool) -> Walked {
        let mut passed = 0;
        loop {
            let (left, element) = self.split_last(line);
            let hop = self.hop(element.trim_ascii());
            if !hop.address.is_some_and(&is_trusted) {
                return Walked::Ended(passed, hop);
            }
            passed += 1;
            match left {
                Some(left) => line = left,
                None => return Walked::Through(passed, Some(hop)),
            }
        }
    }

    /// The last element of a list, and what stands before its comma, if there is one.
    fn split_last(self, line: &[u8]) -> (Option<&[u8]>, &[u8]) {
        let comma = match self {
            Self::XForwardedFor => line.iter().rposition(|c| *c == b','),
            Self::Forwarded => last_comma(line),
        };
        match comma {
            Some(comma) => (Some(&line[..comma]), &line[comma + 1..]),
            None => (None, line),
        }
    }

    fn hop(self, element: &[u8]) -> Hop {
        match self {
            Self::XForwardedFor => {
                let quoted = element.strip_prefix(b"\"");
                let unquoted = quoted.and_then(|rest| rest.strip_suffix(b"\""));
                Hop {
                    address: address_in_list(unquoted.unwrap_or(element)),
                    is_plaintext: false,
                }
            }
            Self::Forwarded => forwarded(element).unwrap_or(Hop::UNREADABLE),
        }
    }
}

/// The last comma that is not within a quoted string.
///
/// It is looked for from the right, as the line is walked: a quotation mark that a client has left open
/// swallows nothing of what proxies write behind it.
fn last_comma(line: &[u8]) -> Option<usize> {
    let mut quoted = false;
    for (at, c) in line.iter().enumerate().rev() {
        match c {
            b',' if !quoted => return Some(at),
            b'"' if !quoted => quoted = true,
            // RFC 9110, section 5.6.4: within, it is escaped. Where a string begins, an equals sign
            // stands before it.
            b'"' => quoted = line[..at].ends_with(b"\\"),
            _ => {}
        }
    }
    None
}

/// What an element of `X-Forwarded-For` names: an address, which may have a port.
fn address_in_list(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    match text.parse::<Ipv6Addr>() {
        Ok(bare) => Some(IpAddr::V6(bare).to_canonical()),
        Err(_) => host_and_port(text, is_port),
    }
}

/// An IPv4 address, or one of IPv6 in brackets, and a port or none behind it.
fn host_and_port(text: &str, is_port: impl Fn(&str) -> bool) -> Option<IpAddr> {
    let (address, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            let address = host.parse::<Ipv6Addr>().ok()?;
            (IpAddr::V6(address).to_canonical(), port)
        }
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (IpAddr::V4(host.parse::<Ipv4Addr>().ok()?), port)
        }
    };
    let is_fine = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    is_fine.then_some(address)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// RFC 7239, section 6: a port may be obfuscated.
fn is_node_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(rest) => {
            let is_obfuscated = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
            !rest.is_empty() && rest.bytes().all(is_obfuscated)
        }
        None => is_port(text),
    }
}

/// What an element of `Forwarded` says by `for` and `proto` (RFC 7239, section 4): one whole element, in
/// which all that is not asked for must be well-formed too.
fn forwarded(element: &[u8]) -> Option<Hop> {
    let (mut node, mut scheme) = (None, None);
    let mut rest = element;
    loop {
        rest = rest.trim_ascii_start();
        let name = token(rest);
        rest = &rest[name.len()..];
        if !name.is_empty() {
            let value;
            (value, rest) = Value::parse(rest.strip_prefix(b"=")?)?;
            let earlier = if name.eq_ignore_ascii_case(b"for") {
                node.replace(value)
            } else if name.eq_ignore_ascii_case(b"proto") {
                scheme.replace(value)
            } else {
                None
            };
            // None may occur twice.
            if earlier.is_some() {
                return None;
            }
        }
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(Hop {
                address: node.and_then(|node: Value<'_>| node.node()),
                is_plaintext: scheme.is_some_and(|scheme: Value<'_>| scheme.is_plaintext()),
            });
        }
        rest = rest.strip_prefix(b";")?;
    }
}

/// The token that `text` begins with (RFC 9110, section 5.6.2); nothing, if it does not.
fn token(text: &[u8]) -> &[u8] {
    let is_token_char = |c: &u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(c);
    &text[..text.iter().take_while(|c| is_token_char(c)).count()]
}

/// A value of a pair.
enum Value<'a> {
    Token(&'a [u8]),
    /// What stands between the quotation marks.
    Quoted(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The value that `text` begins with, and what follows it.
    fn parse(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let Some(quoted) = text.strip_prefix(b"\"") else {
            let token = token(text);
            return (!token.is_empty()).then(|| (Self::Token(token), &text[token.len()..]));
        };
        let mut at = 0;
        loop {
            at += match quoted.get(at)? {
                b'"' => return Some((Self::Quoted(&quoted[..at]), &quoted[at + 1..])),
                b'\\' => 2,
                _ => 1,
            };
        }
    }

    /// The address of a node (RFC 7239, section 6), which may have a port.
    fn node(&self) -> Option<IpAddr> {
        let mut room = [0; LONGEST];
        host_and_port(str::from_utf8(self.text(&mut room)?).ok()?, is_node_port)
    }

    fn is_plaintext(&self) -> bool {
        self.text(&mut [0; LONGEST]).is_some_and(is_plaintext)
    }

    fn text<'t>(&'t self, room: &'t mut [u8]) -> Option<&'t [u8]> {
        match self {
            Self::Token(text) => Some(text),
            Self::Quoted(text) => unescape(text, room),
        }
    }
}

/// Longer than every address with a port. What does not fit has an obfuscated port of absurd length.
const LONGEST: usize = 128;

/// What a quoted string means, if there is room for it.
fn unescape<'a>(quoted: &[u8], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let (mut len, mut escaped) = (0, false);
    for c in quoted {
        escaped = *c == b'\\' && !escaped;
        if !escaped {
            *room.get_mut(len)? = *c;
            len += 1;
        }
    }
    room.get(..len)
}
