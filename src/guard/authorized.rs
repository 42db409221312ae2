use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

#[cfg(feature = "tonic")]
use crate::answer::GrpcAnswer;
use crate::answer::{Answer, Answers};
use crate::key::KeyId;
use crate::principal::Principal;
use crate::refusal::{Error, Refusal, Rejection};
use crate::scope::Requirement;
use crate::telemetry;

/// An extractor for who is calling, where that caller has all scopes of `R`: the type of a
/// [declared scope](crate::scopes), or a tuple of such types.
///
/// It works behind a guard that verifies the key, such as
/// [`authenticate`](crate::Keygate::authenticate), and answers 403 to a caller that lacks a scope. A
/// scope that is not in the gate's catalogue, if it has one, opens to nobody.
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
pub struct Authorized<R: Requirement> {
    principal: Principal,
    requirement: PhantomData<fn() -> R>,
}

/// How the gate answers that has let a request through without a key, for those who ask for one
/// later on. It is kept with the request, in the place of a principal.
#[derive(Clone, Debug)]
pub(crate) struct Nameless(pub(crate) Answers);

impl<R: Requirement> Authorized<R> {
    /// The caller of a request with these extensions, for handlers outside of a framework.
    ///
    /// # Errors
    /// The answer to a caller that lacks a scope (403), or that an optional guard let through without
    /// a key (401); where no guard stands before it, 500.
    #[cfg(feature = "tower")]
    pub fn of(extensions: &::http::Extensions) -> Result<Self, Answer> {
        Ok(Self::judge(extensions.get(), extensions.get())?)
    }

    /// Judges the principal that a guard has left with the request.
    pub(crate) fn judge(
        principal: Option<&Principal>,
        nameless: Option<&Nameless>,
    ) -> Result<Self, Denied> {
        let principal = verified(principal, nameless)?.clone();
        match principal.authorize_for::<R>() {
            Ok(()) => Ok(Self {
                principal,
                requirement: PhantomData,
            }),
            Err(refusal) => Err(Denied {
                refusal,
                key_id: Some(*principal.key_id()),
                answers: Some(Answers::of(&principal)),
            }),
        }
    }
}

/// The principal that a guard has left with the request. Where none was, the route is not guarded,
/// and answers nobody.
pub(crate) fn verified<'a>(
    principal: Option<&'a Principal>,
    nameless: Option<&Nameless>,
) -> Result<&'a Principal, Denied> {
    principal.ok_or_else(|| match nameless {
        Some(Nameless(answers)) => Denied {
            refusal: Rejection::KeyMissing.into(),
            key_id: None,
            answers: Some(answers.clone()),
        },
        None => Denied {
            refusal: Error::Unguarded.into(),
            key_id: None,
            answers: None,
        },
    })
}

/// Why a handler gets no caller. It is not logged yet.
#[derive(Debug)]
pub(crate) struct Denied {
    refusal: Refusal,
    key_id: Option<KeyId>,
    /// Those of the gate that has verified the key, if any has.
    answers: Option<Answers>,
}

impl Denied {
    pub(crate) fn answer(&self) -> Answer {
        match &self.answers {
            Some(answers) => answers.refuse(&self.refusal),
            None => Answer::unguarded(),
        }
    }

    pub(crate) fn log(&self) {
        match &self.refusal {
            Refusal::Failed(error) => telemetry::failed("handler not called", error),
            refusal => telemetry::refused(refusal, self.key_id.as_ref()),
        }
    }
}

/// Denies it, and says so in the log.
impl From<Denied> for Answer {
    fn from(denied: Denied) -> Self {
        denied.log();
        denied.answer()
    }
}

#[cfg(feature = "tonic")]
impl From<Denied> for GrpcAnswer {
    fn from(denied: Denied) -> Self {
        denied.log();
        match &denied.answers {
            Some(answers) => answers.refuse_grpc(&denied.refusal),
            None => Self::unguarded(),
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.refusal, f)
    }
}

impl<R: Requirement> Deref for Authorized<R> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl<R: Requirement> From<Authorized<R>> for Principal {
    fn from(caller: Authorized<R>) -> Self {
        caller.principal
    }
}

impl<R: Requirement> Clone for Authorized<R> {
    fn clone(&self) -> Self {
        Self {
            principal: self.principal.clone(),
            requirement: PhantomData,
        }
    }
}

impl<R: Requirement> fmt::Debug for Authorized<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authorized").field(&self.principal).finish()
    }
}
