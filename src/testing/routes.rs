#[cfg(feature = "utoipa")]
mod document;
mod listing;
mod probe;
mod tree;

use std::fmt;
use std::panic::Location;

use ::axum::Router;
#[cfg(feature = "utoipa")]
use ::utoipa::openapi::OpenApi;

use crate::keygate::Keygate;
use listing::{Listing, Methods, Route};

/// Checks that every route of an axum [`Router`] asks for a key, for a test of your service.
///
/// ```
/// # use axum::{Router, routing::get};
/// # use keygate::testing::RouteCheck;
/// # async fn list() {}
/// # async fn run(keys: keygate::Keygate) {
/// let app = Router::new()
///     .route("/orders", get(list).layer(keys.require("orders:read")))
///     .route("/healthz", get(|| async { "ok" }));
/// RouteCheck::new(&keys).open(["/healthz"]).assert(&app).await;
///
/// let app = app.route("/leak", get(|| async { "no rule" }));
/// let faults = RouteCheck::new(&keys).open(["/healthz"]).check(&app).await.unwrap_err();
/// assert!(faults.to_string().contains("GET /leak"));
/// # }
/// # use keygate::{Keygate, MemoryStore, Pepper};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let pepper = Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap();
/// # let keys = Keygate::builder("acme").pepper(pepper).store(MemoryStore::new()).build().await;
/// # run(keys.unwrap()).await;
/// # });
/// ```
///
/// **Handlers that no guard keeps keyless callers from are really called**, with an empty body and
/// with `keygate_probe` for each parameter of the path: do not point them at what must not change.
/// Those that are named as [open](Self::open) are not called.
///
/// 1. Every method of every route is sent a text that is no key, in the way in which the gate takes
///    keys, and then nothing in its place. Each answer must be the gate's own refusal: its 401 and
///    its challenge. Of what takes every method (`any`, a service) that is expected with each of
///    them. So a route behind [`authenticate_optional`](Keygate::authenticate_optional) is named as
///    open, unless its handler itself insists on a caller. A rule that
///    [only reports](crate::Rule::report_only) asks for a key, and so is a guard.
/// 2. Other methods of a route, and fallbacks, may also answer 404 or 405, and nothing else. One
///    that serves something is named as open: the fallback of the whole router as `/{*}`. `OPTIONS`
///    is left alone where no handler takes it by name, as CORS has it.
/// 3. What is named as open must exist.
/// 4. The denial of a gRPC method that is not listed, the gate's own 403, is a refusal too. So a
///    service of tonic, whose path is like `/orders.v1.Orders/{*rest}`, is guarded if its rule asks
///    for a key, or if only some of its methods are listed. What is asked for those is not looked
///    at. A service whose rule is open is named as open.
///
/// With an OpenAPI document (`document`, with the feature `utoipa`), that one is checked too.
/// gRPC services are not in such a document: check it against the routes for HTTP alone.
///
/// # How routes are found
/// axum has no list of them but the `Debug` text of a router, so that is read, as axum 0.8 writes it.
/// It is no stable interface: a new version of axum may turn the check red, with
/// [`RouteFault::Unreadable`], and never falsely green. A text that is not understood whole, or that
/// shows no route, is not taken for a router without faults. What stands outside of the router, such
/// as a layer around it as a service, is not seen. What is nested as a service cannot be looked into:
/// the guard must stand around it as a whole.
#[derive(Clone)]
#[must_use]
pub struct RouteCheck<'a> {
    keys: &'a Keygate,
    open: Vec<String>,
    #[cfg(feature = "utoipa")]
    document: Option<&'a OpenApi>,
}

/// What is wrong with the routes of a router. It is shown with one line for each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteFaults(Vec<RouteFault>);

/// What is wrong with a route. `route` is its method, where one is meant, and its path.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouteFault {
    /// The document has an operation that the router does not have.
    #[error("{route} is in the document, and the router has no such route")]
    NotRouted {
        /// The operation.
        route: String,
    },
    /// A route is named as open, and the document says that it asks for a key.
    #[error("{route} is named as open, and asks for a key in the document")]
    OpenWithSecurity {
        /// The operation.
        route: String,
    },
    /// A route that is not open is not in the document.
    #[error("{route} is not in the document: add it, or name it as open")]
    Undocumented {
        /// The route.
        route: String,
    },
    /// The route has another answer than the refusal that is due.
    #[error(
        "{route} has no guard that asks for a key: {sent} was answered with {answer}. Put keys.require(..) or keys.authenticate() around it, or name it as open"
    )]
    Unguarded {
        /// The route.
        route: String,
        /// What was sent.
        sent: &'static str,
        /// What it answered.
        answer: String,
    },
    /// What is named as open does not exist.
    #[error("{route} is named as open, and the router has no such route")]
    UnknownOpen {
        /// The name.
        route: String,
    },
    /// The routes cannot be told.
    #[error("the routes cannot be read from the router's Debug text: {0}")]
    Unreadable(String),
    /// The document does not say that the operation asks for a key.
    #[error(
        "{route} declares no security in the document: use guarded_by or Guard::document, or name it as open"
    )]
    WithoutSecurity {
        /// The operation.
        route: String,
    },
}

impl<'a> RouteCheck<'a> {
    /// A check that every route is behind a guard of `keys`.
    pub fn new(keys: &'a Keygate) -> Self {
        Self {
            keys,
            open: Vec::new(),
            #[cfg(feature = "utoipa")]
            document: None,
        }
    }

    /// These routes are meant for everybody: paths as they were given to the router, such as
    /// `/files/{name}`, which stand for all methods, or one method of a path, such as `GET /orders`.
    pub fn open<I>(mut self, routes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.open.extend(routes.into_iter().map(Into::into));
        self
    }

    /// Checks this document of the router too: it has all routes that are not open, each with a
    /// `security` that asks for a key, and no others. Open routes may be in it, without one or with
    /// one that is optional.
    #[cfg(feature = "utoipa")]
    pub fn document(mut self, document: &'a OpenApi) -> Self {
        self.document = Some(document);
        self
    }

    /// Does the check.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub async fn check(&self, router: &Router) -> Result<(), RouteFaults> {
        let listing = match Listing::of(router) {
            Ok(listing) => listing,
            Err(why) => return Err(RouteFaults(vec![RouteFault::Unreadable(why)])),
        };
        let mut faults = self.unknown_open(&listing);
        for route in listing.routes.iter().chain(&listing.fallbacks) {
            for probe in probe::all_of(route) {
                if self.is_open(probe.method, &route.path) {
                    continue;
                }
                faults.extend(probe.send(self.keys, router).await.err());
            }
        }
        #[cfg(feature = "utoipa")]
        if let Some(document) = self.document {
            faults.extend(self.compare(document, &listing.routes));
        }
        match faults.is_empty() {
            true => Ok(()),
            false => Err(RouteFaults(faults)),
        }
    }

    /// Does the check, for a test.
    ///
    /// # Panics
    /// If anything is wrong, with all of it.
    #[track_caller]
    pub fn assert(&self, router: &Router) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            #[expect(clippy::panic, reason = "it is for tests")]
            if let Err(faults) = self.check(router).await {
                panic!("at {caller}: {faults}");
            }
        }
    }

    fn is_open(&self, method: &str, path: &str) -> bool {
        let names = |open: &String| open == path || is_method_of(open, method, path);
        self.open.iter().any(names)
    }

    fn unknown_open(&self, listing: &Listing) -> Vec<RouteFault> {
        let exists = |open: &&String| {
            let mut all = listing.routes.iter().chain(&listing.fallbacks);
            all.any(|route| open.as_str() == route.path || route.has_method_named(open))
        };
        let unknown = self.open.iter().filter(|open| !exists(open));
        unknown
            .map(|open| RouteFault::UnknownOpen {
                route: open.clone(),
            })
            .collect()
    }
}

impl fmt::Debug for RouteCheck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteCheck")
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl Route {
    fn has_method_named(&self, name: &str) -> bool {
        match &self.methods {
            Methods::All => name
                .split_once(' ')
                .is_some_and(|(_, path)| path == self.path),
            Methods::These(methods) => methods
                .iter()
                .any(|method| is_method_of(name, method, &self.path)),
        }
    }
}

/// Whether `name` is `method`, a space, and `path`.
fn is_method_of(name: &str, method: &str, path: &str) -> bool {
    name.split_once(' ') == Some((method, path))
}

impl RouteFaults {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &RouteFault> {
        self.0.iter()
    }
}

impl fmt::Display for RouteFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("routes are not as they must be:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n- {fault}"))
    }
}

impl std::error::Error for RouteFaults {}
