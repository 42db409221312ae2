use std::fmt;

use super::{IntoRule, Rule, fault_of, has_wildcard};

/// A scope that the service declares in its source, with what it allows.
///
/// It is made by [`scopes!`](crate::scopes), as a constant: text that is no scope does not compile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeclaredScope {
    name: &'static str,
    description: &'static str,
}

/// A scope as a type, for extractors. [`scopes!`](crate::scopes) makes one with each constant, of
/// the same name.
pub trait ScopeType {
    /// The scope.
    const SCOPE: DeclaredScope;
}

/// What an extractor asks of the caller: the type of a scope, or a tuple of them, which asks for
/// all.
pub trait Requirement: sealed::Sealed {
    /// The scopes that the caller must have been granted.
    const SCOPES: &'static [DeclaredScope];
}

/// Declares the scopes of a service, once: as constants that guards, extractors, the catalogue and
/// documentation share. A misspelt one does not compile.
///
/// Each scope is a constant, for guards and for issuing keys, and a type of the same name, for
/// extractors. The comments are shown to callers, as what a scope allows.
///
/// ```
/// keygate::scopes! {
///     pub SCOPES {
///         /// See orders.
///         ORDERS_READ = "orders:read",
///         /// Create orders.
///         ORDERS_WRITE = "orders:write",
///     }
///     bundles {
///         /// Everything about orders.
///         ORDERS_ADMIN = "orders:admin" => [ORDERS_READ, ORDERS_WRITE],
///     }
/// }
///
/// # fn run(builder: keygate::Builder) {
/// let builder = builder.scopes(SCOPES);
/// let new = keygate::NewKey::for_owner("org_42").scopes([ORDERS_ADMIN]);
/// # }
/// assert_eq!(ORDERS_READ.name(), "orders:read");
/// ```
///
/// A misspelt constant does not compile, and neither does text that is no scope:
///
/// ```compile_fail,E0425
/// # keygate::scopes! { SCOPES {
/// #     /// See orders.
/// #     ORDERS_READ = "orders:read",
/// # } }
/// let rule = keygate::Rule::all([ORDERS_RAED]);
/// ```
///
/// ```compile_fail,E0080
/// keygate::scopes! {
///     pub SCOPES {
///         /// See orders.
///         ORDERS_READ = "orders read",
///     }
/// }
/// ```
///
/// Nor do wildcards, which only keys are granted, an empty catalogue, and two of one name:
///
/// ```compile_fail,E0080
/// keygate::scopes! {
///     pub SCOPES {
///         /// Everything about orders.
///         ORDERS = "orders:*",
///     }
/// }
/// ```
///
/// ```compile_fail,E0080
/// keygate::scopes! {
///     pub SCOPES {}
/// }
/// ```
///
/// ```compile_fail,E0080
/// keygate::scopes! {
///     pub SCOPES {
///         /// See orders.
///         ORDERS_READ = "orders:read",
///     }
///     bundles {
///         /// See orders too.
///         ORDERS_SEE = "orders:read" => [ORDERS_READ],
///     }
/// }
/// ```
///
/// Nor does a bundle of scopes that are declared elsewhere:
///
/// ```compile_fail,E0080
/// # const USERS_READ: keygate::DeclaredScope = keygate::DeclaredScope::new("users:read", "");
/// keygate::scopes! {
///     pub SCOPES {
///         /// See orders.
///         ORDERS_READ = "orders:read",
///     }
///     bundles {
///         /// See everything.
///         ALL_READ = "all:read" => [ORDERS_READ, USERS_READ],
///     }
/// }
/// ```
///
/// ```compile_fail,E0080
/// keygate::scopes! {
///     pub SCOPES {
///         /// See orders.
///         ORDERS_READ = "orders:read",
///         /// See orders too.
///         ORDERS_SEE = "orders:read",
///     }
/// }
/// ```
#[macro_export]
macro_rules! scopes {
    (
        $visibility:vis $catalogue:ident {
            $($(#[doc = $allows:literal])+ $scope:ident = $name:literal),* $(,)?
        }
        $(bundles {
            $(
                $(#[doc = $bundle_allows:literal])+
                $bundle:ident = $bundle_name:literal => [$($part:ident),+ $(,)?]
            ),* $(,)?
        })?
    ) => {
        $(
            $(#[doc = $allows])+
            $visibility const $scope: $crate::DeclaredScope =
                $crate::DeclaredScope::new($name, ::core::concat!($($allows),+));

            $(#[doc = $allows])+
            #[allow(dead_code, non_camel_case_types)]
            #[derive(Debug)]
            $visibility enum $scope {}

            impl $crate::ScopeType for $scope {
                const SCOPE: $crate::DeclaredScope = $scope;
            }
        )*
        $($(
            $(#[doc = $bundle_allows])+
            $visibility const $bundle: $crate::Bundle = $crate::Bundle::new(
                $bundle_name,
                ::core::concat!($($bundle_allows),+),
                &[$($part),+],
            );
        )*)?
        /// All scopes of this service.
        $visibility const $catalogue: $crate::Catalogue =
            $crate::Catalogue::new(&[$($scope),*], &[$($($bundle),*)?]);
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "write it like `pub SCOPES { /// See orders.\n ORDERS_READ = \"orders:read\", }`: \
             each scope says in a comment of three slashes what it allows"
        );
    };
}

impl DeclaredScope {
    /// A scope of this name.
    ///
    /// # Panics
    /// For a name that is not a concrete scope; in a constant, that does not compile.
    #[expect(clippy::panic, reason = "it is meant for constants")]
    #[doc(hidden)]
    pub const fn new(name: &'static str, description: &'static str) -> Self {
        if fault_of(name).is_some() || has_wildcard(name) {
            panic!("a declared scope is concrete, like orders:read: see keygate::Scope");
        }
        Self {
            name,
            description: description.trim_ascii(),
        }
    }

    /// The scope as text.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// What it allows, for people.
    pub const fn description(self) -> &'static str {
        self.description
    }
}

impl AsRef<str> for DeclaredScope {
    fn as_ref(&self) -> &str {
        self.name
    }
}

impl From<DeclaredScope> for String {
    fn from(scope: DeclaredScope) -> Self {
        scope.name.into()
    }
}

impl fmt::Display for DeclaredScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl IntoRule for DeclaredScope {
    fn into_rule(self) -> Rule {
        [self].into_rule()
    }
}

/// All of them.
impl<const N: usize> IntoRule for [DeclaredScope; N] {
    #[track_caller]
    fn into_rule(self) -> Rule {
        Rule::all(self).into_rule()
    }
}

macro_rules! requirements {
    ($($scope:ident),+) => {
        impl<$($scope: ScopeType),+> sealed::Sealed for ($($scope,)+) {}

        /// All of them.
        impl<$($scope: ScopeType),+> Requirement for ($($scope,)+) {
            const SCOPES: &'static [DeclaredScope] = &[$($scope::SCOPE),+];
        }
    };
}

mod sealed {
    /// So that no requirement is empty.
    pub trait Sealed {}
}

impl<S: ScopeType> sealed::Sealed for S {}

impl<S: ScopeType> Requirement for S {
    const SCOPES: &'static [DeclaredScope] = &[S::SCOPE];
}

requirements!(A);
requirements!(A, B);
requirements!(A, B, C);
requirements!(A, B, C, D);
