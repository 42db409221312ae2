use ::tonic::{Request, Status};

use crate::guard::Authorized;
use crate::guard::authorized::verified;
use crate::principal::Principal;
use crate::scope::Requirement;

/// Who is calling, for the methods of a service behind a guard.
///
/// ```
/// # keygate::scopes! { SCOPES {
/// #     /// See orders.
/// #     ORDERS_READ = "orders:read",
/// # } }
/// use keygate::tonic::RequestExt;
/// use tonic::{Request, Response, Status};
///
/// async fn whoami(request: Request<()>) -> Result<Response<String>, Status> {
///     Ok(Response::new(request.principal()?.owner().to_owned()))
/// }
///
/// async fn list(request: Request<()>) -> Result<Response<String>, Status> {
///     let caller = request.authorized::<ORDERS_READ>()?;
///     Ok(Response::new(format!("orders of {}", caller.owner())))
/// }
/// ```
///
/// Of a method that is open to callers without a key, `request.extensions().get::<Principal>()` is
/// the caller, if any.
pub trait RequestExt: sealed::Sealed {
    /// The caller, verified by a guard. It outlives the request, and is cheap to clone.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` to whom an optional guard let through without a key. `INTERNAL` where no guard
    /// has looked for one: it is logged, and nobody is answered.
    fn principal(&self) -> Result<Principal, Status>;

    /// The caller, if it has all scopes of `R`: the type of a [declared scope](crate::scopes), or a
    /// tuple of such types.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` to a caller that lacks a scope, and as [`principal`](Self::principal).
    fn authorized<R: Requirement>(&self) -> Result<Authorized<R>, Status>;
}

impl<T> RequestExt for Request<T> {
    fn principal(&self) -> Result<Principal, Status> {
        let extensions = self.extensions();
        Ok(verified(extensions.get(), extensions.get())?.clone())
    }

    fn authorized<R: Requirement>(&self) -> Result<Authorized<R>, Status> {
        let extensions = self.extensions();
        Ok(Authorized::judge(extensions.get(), extensions.get())?)
    }
}

mod sealed {
    pub trait Sealed {}

    impl<T> Sealed for ::tonic::Request<T> {}
}
