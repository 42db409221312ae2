use std::collections::HashMap;

use super::Access;
use crate::limit::Charge;
use crate::scope::{IntoRule, Rule};

/// What is asked of the callers of gRPC methods. A method that is not listed is denied.
///
/// Methods and services are named in full, as in their `.proto`. The rule of a method goes before
/// that of its service.
///
/// ```
/// # keygate::scopes! { SCOPES {
/// #     /// See orders.
/// #     ORDERS_READ = "orders:read",
/// #     /// Create orders.
/// #     ORDERS_WRITE = "orders:write",
/// # } }
/// use keygate::tonic::MethodRules;
///
/// let rules = MethodRules::new()
///     .service("orders.v1.Orders", ORDERS_READ)
///     .method("orders.v1.Orders/Create", ORDERS_WRITE)
///     .authenticated("orders.v1.Orders/Chat")
///     .open("grpc.health.v1.Health");
/// ```
///
/// What is wrong with a rule is said when the service starts, by a panic:
///
/// ```should_panic
/// # use keygate::tonic::MethodRules;
/// MethodRules::new().method("orders.v1.Orders.Create", "orders:write");   // a dot for a slash
/// ```
///
/// Names match exactly. A path with other letters in upper case, an escaped character, a further
/// slash, or no gRPC method at all is denied like every other that is not listed, before the key is
/// looked at.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct MethodRules {
    /// By `package.Service/Method`, and by `package.Service`.
    access: HashMap<String, Access>,
    /// By the same.
    charges: HashMap<String, Charge>,
}

impl MethodRules {
    /// No method is open to anybody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks `rule` of the callers of a method, such as `orders.v1.Orders/Create`.
    ///
    /// # Panics
    /// For a name that is not a method's, one that is listed already, and a rule that is none.
    #[track_caller]
    pub fn method(self, name: impl AsRef<str>, rule: impl IntoRule) -> Self {
        let access = Access::Scopes(rule.into_rule());
        self.list(name.as_ref(), Some(Kind::Method), access)
    }

    /// Asks `rule` of the callers of all methods of a service, such as `orders.v1.Orders`, that are
    /// not listed by themselves. Generated code has the name as `SERVICE_NAME`.
    ///
    /// # Panics
    /// For a name that is not a service's, one that is listed already, and a rule that is none.
    #[track_caller]
    pub fn service(self, name: impl AsRef<str>, rule: impl IntoRule) -> Self {
        let access = Access::Scopes(rule.into_rule());
        self.list(name.as_ref(), Some(Kind::Service), access)
    }

    /// Asks only a valid key, whatever its scopes, of the callers of a service or a method.
    ///
    /// # Panics
    /// For a name that is neither a service's nor a method's, and one that is listed already.
    #[track_caller]
    pub fn authenticated(self, name: impl AsRef<str>) -> Self {
        self.list(name.as_ref(), None, Access::Key)
    }

    /// Asks nothing of the callers of a service or a method, such as health checks: their keys are
    /// not looked at. Only what an outer guard of the same gate has verified is known of them.
    ///
    /// # Panics
    /// For a name that is neither a service's nor a method's, and one that is listed already.
    #[track_caller]
    pub fn open(self, name: impl AsRef<str>) -> Self {
        self.list(name.as_ref(), None, Access::Open)
    }

    /// Takes so much from the limits of a caller's key for each call of a method, or of all methods
    /// of a service that have no charge by themselves: [`Guard::charge`](crate::Guard::charge) for some.
    ///
    /// # Panics
    /// For a name that is neither a service's nor a method's, and one that has a charge already. Later,
    /// [`require_by_method`](crate::Keygate::require_by_method) panics for a quota that cannot be used,
    /// and for a name whose calls are denied, or open to all.
    #[track_caller]
    #[expect(
        clippy::panic,
        reason = "a wrong name is a mistake in the host's source"
    )]
    pub fn charge(mut self, name: impl AsRef<str>, charge: impl Into<Charge>) -> Self {
        let (name, _) = named(name.as_ref());
        if self
            .charges
            .insert(name.to_owned(), charge.into())
            .is_some()
        {
            panic!("{name} has two charges: say once what a call of it takes");
        }
        self
    }

    #[track_caller]
    #[expect(
        clippy::panic,
        reason = "a wrong name is a mistake in the host's source"
    )]
    fn list(mut self, name: &str, wanted: Option<Kind>, access: Access) -> Self {
        let (name, kind) = named(name);
        match (kind, wanted) {
            (Kind::Service, Some(Kind::Method)) => {
                panic!(
                    "{name} is a service: name a method of it, like {name}/Get, or call service(..)"
                )
            }
            (Kind::Method, Some(Kind::Service)) => {
                panic!("{name} is a method: name its service alone, or call method(..)")
            }
            _ => {}
        }
        if self.access.insert(name.to_owned(), access).is_some() {
            panic!("{name} is listed twice: say once what is asked of its callers");
        }
        self
    }

    /// All rules that are named.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.access.values().filter_map(Access::rule)
    }

    /// All charges, and of each whether there are calls that it is taken for.
    pub(crate) fn charges(&self) -> impl Iterator<Item = (&str, Charge, bool)> {
        let asks = |access: &Access| !matches!(access, Access::Open);
        let is_taken = move |name: &str| match name.split_once('/') {
            Some((service, _)) => {
                let access = self.access.get(name).or_else(|| self.access.get(service));
                access.is_some_and(asks)
            }
            None => {
                let is_of = |listed: &str| listed.split('/').next() == Some(name);
                let mut listed = self.access.iter();
                listed.any(|(listed, access)| is_of(listed) && asks(access))
            }
        };
        let charges = self.charges.iter();
        charges.map(move |(name, charge)| (name.as_str(), *charge, is_taken(name)))
    }

    /// What a call of `path` takes, if that is said.
    pub(super) fn charge_of(&self, path: &str) -> Option<Charge> {
        let path = path.strip_prefix('/')?;
        let (service, _) = path.split_once('/')?;
        let charge = self.charges.get(path).or_else(|| self.charges.get(service));
        charge.copied()
    }

    /// What is asked of a call of `path`, if it is listed.
    pub(super) fn of(&self, path: &str) -> Option<&Access> {
        let path = path.strip_prefix('/')?;
        let (service, method) = path.split_once('/')?;
        let of_service = || self.access.get(service).filter(|_| is_identifier(method));
        self.access.get(path).or_else(of_service)
    }
}

/// A name without a slash before it, and what it stands for.
#[track_caller]
#[expect(
    clippy::panic,
    reason = "a wrong name is a mistake in the host's source"
)]
fn named(name: &str) -> (&str, Kind) {
    let name = name.strip_prefix('/').unwrap_or(name);
    match Kind::of(name) {
        Some(kind) => (name, kind),
        None => panic!(
            "{name:?} names no gRPC service or method: write it like orders.v1.Orders or orders.v1.Orders/Create"
        ),
    }
}

/// What a name stands for.
enum Kind {
    Service,
    Method,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        let (service, method) = match name.split_once('/') {
            Some((service, method)) => (service, Some(method)),
            None => (name, None),
        };
        let is_name = service.split('.').all(is_identifier) && method.is_none_or(is_identifier);
        is_name.then_some(if method.is_some() {
            Self::Method
        } else {
            Self::Service
        })
    }
}

/// An identifier of protobuf.
fn is_identifier(text: &str) -> bool {
    let is_letter = |c: u8| c.is_ascii_alphabetic() || c == b'_';
    text.bytes().next().is_some_and(is_letter)
        && text.bytes().all(|c| is_letter(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> MethodRules {
        MethodRules::new()
            .service("a.v1.Orders", "orders:read")
            .method("/a.v1.Orders/Create", "orders:write")
            .authenticated("a.v1.Orders/Chat")
            .method("a.v1.Keys/List", "keys:read")
            .open("health.Health")
    }

    #[test]
    fn a_method_is_asked_what_is_listed_for_it_or_else_for_its_service() {
        for (path, expected) in [
            ("/a.v1.Orders/Create", "orders:write"),
            ("/a.v1.Orders/Get", "orders:read"),
            ("/a.v1.Orders/create", "orders:read"),
            ("/a.v1.Orders/Chat", "key"),
            ("/a.v1.Keys/List", "keys:read"),
            ("/health.Health/Check", "open"),
        ] {
            let asked = match rules().of(path) {
                Some(Access::Scopes(rule)) => rule.scopes()[0].to_string(),
                Some(Access::Key) => "key".into(),
                Some(Access::Open) => "open".into(),
                other => panic!("{path}: {other:?}"),
            };
            assert_eq!(asked, expected, "{path}");
        }
    }

    #[test]
    fn whatever_is_not_exactly_a_listed_path_is_denied() {
        for path in [
            "",
            "/",
            "*",
            "//",
            "a.v1.Orders/Get",
            "/a.v1.Orders",
            "/a.v1.Orders/",
            "/a.v1.Orders//Get",
            "//a.v1.Orders/Get",
            "/a.v1.Orders/Get/",
            "/a.v1.Orders/Get/x",
            "/a.v1.Orders/Create/",
            "/a.v1.Orders/%43reate",
            "/a.v1.Orders/../Orders/Get",
            "/a.v1.Orders/.",
            "/a%2Ev1.Orders/Get",
            "/A.v1.Orders/Get",
            "/a.v1.orders/Get",
            "/a.v1.Orders2/Get",
            "/v1.Orders/Get",
            "/x.a.v1.Orders/Get",
            "/a.v1.Keys/Revoke",
            "/a.v1.Keys/list",
            "/x/health.Health/Check",
        ] {
            assert!(rules().of(path).is_none(), "{path}");
        }
        assert!(MethodRules::new().of("/a.v1.Orders/Get").is_none());
    }

    #[test]
    fn a_call_takes_the_charge_of_its_method_or_else_of_its_service() {
        let rules = rules()
            .charge("a.v1.Orders", Charge::of(2))
            .charge("/a.v1.Orders/Create", Charge::of(3));
        for (path, own) in [
            ("/a.v1.Orders/Create", Some(3)),
            ("/a.v1.Orders/Get", Some(2)),
            ("/a.v1.Orders/Chat", Some(2)),
            ("/a.v1.Keys/List", None),
            ("/health.Health/Check", None),
        ] {
            let charge = rules.charge_of(path).map(|charge| charge.own);
            assert_eq!(charge, own, "{path}");
        }
    }

    #[test]
    fn a_charge_that_no_call_is_asked_for_is_known() {
        let rules = [
            ("a.v1.Orders", true),
            ("a.v1.Orders/Create", true),
            ("a.v1.Orders/Unlisted", true),
            ("a.v1.Keys", true),
            ("a.v1.Keys/List", true),
            ("a.v1.Keys/Revoke", false),
            ("health.Health", false),
            ("health.Health/Check", false),
            ("b.v1.Orders", false),
        ];
        for (name, expected) in rules {
            let with_charge = self::rules().charge(name, Charge::of(2));
            let (_, _, is_taken) = with_charge.charges().next().unwrap();
            assert_eq!(is_taken, expected, "{name}");
        }
    }

    #[test]
    fn a_fault_in_the_rules_stops_the_start_and_is_named() {
        type List = fn(MethodRules) -> MethodRules;
        let cases: [(List, &str); 16] = [
            (|r| r.open(""), "names no gRPC"),
            (|r| r.open("a.v1."), "names no gRPC"),
            (|r| r.open("a..Orders"), "names no gRPC"),
            (|r| r.open("//a.Orders"), "names no gRPC"),
            (|r| r.open("a.Orders/"), "names no gRPC"),
            (|r| r.open("a.Orders/Get/x"), "names no gRPC"),
            (|r| r.open("a.Orders/*"), "names no gRPC"),
            (|r| r.authenticated("a.Orders/1Get"), "names no gRPC"),
            (|r| r.method("a.v1.Orders", "a"), "is a service"),
            (|r| r.service("a.v1.Orders/Get", "a"), "is a method"),
            (|r| r.method("a.Orders/Get", "no scope"), "is not a scope"),
            (|r| r.open("a.Orders").open("/a.Orders"), "listed twice"),
            (
                |r| r.service("a.Orders", "a").authenticated("a.Orders"),
                "listed twice",
            ),
            (|r| r.charge("a..Orders", Charge::of(2)), "names no gRPC"),
            (
                |r| {
                    r.charge("a.Orders", Charge::of(2))
                        .charge("/a.Orders", Charge::of(2))
                },
                "two charges",
            ),
            (
                |r| r.open("a.Orders/Get").method("a.Orders/Get", "a"),
                "listed twice",
            ),
        ];
        for (n, (list, fault)) in cases.into_iter().enumerate() {
            let said = std::panic::catch_unwind(|| list(MethodRules::new())).unwrap_err();
            let said = said.downcast_ref::<String>().unwrap();
            assert!(said.contains(fault), "case {n}: {said}");
        }
    }
}
