use ::axum::routing::MethodRouter;
use ::utoipa::openapi::path::Paths;
use ::utoipa::openapi::{RefOr, Schema};

use crate::guard::Guard;

/// Guards and documents routes in one step: for what `routes!(..)` of utoipa-axum makes.
///
/// ```
/// # fn app(keys: &keygate::Keygate) -> utoipa_axum::router::OpenApiRouter {
/// use keygate::axum::RoutesExt;
/// use utoipa::OpenApi;
/// use utoipa_axum::{router::OpenApiRouter, routes};
///
/// #[derive(OpenApi)]
/// #[openapi(info(title = "Orders", version = "1.0.0"))]
/// struct Description;
///
/// #[utoipa::path(get, path = "/orders", responses((status = 200, description = "the orders")))]
/// async fn list() {}
///
/// OpenApiRouter::with_openapi(Description::openapi())
///     .routes(routes!(list).guarded_by(keys.require("orders:read")))
/// # }
/// ```
///
/// What a handler asks in itself, by [`Authorized`](crate::Authorized), is not documented: put it
/// into the guard's rule.
pub trait RoutesExt {
    /// The same routes behind `guard`, which is [documented](Guard::document) with them. Requests
    /// with a method that the routes do not take come through the guard too.
    fn guarded_by(self, guard: Guard) -> Self;
}

impl<S, E> RoutesExt for (Vec<(String, RefOr<Schema>)>, Paths, MethodRouter<S, E>)
where
    S: Clone + Send + Sync + 'static,
    E: Send + 'static,
{
    fn guarded_by(self, guard: Guard) -> Self {
        let (schemas, mut paths, routes) = self;
        guard.document(&mut paths);
        (schemas, paths, routes.layer(guard))
    }
}
