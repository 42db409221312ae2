use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Scope, ScopeError, covers};

/// The scopes a key was granted. The empty set grants nothing.
///
/// Kept as one text, sorted and without repetition, separated by single spaces as in the `scope`
/// parameter of RFC 6749. In JSON it is an array.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct ScopeSet(Box<str>);

impl ScopeSet {
    /// The most scopes that one key can hold.
    pub const MAX_SCOPES: usize = 128;

    /// A set of the named scopes. `invoices:read,write` abbreviates two scopes.
    ///
    /// # Errors
    /// Text that is not a scope, or more than 128 of them.
    pub fn parse<I>(scopes: I) -> Result<Self, ScopeError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut parsed = Vec::new();
        for text in scopes {
            let text = text.as_ref();
            let (parents, last) = match text.rfind(':') {
                Some(colon) => text.split_at(colon + 1),
                None => ("", text),
            };
            for name in last.split(',') {
                parsed.push(format!("{parents}{name}").parse::<Scope>()?);
                if parsed.len() > Self::MAX_SCOPES {
                    return Err(ScopeError {
                        scope: text.chars().take(Scope::MAX_LEN).collect(),
                        reason: "a key can hold at most 128 scopes",
                    });
                }
            }
        }
        Ok(parsed.into_iter().collect())
    }

    /// The scopes, separated by single spaces.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Each scope as text, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split_ascii_whitespace()
    }

    /// Whether there is no scope at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one scope of this set opens everything that `wanted` opens.
    pub fn grants(&self, wanted: &Scope) -> bool {
        self.covers(wanted.as_str())
    }

    /// The scopes of `other` that this set does not cover.
    pub fn lacking<'a>(&self, other: &'a ScopeSet) -> impl Iterator<Item = &'a str> {
        other.iter().filter(|wanted| !self.covers(wanted))
    }

    /// Those of the scopes that `keep` answers for.
    pub(crate) fn only(&self, keep: impl FnMut(&&str) -> bool) -> Self {
        let words: Vec<&str> = self.iter().filter(keep).collect();
        Self(words.join(" ").into())
    }

    pub(crate) fn covers(&self, wanted: &str) -> bool {
        self.iter().any(|granted| covers(granted, wanted))
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        let words: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
        Self(words.join(" ").into())
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for ScopeSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(Vec::<String>::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_is_sorted_and_shorthand_is_written_out() {
        let set = ScopeSet::parse(["b:x:read,write", "a", "b:x:read"]).unwrap();
        assert_eq!(set.as_str(), "a b:x:read b:x:write");
        assert_eq!(
            serde_json::to_string(&set).unwrap(),
            r#"["a","b:x:read","b:x:write"]"#
        );
    }

    #[test]
    fn the_empty_set_grants_nothing() {
        let empty = ScopeSet::default();
        assert!(!empty.grants(&"a".parse().unwrap()));
        assert!(!empty.grants(&"*".parse().unwrap()));
    }

    #[test]
    fn what_another_set_has_more_is_named() {
        let mine = ScopeSet::parse(["orders:*", "keys:read"]).unwrap();
        let theirs = ScopeSet::parse(["orders:read", "orders:**", "keys:write"]).unwrap();
        let lacking: Vec<_> = mine.lacking(&theirs).collect();
        assert_eq!(lacking, ["keys:write", "orders:**"]);
    }

    #[test]
    fn a_broken_abbreviation_is_refused() {
        for text in ["a:read,", "a:,read", ",", "a,b:read"] {
            assert!(ScopeSet::parse([text]).is_err(), "{text}");
        }
        let many = (0..129).map(|n| format!("s{n}"));
        assert!(ScopeSet::parse(many).is_err());
    }
}
