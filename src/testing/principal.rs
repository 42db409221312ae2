use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::credentials::Credentials;
use crate::exposure::ExposurePolicy;
use crate::gate::{Gate, default_realm};
use crate::key::{KeyId, Prefix};
use crate::limit::Limiter;
use crate::principal::{Identity, Principal, Secret};
use crate::scope::ScopeSet;
#[cfg(any(feature = "tower", feature = "actix-web"))]
use crate::{guard::Authorized, scope::Requirement};

/// Begins a principal that no gate has verified, to call a handler with.
///
/// No guard and no manager trusts it: it stands for a caller in tests of handlers alone. Its key is
/// made up, and never ends.
///
/// ```
/// use keygate::{Principal, testing};
///
/// fn greeting(caller: &Principal) -> String {
///     format!("orders of {}", caller.owner())
/// }
/// let caller = testing::principal("org_42").scopes(["orders:read"]).build();
/// assert_eq!(greeting(&caller), "orders of org_42");
/// ```
///
/// Handlers of axum and actix-web are functions, and are called with it. A method of tonic finds it in
/// its request: `request.extensions_mut().insert(caller)`.
pub fn principal(owner: impl Into<String>) -> PrincipalBuilder {
    PrincipalBuilder {
        owner: owner.into(),
        environment: "acme_test".into(),
        name: String::new(),
        scopes: Vec::new(),
        metadata: BTreeMap::new(),
        expires_at: None,
        address: None,
    }
}

/// A principal in the making.
#[derive(Clone, Debug)]
#[must_use]
pub struct PrincipalBuilder {
    owner: String,
    environment: String,
    name: String,
    scopes: Vec<String>,
    metadata: BTreeMap<String, String>,
    expires_at: Option<Timestamp>,
    address: Option<IpAddr>,
}

impl PrincipalBuilder {
    /// Its environment, `acme_test` unless set.
    pub fn environment(self, prefix: impl Into<String>) -> Self {
        Self {
            environment: prefix.into(),
            ..self
        }
    }

    /// The name of its key.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    /// What it may do; nothing unless set.
    pub fn scopes<I>(self, scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self {
            scopes: scopes.into_iter().map(Into::into).collect(),
            ..self
        }
    }

    /// The host's notes on its key.
    pub fn metadata<K, V>(self, entries: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        let entries = entries.into_iter().map(|(k, v)| (k.into(), v.into()));
        Self {
            metadata: entries.collect(),
            ..self
        }
    }

    /// When its key ends.
    pub fn expires_at(self, end: impl Into<Timestamp>) -> Self {
        Self {
            expires_at: Some(end.into()),
            ..self
        }
    }

    /// Where it calls from.
    pub fn client_address(self, address: IpAddr) -> Self {
        Self {
            address: Some(address),
            ..self
        }
    }

    /// The principal, as an extractor that asks for `R` hands it to a handler. Which scopes the service
    /// declares is not looked at.
    ///
    /// # Panics
    /// When it lacks a scope of `R`, and as [`build`](Self::build).
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    #[expect(clippy::expect_used, reason = "a test that is wrong fails")]
    pub fn authorized<R: Requirement>(self) -> Authorized<R> {
        let judged = Authorized::judge(Some(&self.build()), None);
        judged.expect("the scopes that the handler asks for")
    }

    /// The principal.
    ///
    /// # Panics
    /// When a scope or the environment cannot be one, or there are no random bytes for the id.
    #[expect(clippy::expect_used, reason = "a test that is wrong fails")]
    pub fn build(self) -> Principal {
        let environment: Prefix = self.environment.parse().expect("an environment");
        let gate = Gate {
            exposure: ExposurePolicy::default(),
            realm: default_realm(&environment),
            credentials: Credentials::new(),
            foreign: Default::default(),
            page: None,
            catalogue: None,
            end_notice: None,
            standing: Default::default(),
            limiter: Limiter::default(),
            quotas: Default::default(),
            meter: None,
            events: Default::default(),
            #[cfg(any(feature = "tower", feature = "actix-web"))]
            url_leaks: None,
        };
        let identity = Identity {
            gate: Arc::new(gate),
            is_canary: false,
            key_id: KeyId::generate().expect("random bytes"),
            environment,
            name: self.name.into(),
            owner: self.owner.into(),
            scopes: ScopeSet::parse(self.scopes).expect("scopes"),
            metadata: self.metadata,
            expires_at: self.expires_at,
            restrictions: None,
        };
        let secret = Secret {
            created_at: Timestamp::MIN,
            ends_at: self.expires_at,
        };
        Principal::new(Arc::new(identity), secret, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manage::{ManageError, NewKey};

    #[tokio::test]
    async fn what_was_made_by_hand_is_trusted_by_no_gate() {
        let keys = crate::testing::builder().build().await.unwrap();
        let caller = principal("org_42").scopes(["keys:write"]).build();
        assert!(!keys.authenticator().vouches_for(&caller));
        let manager = keys.manager().on_behalf_of(&caller);
        let outcome = manager.issue(NewKey::for_owner("org_42")).await;
        assert!(matches!(outcome, Err(ManageError::CallerEnded)));
    }

    #[cfg(any(feature = "tower", feature = "actix-web"))]
    mod authorized {
        use crate::testing::principal;

        crate::scopes! {
            pub(super) SCOPES {
                /// See orders.
                ORDERS_READ = "orders:read",
            }
        }

        #[test]
        fn a_handler_that_asks_for_scopes_can_be_called_with_who_has_them() {
            let caller = principal("org_42").scopes(SCOPES.scopes().iter().copied());
            assert_eq!(caller.authorized::<ORDERS_READ>().owner(), "org_42");
        }

        #[test]
        #[should_panic(expected = "the scopes that the handler asks for")]
        fn who_lacks_a_scope_is_not_authorised_in_tests_either() {
            principal("org_42").authorized::<ORDERS_READ>();
        }
    }

    #[test]
    fn a_principal_is_what_it_was_made_as() {
        let address: IpAddr = "203.0.113.7".parse().unwrap();
        let caller = principal("org_42")
            .environment("acme_live")
            .name("CI")
            .scopes(["orders:read,write"])
            .metadata([("plan", "gold")])
            .expires_at(Timestamp::MAX)
            .client_address(address)
            .build();
        assert_eq!((caller.owner(), caller.name()), ("org_42", "CI"));
        assert_eq!(caller.environment().as_str(), "acme_live");
        assert_eq!(caller.scopes().as_str(), "orders:read orders:write");
        assert_eq!(caller.metadata()["plan"], "gold");
        assert_eq!(caller.expires_at(), Some(Timestamp::MAX));
        assert_eq!(caller.client_address(), Some(address));
    }
}
