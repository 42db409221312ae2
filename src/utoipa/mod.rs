//! OpenAPI 3.1 by utoipa 6: what guards ask for and how they refuse, written into the document by
//! the guards themselves.
//!
//! A [`Keygate`] is a [`Modify`](::utoipa::Modify): it adds to a document
//!
//! 1. a security scheme for each way in which [keys are accepted](crate::Credentials);
//! 2. the schema `Problem` (RFC 9457), unless the document has one of that name, with all `code`s;
//! 3. the responses of guards, of that schema, for operations to refer to: `KeyMalformed` (400),
//!    `KeyRefused` (401), `KeyForbidden` (403), `KeyLimited` (429), `KeyUnchecked` (503).
//!
//! `Guard::document` writes into operations what one guard asks for. With axum,
//! `keygate::axum::RoutesExt::guarded_by` puts the guard around the handlers as well, so that neither
//! can be forgotten. What a handler asks in itself, by `Authorized<..>`, no guard knows or documents:
//! put it into the guard's rule.
//!
#![cfg_attr(feature = "axum", doc = "```")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! use keygate::{Keygate, axum::RoutesExt};
//! use utoipa::{Modify, OpenApi};
//! use utoipa_axum::{router::OpenApiRouter, routes};
//!
//! #[derive(OpenApi)]
//! #[openapi(info(title = "Orders", version = "1.0.0"))]
//! struct Description;
//!
//! #[utoipa::path(get, path = "/orders", responses((status = 200, description = "the orders")))]
//! async fn list() {}
//!
//! fn app(keys: &Keygate) -> (axum::Router, utoipa::openapi::OpenApi) {
//!     let guarded = routes!(list).guarded_by(keys.require("orders:read"));
//!     let (app, mut document) = OpenApiRouter::with_openapi(Description::openapi())
//!         .routes(guarded)
//!         .split_for_parts();
//!     keys.modify(&mut document);
//!     (app, document)
//! }
//! # use keygate::{MemoryStore, Pepper};
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let pepper = Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap();
//! # let keys = Keygate::builder("acme").pepper(pepper).store(MemoryStore::new()).build().await;
//! # let document = serde_json::to_value(app(&keys.unwrap()).1).unwrap();
//! # assert_eq!(document["info"]["title"], "Orders");
//! # assert_eq!(document["paths"]["/orders"]["get"]["security"][0]["bearer_key"][0], "orders:read");
//! # assert!(document["components"]["responses"]["KeyRefused"].is_object());
//! # });
//! ```

#[cfg(any(feature = "tower", feature = "actix-web"))]
mod guard;
mod headers;
#[cfg(any(feature = "tower", feature = "actix-web"))]
mod operations;
mod problem;

#[cfg(all(feature = "testing", feature = "axum"))]
pub(crate) use operations::operations;

use ::utoipa::openapi::OpenApi;
use ::utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme,
};

use crate::credentials::Way;
use crate::keygate::Keygate;

/// Adds what the operations that a guard documents refer to.
impl ::utoipa::Modify for Keygate {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let about = self.about_keys();
        for way in self.answers.credentials().ways() {
            components.add_security_scheme(scheme_name(way), scheme(way, &about));
        }
        let schemas = &mut components.schemas;
        let known = schemas.entry(problem::SCHEMA.to_owned());
        known.or_insert_with(problem::schema);
        for (_, refusal) in &problem::REFUSALS {
            let name = refusal.name.to_owned();
            components
                .responses
                .insert(name, refusal.to_response(self.answers.tells_limits()));
        }
    }
}

impl Keygate {
    fn about_keys(&self) -> String {
        let mut text = "An API key of this service.".to_owned();
        if let Some(catalogue) = self.catalogue() {
            text += " Its scopes are of these:\n";
            for scope in catalogue.scopes() {
                text += &format!("\n- `{scope}`: {}", scope.description());
            }
        }
        text
    }
}

/// What a way to send keys is called in documents. No name of a header has an underscore, so none
/// is taken twice.
fn scheme_name(way: Way<'_>) -> &str {
    match way {
        Way::Bearer => "bearer_key",
        Way::Basic => "basic_key",
        Way::Header(name) => name,
    }
}

fn scheme(way: Way<'_>, about: &str) -> SecurityScheme {
    let http = |scheme, about: String| {
        let http = HttpBuilder::new().scheme(scheme).description(Some(about));
        SecurityScheme::Http(http.build())
    };
    match way {
        Way::Bearer => http(HttpAuthScheme::Bearer, about.to_owned()),
        Way::Basic => http(
            HttpAuthScheme::Basic,
            format!("{about}\n\nIt is the user name; any password will do."),
        ),
        Way::Header(name) => {
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, about)))
        }
    }
}
