use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

#[cfg(feature = "tonic")]
use crate::answer::GrpcAnswer;
use crate::answer::{Answer, Answers};
use crate::principal::Principal;
use crate::refusal::{Error, Refusal};
use crate::scope::Requirement;
use crate::telemetry;

/// An extractor for who is calling, where that caller has all scopes of `R`: the type of a
/// [declared scope](crate::scopes), or a tuple of such types.
///
/// It works behind a guard that verifies the key, such as
/// [`authenticate`](crate::Keygate::authenticate), and answers 403 to a caller that lacks a scope.
///
/// ```
/// # use keygate::{Authorized, Keygate};
/// # use axum::{Router, routing::get};
/// # keygate::scopes! { SCOPES {
/// #     /// See orders.
/// #     ORDERS_READ = "orders:read",
/// # } }
/// async fn list(caller: Authorized<ORDERS_READ>) -> String {
///     format!("orders of {}", caller.owner())
/// }
/// # fn app(keys: Keygate) -> Router {
/// Router::new().route("/orders", get(list)).layer(keys.authenticate())
/// # }
/// ```
pub struct Authorized<R> {
    principal: Principal,
    requirement: PhantomData<fn() -> R>,
}

/// How the gate that has verified a request's key answers, for those who ask for more later on. It
/// is kept with the request, beside the principal.
#[derive(Clone)]
pub(crate) struct Gatekeeper(pub(crate) Arc<Answers>);

/// Why a handler is not called, for the answer in whichever protocol is spoken.
pub(crate) enum Denied {
    /// No guard has verified a key.
    Unguarded,
    /// The caller lacks something, and so these refuse it.
    By(Arc<Answers>, Refusal),
}

impl<R: Requirement> Authorized<R> {
    /// The caller of a request with these extensions, for handlers outside of a framework.
    ///
    /// # Errors
    /// The answer to a caller that lacks a scope, or 500 where no guard has verified a key.
    #[cfg(feature = "tower")]
    pub fn of(extensions: &::http::Extensions) -> Result<Self, Answer> {
        Ok(Self::judge(extensions.get(), extensions.get())?)
    }

    /// Judges the principal that a guard has left with the request.
    pub(crate) fn judge(
        principal: Option<&Principal>,
        gatekeeper: Option<&Gatekeeper>,
    ) -> Result<Self, Denied> {
        let principal = verified(principal)?.clone();
        match principal.authorize_for::<R>() {
            Ok(()) => Ok(Self {
                principal,
                requirement: PhantomData,
            }),
            Err(rejection) => {
                let refusal = rejection.into();
                telemetry::refused(&refusal, Some(principal.key_id()));
                let answers = match gatekeeper {
                    Some(Gatekeeper(answers)) => Arc::clone(answers),
                    None => Arc::new(Answers::for_environment(principal.environment())),
                };
                Err(Denied::By(answers, refusal))
            }
        }
    }
}

/// The principal that a guard has left with the request. Without one, the route is not guarded, and
/// answers nobody.
pub(crate) fn verified(principal: Option<&Principal>) -> Result<&Principal, Denied> {
    principal.ok_or_else(|| {
        telemetry::failed("handler not called", &Error::Unguarded);
        Denied::Unguarded
    })
}

impl From<Denied> for Answer {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unguarded => Self::unguarded(),
            Denied::By(answers, refusal) => answers.refuse(&refusal),
        }
    }
}

#[cfg(feature = "tonic")]
impl From<Denied> for GrpcAnswer {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unguarded => Self::unguarded(),
            Denied::By(answers, refusal) => answers.refuse_grpc(&refusal),
        }
    }
}

impl<R> Deref for Authorized<R> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl<R> From<Authorized<R>> for Principal {
    fn from(caller: Authorized<R>) -> Self {
        caller.principal
    }
}

impl<R> Clone for Authorized<R> {
    fn clone(&self) -> Self {
        Self {
            principal: self.principal.clone(),
            requirement: PhantomData,
        }
    }
}

impl<R> fmt::Debug for Authorized<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authorized").field(&self.principal).finish()
    }
}
