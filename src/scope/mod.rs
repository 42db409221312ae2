//! Scopes: named permissions that keys are granted, and the rules of routes that ask for them.

mod catalogue;
mod declared;
mod rule;
mod set;

pub(crate) use catalogue::GrantError;
pub use catalogue::{Bundle, Catalogue, UndeclaredScope};
pub use declared::{DeclaredScope, Requirement, ScopeType};
pub use rule::{IntoRule, MissingScopes, Rule};
pub use set::ScopeSet;

use std::fmt;
use std::str::FromStr;

/// One scope, either concrete (`orders:read`) or, where it is granted, with wildcards.
///
/// It is a scope-token of RFC 6749, whose segments are separated by `:`. It matches exactly. In a
/// **granted** scope, a segment `*` matches any one segment, and a trailing `:**` matches one or more
/// further segments. Nothing matches by string prefix.
///
/// | granted | opens | does not open |
/// |---|---|---|
/// | `orders:read` | `orders:read` | `orders`, `orders:read:own` |
/// | `orders:*` | `orders:read` | `orders`, `orders:read:own` |
/// | `orders:**` | `orders:read`, `orders:read:own` | `orders` |
///
/// ```
/// use keygate::{Rule, ScopeSet};
/// let granted = ScopeSet::parse(["invoices:read,write", "orders:*"])?;
/// assert_eq!(granted.as_str(), "invoices:read invoices:write orders:*");
/// assert!(Rule::all(["invoices:write", "orders:void"])?.check(&granted).is_ok());
/// assert_eq!(Rule::all(["orders:void", "users:read"])?.check(&granted).unwrap_err().missing()[0].as_str(), "users:read");
/// # Ok::<(), keygate::ScopeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Box<str>);

impl Scope {
    /// The longest scope accepted, in bytes.
    pub const MAX_LEN: usize = 128;

    /// The scope as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a segment of it is `*` or `**`.
    pub fn has_wildcard(&self) -> bool {
        has_wildcard(&self.0)
    }
}

/// Wildcards stand alone in their segment, so a `*` anywhere is one.
const fn has_wildcard(scope: &str) -> bool {
    let scope = scope.as_bytes();
    count_stars(scope, 0, scope.len()) > 0
}

const fn count_stars(text: &[u8], from: usize, to: usize) -> usize {
    let mut stars = 0;
    let mut n = from;
    while n < to {
        if text[n] == b'*' {
            stars += 1;
        }
        n += 1;
    }
    stars
}

/// What keeps `text` from being a scope, if anything does.
const fn fault_of(text: &str) -> Option<&'static str> {
    let text = text.as_bytes();
    let len = text.len();
    if len == 0 {
        return Some("it is empty");
    }
    if len > Scope::MAX_LEN {
        return Some("it is longer than 128 bytes");
    }
    if matches!(text, b"**") {
        return Some("it would grant everything: name at least the first segment, like orders:**");
    }
    let mut start = 0;
    let mut n = 0;
    while n <= len {
        if n == len || text[n] == b':' {
            match (n - start, count_stars(text, start, n)) {
                (0, _) => return Some("a segment between colons is empty"),
                (_, 0) | (1, 1) => {}
                (2, 2) if n == len => {}
                (2, 2) => return Some("** may only stand at the end"),
                _ => return Some("* stands for a whole segment, like orders:*"),
            }
            start = n + 1;
        } else if text[n] == b',' {
            return Some("a comma only abbreviates several scopes in a list: a:read,write");
        } else if !matches!(text[n], 0x21 | 0x23..=0x5b | 0x5d..=0x7e) {
            // RFC 6749, section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
            return Some("use printable ASCII without spaces, double quotes and backslashes");
        }
        n += 1;
    }
    None
}

/// Whether `granted` opens everything that `wanted` opens.
pub(crate) fn covers(granted: &str, wanted: &str) -> bool {
    if !has_wildcard(granted) {
        return granted == wanted;
    }
    let mut wanted = wanted.split(':');
    for segment in granted.split(':') {
        match (segment, wanted.next()) {
            ("**", rest) => return rest.is_some(),
            ("*", Some(one)) if one != "**" => {}
            (literal, Some(one)) if literal == one && one != "**" => {}
            _ => return false,
        }
    }
    wanted.next().is_none()
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if let Some(reason) = fault_of(text) {
            return Err(ScopeError {
                scope: text.chars().take(Self::MAX_LEN).collect(),
                reason,
            });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is not a scope, or a scope that cannot stand where it was put.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{scope:?} is not a scope that can be used here: {reason}")]
pub struct ScopeError {
    scope: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn matching_follows_the_table() {
        let cases = [
            ("orders:read", "orders:read", true),
            ("orders:read", "orders:reading", false),
            ("orders:read", "orders", false),
            ("orders", "orders:read", false),
            ("orders:read", "Orders:read", false),
            ("orders:*", "orders:read", true),
            ("orders:*", "orders", false),
            ("orders:*", "orders:read:own", false),
            ("*:read", "orders:read", true),
            ("*:read", "orders:write", false),
            ("*", "orders", true),
            ("*", "orders:read", false),
            ("orders:**", "orders:read", true),
            ("orders:**", "orders:read:own", true),
            ("orders:**", "orders", false),
            ("orders:**", "ordersx:read", false),
            ("*:**", "orders:read", true),
            ("*:**", "orders", false),
        ];
        for (granted, wanted, expected) in cases {
            assert_eq!(covers(granted, wanted), expected, "{granted} on {wanted}");
        }
    }

    #[test]
    fn a_wildcard_covers_only_wildcards_within_its_reach() {
        let cases = [
            ("a:*", "a:*", true),
            ("a:**", "a:*", true),
            ("a:**", "a:**", true),
            ("a:**", "a:b:**", true),
            ("a:*", "a:**", false),
            ("a:b", "a:*", false),
            ("a:*:c", "a:**", false),
            ("a:b:**", "a:**", false),
            ("*:**", "a:**", true),
            ("a:*", "*:*", false),
        ];
        for (granted, wanted, expected) in cases {
            assert_eq!(covers(granted, wanted), expected, "{granted} over {wanted}");
        }
    }

    #[test]
    fn what_is_no_scope_is_refused_with_a_reason() {
        for text in [
            "", "**", "a b", "a\"b", "a\\b", "a::b", ":a", "a:", "a:**:b", "ord*", "a:b*", "a,b",
            "é", "a\n",
        ] {
            assert!(text.parse::<Scope>().is_err(), "{text:?}");
        }
        assert!("a".repeat(128).parse::<Scope>().is_ok());
        assert!("a".repeat(129).parse::<Scope>().is_err());
    }

    fn segments() -> impl Strategy<Value = Vec<&'static str>> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "*"]), 1..4)
    }

    /// The plain specification: turn a grant into the set of everything it opens.
    fn opens(grant: &str, concrete: &str) -> bool {
        let (grant, concrete): (Vec<_>, Vec<_>) =
            (grant.split(':').collect(), concrete.split(':').collect());
        let (fixed, open_ended) = match grant.split_last() {
            Some((&"**", fixed)) => (fixed, true),
            _ => (&grant[..], false),
        };
        let length_fits = match open_ended {
            true => concrete.len() > fixed.len(),
            false => concrete.len() == fixed.len(),
        };
        length_fits
            && fixed
                .iter()
                .zip(&concrete)
                .all(|(g, c)| *g == "*" || g == c)
    }

    proptest! {
        #[test]
        fn covering_means_opening_everything_the_other_opens(
            a in segments(), b in segments(), a_open: bool, b_open: bool,
        ) {
            let grant = |segments: &[&str], open: bool| segments.join(":") + if open { ":**" } else { "" };
            let (a, b) = (grant(&a, a_open), grant(&b, b_open));
            // Every concrete scope of up to five segments over an alphabet with one letter more.
            let concrete: Vec<String> = (1..=5u32).flat_map(|len| (0..3usize.pow(len)).map(move |n| {
                (0..len).map(|i| ["a", "b", "z"][n / 3usize.pow(i) % 3]).collect::<Vec<_>>().join(":")
            })).collect();
            let included = concrete.iter().all(|c| !opens(&b, c) || opens(&a, c));
            prop_assert_eq!(covers(&a, &b), included, "{} over {}", a, b);
            for scope in &concrete {
                prop_assert_eq!(covers(&a, scope), opens(&a, scope), "{} on {}", a, scope);
            }
        }
    }
}
