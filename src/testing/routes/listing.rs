//! The routes of a router, from its `Debug` text.

use ::axum::Router;

use super::tree::Tree;

/// What axum appends to the path of a service that is nested, and of a fallback.
const TAILS: [&str; 2] = [
    "{*__private__axum_nest_tail_param}",
    "{*__private__axum_fallback}",
];

/// How that is shown.
const TAIL: &str = "{*}";

#[derive(PartialEq, Eq, Debug)]
pub(super) struct Listing {
    pub(super) routes: Vec<Route>,
    /// What answers where no route does.
    pub(super) fallbacks: Vec<Route>,
}

#[derive(PartialEq, Eq, Debug)]
pub(super) struct Route {
    pub(super) path: String,
    pub(super) methods: Methods,
    /// Whether it stands where no route does.
    pub(super) is_fallback: bool,
}

#[derive(PartialEq, Eq, Debug)]
pub(super) enum Methods {
    All,
    These(Vec<&'static str>),
}

impl Listing {
    pub(super) fn of(router: &Router) -> Result<Self, String> {
        Self::read(&format!("{router:?}"))
    }

    fn read(text: &str) -> Result<Self, String> {
        let router = Tree::read(text)?;
        let routes = routes(router.field("Router", "path_router")?, false)?;
        if routes.is_empty() {
            return Err("it shows no route".into());
        }
        let mut fallbacks = routes_of_fallbacks(&router)?;
        fallbacks.retain(|fallback| !routes.iter().any(|route| route.takes_all_of(fallback)));
        Ok(Self { routes, fallbacks })
    }
}

/// Each fallback stands under a path and everything below it: the latter is enough.
fn routes_of_fallbacks(router: &Tree) -> Result<Vec<Route>, String> {
    let mut fallbacks = routes(router.field("Router", "fallback_router")?, true)?;
    fallbacks.retain(|fallback| fallback.path.ends_with(TAIL));
    match fallbacks.is_empty() {
        true => Err("it shows no fallback, and every router has one".into()),
        false => Ok(fallbacks),
    }
}

fn routes(path_router: &Tree, is_fallback: bool) -> Result<Vec<Route>, String> {
    let endpoints = path_router.field("PathRouter", "routes")?.map()?;
    let node = path_router.field("PathRouter", "node")?;
    let paths = node.field("Node", "paths")?.map()?;
    if endpoints.len() != paths.len() {
        return Err("it shows more routes than paths, or fewer".into());
    }
    let mut routes = Vec::new();
    for (id, path) in paths {
        let endpoint = endpoints.iter().find(|(of, _)| of == id);
        let (_, endpoint) = endpoint.ok_or_else(|| format!("it does not show what {id:?} is"))?;
        let path = TAILS.iter().fold(path.text()?.to_owned(), |path, tail| {
            path.replace(tail, TAIL)
        });
        routes.push(Route {
            path,
            methods: methods(endpoint)?,
            is_fallback,
        });
    }
    routes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(routes)
}

fn methods(endpoint: &Tree) -> Result<Methods, String> {
    const ALL: [(&str, &str); 9] = [
        ("get", "GET"),
        ("head", "HEAD"),
        ("delete", "DELETE"),
        ("options", "OPTIONS"),
        ("patch", "PATCH"),
        ("post", "POST"),
        ("put", "PUT"),
        ("trace", "TRACE"),
        ("connect", "CONNECT"),
    ];
    match endpoint.tuple()? {
        ("Route", _) => Ok(Methods::All),
        ("MethodRouter", [router]) => {
            let (allowed, _) = router.field("MethodRouter", "allow_header")?.tuple()?;
            let mut methods = Vec::new();
            for (field, method) in ALL {
                let (handler, _) = router.field("MethodRouter", field)?.tuple()?;
                if handler != "None" {
                    methods.push(method);
                }
            }
            // `any` leaves `Allow` out.
            Ok(match allowed {
                "Skip" => Methods::All,
                _ => Methods::These(methods),
            })
        }
        (other, _) => Err(format!("a route is {other:?}")),
    }
}

impl Route {
    /// Whether a request below the path of `fallback` is one for this route.
    fn takes_all_of(&self, fallback: &Self) -> bool {
        let wildcard = self.path.rsplit_once("{*");
        wildcard.is_some_and(|(start, _)| fallback.path.starts_with(start))
    }
}

#[cfg(test)]
mod tests {
    use ::axum::routing::{any, get, get_service, post};

    use super::*;

    async fn handler() {}

    fn shown(router: Router) -> Vec<String> {
        let listing = Listing::of(&router).unwrap();
        let shown = |route: &Route| match &route.methods {
            Methods::All => format!("* {}", route.path),
            Methods::These(methods) => format!("{} {}", methods.join(","), route.path),
        };
        listing
            .routes
            .iter()
            .chain(&listing.fallbacks)
            .map(shown)
            .collect()
    }

    #[test]
    fn all_kinds_of_routes_are_found() {
        let inner = Router::new()
            .route("/", get(handler))
            .route("/{id}", post(handler))
            .fallback(handler);
        let merged = Router::new().route("/merged", get(handler));
        let router = Router::new()
            .route("/a\"b {{x}}", get(handler).put(handler))
            .route("/both", get(handler))
            .route("/both", post(handler))
            .route("/any", any(handler))
            .route("/files/{*rest}", get(handler))
            .route("/method_service", get_service(get(handler)))
            .route_service("/service", get(handler))
            .nest("/nest", inner)
            .nest_service("/below", merged.clone())
            .merge(merged)
            .layer(tower_layer::layer_fn(|inner| inner))
            .with_state(());
        let expected = [
            "GET,PUT /a\"b {{x}}",
            "* /any",
            "* /below",
            "* /below/",
            "* /below/{*}",
            "GET,POST /both",
            "GET /files/{*rest}",
            "GET /merged",
            "GET /method_service",
            "GET /nest",
            "POST /nest/{id}",
            "* /service",
            "* /nest/{*}",
            "* /{*}",
        ];
        let mut shown = shown(router);
        let mut expected = expected.map(str::to_owned).to_vec();
        shown.sort();
        expected.sort();
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_fallback_that_no_request_reaches_is_left_out() {
        let router = Router::new().route("/{*all}", any(handler));
        assert_eq!(shown(router), ["* /{*all}"]);
    }

    #[test]
    fn a_text_that_is_not_understood_whole_is_no_router_without_routes() {
        let router = Router::<()>::new().route("/a", get(handler));
        let text = format!("{router:?}");
        assert!(Listing::read(&text).is_ok());
        let changes = [
            ("path_router", "paths"),
            ("fallback_router", "other"),
            ("PathRouter", "Tree"),
            ("node", "tree"),
            ("\"/a\"", ""),
            ("RouteId(1): \"/a\"", ""),
            ("RouteId(1): \"/a\"", "RouteId(9): \"/a\""),
            ("MethodRouter {", "Methods {"),
            ("MethodRouter(", "Other("),
            ("get:", "gets:"),
            ("allow_header", "allow"),
            ("__private__axum_fallback", "fallback"),
        ];
        for (from, to) in changes {
            assert!(text.contains(from), "{from} in {text}");
            let changed = text.replace(from, to);
            assert!(Listing::read(&changed).is_err(), "{from} -> {to}");
        }
        let empty = Listing::of(&Router::new()).unwrap_err();
        assert!(empty.contains("no route"), "{empty}");
    }
}
