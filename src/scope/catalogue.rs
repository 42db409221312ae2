use super::{DeclaredScope, Rule, Scope, ScopeError, ScopeSet, covers};

/// A name for several scopes, for whoever issues keys: a key that is issued with a bundle is
/// granted the scopes of it, as they are then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bundle {
    name: &'static str,
    description: &'static str,
    scopes: &'static [DeclaredScope],
}

/// All scopes that a service knows. Made by [`scopes!`](crate::scopes), and given to
/// [`Builder::scopes`](crate::Builder::scopes).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Catalogue {
    scopes: &'static [DeclaredScope],
    bundles: &'static [Bundle],
}

/// A scope that the service does not declare.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{scope:?} is not a scope of this service: did you mean {nearest:?}?")]
pub struct UndeclaredScope {
    scope: String,
    nearest: &'static str,
}

/// Why scopes cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GrantError {
    #[error(transparent)]
    Scope(#[from] ScopeError),
    #[error(transparent)]
    Undeclared(#[from] UndeclaredScope),
}

impl Bundle {
    /// A bundle of these scopes.
    ///
    /// # Panics
    /// For a name that is not a concrete scope; in a constant, that does not compile.
    #[doc(hidden)]
    pub const fn new(
        name: &'static str,
        description: &'static str,
        scopes: &'static [DeclaredScope],
    ) -> Self {
        // A name like that of a scope.
        let named = DeclaredScope::new(name, description);
        Self {
            name: named.name(),
            description: named.description(),
            scopes,
        }
    }

    /// The bundle's name, as it is written where keys are issued.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// What it allows, for people.
    pub const fn description(self) -> &'static str {
        self.description
    }

    /// The scopes that it stands for.
    pub const fn scopes(self) -> &'static [DeclaredScope] {
        self.scopes
    }
}

impl Catalogue {
    /// A catalogue of these scopes and bundles.
    ///
    /// # Panics
    /// Without any scope, when two have one name, and for a bundle of other scopes; in a constant, that
    /// does not compile.
    #[expect(clippy::panic, reason = "it is meant for constants")]
    #[doc(hidden)]
    pub const fn new(scopes: &'static [DeclaredScope], bundles: &'static [Bundle]) -> Self {
        if scopes.is_empty() {
            panic!("a catalogue declares at least one scope");
        }
        let catalogue = Self { scopes, bundles };
        let mut n = 0;
        while n < scopes.len() + bundles.len() {
            let mut earlier = 0;
            while earlier < n {
                if are_equal(catalogue.name(earlier), catalogue.name(n)) {
                    panic!("two scopes or bundles of a catalogue have the same name");
                }
                earlier += 1;
            }
            n += 1;
        }
        let mut bundle = 0;
        while bundle < bundles.len() {
            let parts = bundles[bundle].scopes;
            let mut part = 0;
            while part < parts.len() {
                if !catalogue.declares(parts[part].name()) {
                    panic!("a bundle stands for a scope that its catalogue does not declare");
                }
                part += 1;
            }
            bundle += 1;
        }
        catalogue
    }

    /// The scopes, in the order of their declaration.
    pub const fn scopes(self) -> &'static [DeclaredScope] {
        self.scopes
    }

    /// The bundles, in the order of their declaration.
    pub const fn bundles(self) -> &'static [Bundle] {
        self.bundles
    }

    /// Whether a scope of this name is declared. A bundle is none.
    pub(crate) const fn declares(&self, name: &str) -> bool {
        let mut n = 0;
        while n < self.scopes.len() {
            if are_equal(self.scopes[n].name(), name) {
                return true;
            }
            n += 1;
        }
        false
    }

    /// The name of the scope or bundle at this place.
    const fn name(&self, place: usize) -> &'static str {
        if place < self.scopes.len() {
            self.scopes[place].name()
        } else {
            self.bundles[place - self.scopes.len()].name
        }
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        (0..self.scopes.len() + self.bundles.len()).map(|place| self.name(place))
    }

    /// The scopes that these texts grant, with bundles written out.
    ///
    /// A wildcard is taken if it covers a declared scope.
    pub(crate) fn grant<S: AsRef<str>>(&self, texts: &[S]) -> Result<ScopeSet, GrantError> {
        let mut granted: Vec<&str> = Vec::new();
        let named = ScopeSet::parse(texts)?;
        for name in named.iter() {
            match self.bundles.iter().find(|bundle| bundle.name == name) {
                Some(bundle) => granted.extend(bundle.scopes.iter().map(|scope| scope.name())),
                None if self.scopes.iter().any(|own| covers(name, own.name())) => {
                    granted.push(name)
                }
                None => return Err(self.undeclared(name).into()),
            }
        }
        Ok(ScopeSet::parse(granted)?)
    }

    /// Whether keys can be issued that satisfy `rule`.
    ///
    /// # Errors
    /// A scope of the rule that is not declared. A bundle is none: keys hold the scopes of it.
    pub fn check(&self, rule: &Rule) -> Result<(), UndeclaredScope> {
        let mut scopes = rule.scopes().iter().map(Scope::as_str);
        match scopes.find(|scope| !self.declares(scope)) {
            Some(scope) => Err(self.undeclared(scope)),
            None => Ok(()),
        }
    }

    fn undeclared(&self, name: &str) -> UndeclaredScope {
        let nearest = self.names().min_by_key(|own| distance(name, own));
        UndeclaredScope {
            scope: name.to_owned(),
            nearest: nearest.unwrap_or_default(),
        }
    }
}

/// `==` on strings, which constants cannot use.
const fn are_equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut same = a.len() == b.len();
    let mut n = 0;
    while same && n < a.len() {
        same = a[n] == b[n];
        n += 1;
    }
    same
}

/// How many insertions, removals and replacements of a byte lead from one text to the other
/// (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (left, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[left + 1];
            row[left + 1] = replaced.min(diagonal + 1).min(row[left] + 1);
        }
    }
    row[to.len()]
}

impl From<Bundle> for String {
    fn from(bundle: Bundle) -> Self {
        bundle.name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::{IntoRule, Requirement};

    crate::scopes! {
        pub(super) SCOPES {
            /// See orders.
            ORDERS_READ = "orders:read",
            /// Create orders,
            /// and change them.
            ORDERS_WRITE = "orders:write",
            /// See keys.
            KEYS_READ = "keys:read",
        }
        bundles {
            /// Everything about orders.
            ORDERS_ADMIN = "orders:admin" => [ORDERS_READ, ORDERS_WRITE],
        }
    }

    fn granted(texts: &[&str]) -> Result<String, String> {
        let granted = SCOPES.grant(texts).map_err(|error| error.to_string())?;
        Ok(granted.to_string())
    }

    #[test]
    fn the_comments_of_a_declaration_are_its_description() {
        assert_eq!(
            ORDERS_WRITE.description(),
            "Create orders, and change them."
        );
        assert_eq!(ORDERS_ADMIN.description(), "Everything about orders.");
        assert_eq!(SCOPES.scopes(), [ORDERS_READ, ORDERS_WRITE, KEYS_READ]);
        assert_eq!(SCOPES.bundles(), [ORDERS_ADMIN]);
    }

    #[test]
    fn bundles_are_written_out_and_wildcards_stay() {
        let cases: [(&[&str], &str); 6] = [
            (&["orders:read"], "orders:read"),
            (&["orders:admin"], "orders:read orders:write"),
            (&["orders:admin,read"], "orders:read orders:write"),
            (&["orders:*", "keys:read"], "keys:read orders:*"),
            (&["orders:**"], "orders:**"),
            (&[], ""),
        ];
        for (texts, expected) in cases {
            assert_eq!(granted(texts).as_deref(), Ok(expected), "{texts:?}");
        }
    }

    #[test]
    fn what_is_not_declared_is_refused_with_the_nearest_name() {
        let cases = [
            ("ordrs:read", "orders:read"),
            ("Orders:Write", "orders:write"),
            ("key:read", "keys:read"),
            ("orders:admn", "orders:admin"),
            ("orders", "orders:read"),
            ("order:*", "orders:read"),
        ];
        for (text, nearest) in cases {
            let said = granted(&["orders:read", text]).unwrap_err();
            let expected =
                format!("{text:?} is not a scope of this service: did you mean {nearest:?}?");
            assert_eq!(said, expected);
        }
        assert!(
            granted(&["orders read"])
                .unwrap_err()
                .contains("is not a scope that can")
        );
    }

    #[test]
    fn a_rule_must_name_scopes_that_keys_can_hold() {
        assert!(SCOPES.check(&ORDERS_READ.into_rule()).is_ok());
        assert!(SCOPES.check(&[ORDERS_READ, KEYS_READ].into_rule()).is_ok());
        for undeclared in ["orders:admin", "orders:raed"] {
            assert!(
                SCOPES.check(&undeclared.into_rule()).is_err(),
                "{undeclared}"
            );
        }
    }

    #[test]
    fn a_tuple_of_scope_types_asks_for_all_of_them() {
        assert_eq!(<ORDERS_READ as Requirement>::SCOPES, [ORDERS_READ]);
        let both = <(ORDERS_READ, KEYS_READ) as Requirement>::SCOPES;
        assert_eq!(both, [ORDERS_READ, KEYS_READ]);
    }

    #[test]
    fn distances_count_edits() {
        for (from, to, edits) in [("", "", 0), ("", "ab", 2), ("kitten", "sitting", 3)] {
            assert_eq!((distance(from, to), distance(to, from)), (edits, edits));
        }
    }
}
