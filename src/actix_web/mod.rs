//! actix-web 4: the guards as middleware, extractors for who is calling, and errors as responses.
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//! use keygate::{Keygate, MemoryStore, Pepper, Principal};
//!
//! async fn list(caller: Principal) -> String {
//!     format!("orders of {}", caller.owner())
//! }
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let keys = Keygate::builder("acme_live").pepper(Pepper::from_file("pepper")?);
//!     let keys = keys.store(MemoryStore::new()).build().await?;
//!     let app = move || {
//!         App::new()
//!             .route("/healthz", web::get().to(|| async { "ok" }))
//!             .route("/orders", web::get().to(list).wrap(keys.require("orders:read")))
//!     };
//!     HttpServer::new(app).bind("127.0.0.1:8080")?.run().await?;
//!     Ok(())
//! }
//! ```
//!
//! A [`Guard`](crate::Guard) goes into the `wrap` of an `App`, a scope, a resource or a route. Of a
//! request that comes through it:
//!
//! 1. If an outer guard of the same gate has verified its key, only the rule is checked.
//! 2. Otherwise exactly one credential is taken from the headers, and the key is verified. A hit in
//!    the cache neither boxes a future nor waits.
//! 3. The header values that may carry a key are marked as sensitive, so that they stay out of
//!    what is printed of the request, and the [`Principal`](crate::Principal) is put into its
//!    extensions.
//! 4. The response gets `Cache-Control: private, no-cache`, unless the handler said otherwise, and
//!    `Vary`, so that no shared cache shows it to somebody else (RFC 9111, section 3.5). So does
//!    the response that actix-web makes of an error, which itself goes out as it is. Where that is
//!    [set](crate::Builder::tell_callers_of_end), it also tells when the key ends.
//!
//! A refused request never reaches the handler. It is answered as RFC 6750 and RFC 9457 have it.
//!
//! A handler that takes a [`Principal`](crate::Principal) answers 401 to a caller without a key whom
//! [`authenticate_optional`](crate::Keygate::authenticate_optional) let through. Behind no guard it
//! answers 500, and not 200 to everybody; the log says why. One that takes `Option<Principal>` gets
//! `None` in both. `None` of an `Option<Authorized<..>>` also stands for a caller that lacks a scope.
//!
//! Keys that are bound to networks need [`client_address`](crate::Builder::client_address).
//!
//! # Deployment caveat
//! Of several `wrap`s the last one runs first. Add CORS after the guard: preflight requests carry
//! no key. A middleware that runs before a guard must not keep a clone of the `HttpRequest`, as a
//! `from_fn` does that takes one as an argument: while there is one, actix-web lets nobody change the
//! request, and panics at each that has a valid key.

mod answer;
mod extract;
mod future;
mod guarded;

pub use extract::ExtractError;
pub use future::GuardFuture;
pub use guarded::Guarded;
