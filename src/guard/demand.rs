use crate::limit::Charge;
use crate::refusal::Rejection;
use crate::scope::Rule;

/// What is asked of a request.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// Nothing: no key is looked at.
    #[cfg(feature = "tonic")]
    Open,
    /// A valid key, or none.
    KeyIfAny,
    /// A valid key.
    Key,
    /// A valid key with these scopes.
    Scopes(Rule),
}

/// What a guard asks of the requests that come to it.
#[derive(Clone, Debug)]
pub(crate) enum Demand {
    /// The same of all.
    Always(Access),
    /// Of each gRPC method what is declared for it.
    #[cfg(feature = "tonic")]
    ByMethod(super::MethodRules),
}

impl Demand {
    #[cfg(feature = "tower")]
    pub(super) fn is_by_method(&self) -> bool {
        !matches!(self, Self::Always(_))
    }

    /// What a request for `path` takes of the limits of its key, where that is said of it.
    #[cfg_attr(not(feature = "tonic"), expect(unused_variables))]
    pub(super) fn charge_of(&self, path: &str) -> Option<Charge> {
        match self {
            Self::Always(_) => None,
            #[cfg(feature = "tonic")]
            Self::ByMethod(rules) => rules.charge_of(path),
        }
    }

    /// What is asked of a request for `path`.
    #[cfg_attr(
        not(feature = "tonic"),
        expect(clippy::unnecessary_wraps, unused_variables)
    )]
    pub(super) fn of(&self, path: &str) -> Result<&Access, Rejection> {
        match self {
            Self::Always(access) => Ok(access),
            #[cfg(feature = "tonic")]
            Self::ByMethod(rules) => rules.of(path).ok_or(Rejection::MethodDenied),
        }
    }
}

impl Access {
    pub(crate) fn rule(&self) -> Option<&Rule> {
        match self {
            Self::Scopes(rule) => Some(rule),
            _ => None,
        }
    }
}
