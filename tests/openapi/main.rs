//! OpenAPI documents, and the check of routes, on the service example and on small routers.

#![cfg(feature = "axum")]

#[path = "../../examples/service/audit.rs"]
mod audit;
#[path = "../../examples/service/bearer.rs"]
mod bearer;
mod document;
mod guards;
#[path = "../../examples/service/live.rs"]
mod live;
#[path = "../../examples/service/reports.rs"]
mod reports;
#[path = "../../examples/service/requests.rs"]
mod requests;
mod route_check;
#[path = "../../examples/service/routes.rs"]
mod routes;
mod support;
#[path = "../../examples/service/usage.rs"]
mod usage;
