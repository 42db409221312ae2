//! Whether a document tells what the router has.

use ::utoipa::openapi::OpenApi;
use ::utoipa::openapi::path::Operation;
use ::utoipa::openapi::security::SecurityRequirement;

use super::listing::{Methods, Route};
use super::{RouteCheck, RouteFault};
use crate::utoipa::operations;

impl RouteCheck<'_> {
    pub(super) fn compare(&self, document: &OpenApi, routes: &[Route]) -> Vec<RouteFault> {
        let mut faults = self.operations_at_fault(document, routes);
        for route in routes {
            let is_in_document = |method: Option<&str>| {
                let items = document.paths.paths.iter();
                items
                    .filter(|(path, _)| is_path_of(path, route))
                    .flat_map(|(_, item)| operations(item))
                    .any(|(documented, _)| method.is_none_or(|method| method == documented))
            };
            let missing: Vec<String> = match &route.methods {
                Methods::All if self.is_open("", &route.path) || is_in_document(None) => vec![],
                Methods::All => vec![route.path.clone()],
                Methods::These(methods) => methods
                    .iter()
                    .filter(|method| !self.is_open(method, &route.path))
                    .filter(|method| !is_in_document(Some(method)))
                    .map(|method| format!("{method} {}", route.path))
                    .collect(),
            };
            let undocumented = |route| RouteFault::Undocumented { route };
            faults.extend(missing.into_iter().map(undocumented));
        }
        faults
    }

    fn operations_at_fault(&self, document: &OpenApi, routes: &[Route]) -> Vec<RouteFault> {
        let mut faults = Vec::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in operations(item) {
                let name = format!("{method} {path}");
                let found = routes
                    .iter()
                    .find(|route| is_path_of(path, route) && route.takes(method));
                let Some(found) = found else {
                    faults.push(RouteFault::NotRouted { route: name });
                    continue;
                };
                let is_open = self.is_open(method, &found.path);
                match (is_open, asks_for_something(document, operation)) {
                    (false, true) | (true, false) => {}
                    (true, true) => faults.push(RouteFault::OpenWithSecurity { route: name }),
                    (false, false) => faults.push(RouteFault::WithoutSecurity { route: name }),
                }
            }
        }
        faults
    }
}

impl Route {
    fn takes(&self, method: &str) -> bool {
        match &self.methods {
            Methods::All => true,
            Methods::These(methods) => {
                let head = method == "HEAD" && methods.contains(&"GET");
                head || methods.contains(&method)
            }
        }
    }
}

/// Whether a path of the document is that of the route. OpenAPI has no wildcards, but utoipa-axum
/// leaves them in.
fn is_path_of(path: &str, route: &Route) -> bool {
    path == route.path || path == route.path.replace("{*", "{")
}

/// An operation that says nothing has the security of the whole document. Where one alternative is
/// empty, nothing is needed.
fn asks_for_something(document: &OpenApi, operation: &Operation) -> bool {
    let security = operation.security.as_ref().or(document.security.as_ref());
    security.is_some_and(|alternatives| {
        let nothing = SecurityRequirement::default();
        !alternatives.is_empty() && !alternatives.contains(&nothing)
    })
}
