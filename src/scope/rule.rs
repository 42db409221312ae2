use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use super::{Scope, ScopeError, ScopeSet};

/// What a route asks of its caller: one scope, all of several, or any of several. Cloning it is cheap.
#[derive(Clone, PartialEq, Eq)]
pub struct Rule(Arc<Terms>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Terms {
    quantifier: Quantifier,
    scopes: Vec<Scope>,
    is_report_only: bool,
    fingerprint: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Quantifier {
    All,
    Any,
}

impl Rule {
    /// A rule that every one of `scopes` must be granted.
    ///
    /// # Errors
    /// No scope at all, text that is not a scope, or a wildcard: a route asks for something concrete.
    pub fn all<I>(scopes: I) -> Result<Self, ScopeError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::new(Quantifier::All, scopes)
    }

    /// A rule that at least one of `scopes` must be granted.
    ///
    /// # Errors
    /// As [`all`](Self::all).
    pub fn any<I>(scopes: I) -> Result<Self, ScopeError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::new(Quantifier::Any, scopes)
    }

    fn new<I>(quantifier: Quantifier, scopes: I) -> Result<Self, ScopeError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let scopes = scopes
            .into_iter()
            .map(|text| text.as_ref().parse())
            .collect::<Result<Vec<Scope>, _>>()?;
        if scopes.is_empty() {
            return Err(ScopeError {
                scope: String::new(),
                reason: "a rule names at least one scope; to accept any valid key, only authenticate",
            });
        }
        if let Some(scope) = scopes.iter().find(|scope| scope.has_wildcard()) {
            return Err(ScopeError {
                scope: scope.to_string(),
                reason: "a rule asks for a concrete scope; wildcards are for granted scopes",
            });
        }
        let fingerprint =
            foldhash::fast::FixedState::default().hash_one((quantifier, &scopes)) & !1;
        Ok(Self(Arc::new(Terms {
            quantifier,
            scopes,
            is_report_only: false,
            fingerprint,
        })))
    }

    /// The same rule, which refuses nobody: who lacks a scope is let through and counted, and guards and
    /// [`Principal::authorize`](crate::Principal::authorize) log it too, so that a rule can be tried on
    /// real traffic before it is enforced. The key must be valid all the same. Behind an enforced rule it
    /// shows who would be refused by a tighter one:
    ///
    /// ```
    /// # #[cfg(feature = "axum")]
    /// # fn app(keys: keygate::Keygate) -> axum::Router {
    /// # use axum::{Router, routing::get};
    /// # async fn export() {}
    /// use keygate::IntoRule;
    ///
    /// Router::new().route("/export", get(export))
    ///     .layer(keys.require("orders:export".report_only()))
    ///     .layer(keys.require("orders:read"))
    /// # }
    /// ```
    #[must_use]
    pub fn report_only(self) -> Self {
        let terms = Arc::unwrap_or_clone(self.0);
        Self(Arc::new(Terms {
            is_report_only: true,
            fingerprint: terms.fingerprint | 1,
            ..terms
        }))
    }

    /// Whether it refuses nobody.
    pub fn is_report_only(&self) -> bool {
        self.0.is_report_only
    }

    /// Whether `granted` satisfies this rule, enforced or not.
    ///
    /// # Errors
    /// The scopes that are missing, and a set that would do.
    pub fn check(&self, granted: &ScopeSet) -> Result<(), MissingScopes> {
        let has = |scope: &Scope| granted.grants(scope);
        let satisfied = match self.0.quantifier {
            Quantifier::All => self.0.scopes.iter().all(has),
            Quantifier::Any => self.0.scopes.iter().any(has),
        };
        match satisfied {
            true => Ok(()),
            false => Err(self.missing_from(granted)),
        }
    }

    /// Whether the rule lets a caller with these scopes through.
    pub(crate) fn enforce(&self, granted: &ScopeSet) -> Result<(), MissingScopes> {
        match self.check(granted) {
            Err(_) if self.0.is_report_only => Ok(()),
            checked => checked,
        }
    }

    /// What of the rule was not granted, and a set that would do.
    pub(crate) fn missing_from(&self, granted: &ScopeSet) -> MissingScopes {
        let lacks = |scope: &&Scope| !granted.grants(scope);
        MissingScopes {
            quantifier: self.0.quantifier,
            sufficient: match self.0.quantifier {
                Quantifier::All => self.0.scopes.clone(),
                Quantifier::Any => self.0.scopes.iter().take(1).cloned().collect(),
            },
            missing: self.0.scopes.iter().filter(lacks).cloned().collect(),
        }
    }

    /// The scopes of the rule that a key with these uses: of several that would do, the first. Where it
    /// lacks one of all, what it has of them is used once that is mended.
    pub(crate) fn used_of(&self, granted: &ScopeSet) -> impl Iterator<Item = &Scope> {
        let most = match self.0.quantifier {
            Quantifier::All => usize::MAX,
            Quantifier::Any => 1,
        };
        let held = self.0.scopes.iter();
        held.filter(|scope| granted.grants(scope)).take(most)
    }

    /// The sets of scopes of which each satisfies the rule.
    #[cfg(all(feature = "utoipa", any(feature = "tower", feature = "actix-web")))]
    pub(crate) fn sufficient_sets(&self) -> Vec<&[Scope]> {
        match self.0.quantifier {
            Quantifier::All => vec![&self.0.scopes],
            Quantifier::Any => self.0.scopes.chunks(1).collect(),
        }
    }

    /// Equal for equal rules, and hardly for others: for counters, and never for a decision.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.0.fingerprint
    }

    /// The scopes that the rule names.
    pub fn scopes(&self) -> &[Scope] {
        &self.0.scopes
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("quantifier", &self.0.quantifier)
            .field("scopes", &self.0.scopes)
            .field("is_report_only", &self.0.is_report_only)
            .finish()
    }
}

/// What a caller lacks to satisfy a [`Rule`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingScopes {
    quantifier: Quantifier,
    sufficient: Vec<Scope>,
    missing: Vec<Scope>,
}

impl MissingScopes {
    /// A set of scopes that would satisfy the rule: the `scope` of the challenge (RFC 6750, section 3).
    pub fn sufficient(&self) -> &[Scope] {
        &self.sufficient
    }

    /// The scopes of the rule that were not granted: of an "any" rule, each of them alone would do.
    pub fn missing(&self) -> &[Scope] {
        &self.missing
    }
}

/// Such as "the scopes a b", or "any of the scopes a b".
impl fmt::Display for MissingScopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.quantifier, self.missing.len()) {
            (_, 1) => "the scope",
            (Quantifier::All, _) => "the scopes",
            (Quantifier::Any, _) => "any of the scopes",
        })?;
        self.missing
            .iter()
            .try_for_each(|scope| write!(f, " {scope}"))
    }
}

/// What can be given to a guard as its rule: a scope as a [constant](crate::scopes) or a literal, an
/// array of such constants, which asks for all of them, or a [`Rule`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a rule",
    label = "a scope, an array of scopes that were declared by `keygate::scopes!`, or a `Rule`",
    note = "for several literals, write `Rule::all([\"a\", \"b\"])` or `Rule::any([\"a\", \"b\"])`"
)]
pub trait IntoRule {
    /// The rule.
    ///
    /// # Panics
    /// For a literal that is not a concrete scope. Guards are built when a service starts, so this
    /// is seen before the first request; for text that is not in the source, use [`Rule::all`].
    fn into_rule(self) -> Rule;

    /// The rule, [which refuses nobody](Rule::report_only).
    ///
    /// # Panics
    /// As [`into_rule`](Self::into_rule).
    #[track_caller]
    fn report_only(self) -> Rule
    where
        Self: Sized,
    {
        self.into_rule().report_only()
    }
}

impl IntoRule for Rule {
    fn into_rule(self) -> Rule {
        self
    }
}

impl IntoRule for &'static str {
    #[track_caller]
    fn into_rule(self) -> Rule {
        Rule::all([self]).into_rule()
    }
}

/// So that a rule of literals can be given as it is: `keys.require(Rule::any(["a", "b"]))`.
impl IntoRule for Result<Rule, ScopeError> {
    #[track_caller]
    #[expect(
        clippy::panic,
        reason = "a wrong literal is a mistake in the host's source"
    )]
    fn into_rule(self) -> Rule {
        match self {
            Ok(rule) => rule,
            Err(error) => panic!("{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(scopes: &[&str]) -> ScopeSet {
        ScopeSet::parse(scopes).unwrap()
    }

    fn names(scopes: &[Scope]) -> Vec<&str> {
        scopes.iter().map(Scope::as_str).collect()
    }

    #[test]
    fn all_needs_every_scope_and_names_the_missing_ones() {
        let rule = Rule::all(["a", "b", "c"]).unwrap();
        assert!(rule.check(&granted(&["a", "b", "c", "d"])).is_ok());
        let missing = rule.check(&granted(&["b"])).unwrap_err();
        assert_eq!(names(missing.missing()), ["a", "c"]);
        assert_eq!(names(missing.sufficient()), ["a", "b", "c"]);
        assert_eq!(missing.to_string(), "the scopes a c");
    }

    #[test]
    fn any_needs_one_and_a_single_scope_is_sufficient() {
        let rule = Rule::any(["a", "b"]).unwrap();
        assert!(rule.check(&granted(&["b"])).is_ok());
        let missing = rule.check(&granted(&[])).unwrap_err();
        assert_eq!(names(missing.missing()), ["a", "b"]);
        assert_eq!(names(missing.sufficient()), ["a"]);
        assert_eq!(missing.to_string(), "any of the scopes a b");
    }

    #[test]
    fn a_rule_is_concrete_and_never_empty() {
        assert!(Rule::all(["orders:*"]).is_err());
        assert!(Rule::any(["a", "b:**"]).is_err());
        assert!(Rule::all(std::iter::empty::<&str>()).is_err());
        assert!(Rule::any(std::iter::empty::<&str>()).is_err());
    }

    #[test]
    #[should_panic(expected = "is not a scope")]
    fn a_wrong_literal_stops_the_start_of_the_service() {
        let _ = "orders read".into_rule();
    }
}
