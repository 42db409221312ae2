//! tonic 0.14: the [middleware](crate::tower) with rules for methods, and gRPC answers.
//!
//! ```no_run
//! # keygate::scopes! { SCOPES {
//! #     /// See orders.
//! #     ORDERS_READ = "orders:read",
//! #     /// Create orders.
//! #     ORDERS_WRITE = "orders:write",
//! # } }
//! # async fn run(builder: keygate::Builder) -> Result<(), Box<dyn std::error::Error>> {
//! use keygate::ClientAddress;
//! use keygate::tonic::MethodRules;
//! use tonic::transport::Server;
//!
//! let keys = builder      // as everywhere, and for keys that are bound to networks:
//!     .client_address(ClientAddress::peer())
//!     .build()
//!     .await?;
//! let rules = MethodRules::new()
//!     .service("orders.v1.Orders", ORDERS_READ)
//!     .method("orders.v1.Orders/Create", ORDERS_WRITE)
//!     .open("grpc.health.v1.Health");
//! # let (_, health) = tonic_health::server::health_reporter();
//! # let orders = health.clone();
//! Server::builder()
//!     .layer(keys.require_by_method(rules))
//!     .add_service(orders)
//!     .add_service(health)
//!     .serve("127.0.0.1:50051".parse()?)
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! A method learns who calls by [`RequestExt`], and [`ManageError`](crate::ManageError) becomes a
//! status by `?`. The example `grpc` of this crate is a whole service, with HTTP beside it.
//!
//! # What is asked
//! 1. The path alone decides what is asked: the rule of the method, or else of its service. To ask the
//!    same of all methods, use [`require`](crate::Keygate::require).
//! 2. Whatever is not listed in [`MethodRules`] is denied, before the key is looked at: a method
//!    that is added later is closed until it is listed.
//! 3. A key is sent in the metadata, as `authorization: Bearer KEY` or `x-api-key: KEY`.
//! 4. A rule that [only reports](crate::Rule::report_only) opens its method to every valid key, and
//!    no other method.
//! 5. A stream is decided when it begins, before its first message is read. For as long as it lasts,
//!    [`until_ended`] ends it with the caller's key.
//!
//! # What refused callers are told
//! A `POST` of the content type `application/grpc` gets a gRPC status in trailers alone; any other
//! request gets a problem, as HTTP has it. The content type decides no more than that. So answer
//! guards of [`require_by_method`](crate::Keygate::require_by_method), those around a service of
//! tonic, and those that are told to by [`grpc`](crate::Guard::grpc); all others answer as HTTP
//! has it, whatever is sent.
//!
//! | status | when |
//! |---|---|
//! | 16 `UNAUTHENTICATED` | no key, or none that opens |
//! | 7 `PERMISSION_DENIED` | the key opens, but not this; or the method is not listed |
//! | 8 `RESOURCE_EXHAUSTED` | the key is over its limit |
//! | 14 `UNAVAILABLE` | the store cannot be reached |
//! | 13 `INTERNAL` | a method asks who is calling, and no guard stands before it |
//!
//! The details hold a `google.rpc.ErrorInfo`, whose `reason` is the code of the refusal in capitals,
//! such as `KEY_EXPIRED`, whose `domain` is the realm, and which names the scopes that are missing.
//!
//! # Retries
//! A call that was refused never reached its method, so to repeat it is safe (a stream that was ended
//! later did reach it). Only 8 and 14 are worth it: they carry a `google.rpc.RetryInfo`, and `grpc-retry-pushback-ms`, which clients with
//! a retry policy obey by themselves. Such a policy, in a client's service config:
//!
//! ```json
//! {"methodConfig": [{"name": [{"service": "orders.v1.Orders"}], "retryPolicy": {
//!     "maxAttempts": 4, "initialBackoff": "0.5s", "maxBackoff": "10s", "backoffMultiplier": 2,
//!     "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]}}]}
//! ```
//!
//! tonic's own client has no such policy: read the details with `tonic_types::StatusExt`.
//!
//! # One port with HTTP
//! `tonic::service::Routes` becomes a router of axum (feature `axum`). Layer each part for itself:
//!
//! ```
//! # #[cfg(feature = "axum")]
//! # fn app(keys: keygate::Keygate, rules: keygate::tonic::MethodRules, http: axum::Router) -> axum::Router {
//! # let (_, orders) = tonic_health::server::health_reporter();
//! let grpc = tonic::service::Routes::new(orders).into_axum_router();
//! grpc.layer(keys.require_by_method(rules)).merge(http.layer(keys.authenticate()))
//! # }
//! ```
//!
//! The fallback of tonic's router comes along, so unknown paths are denied there too. An outer
//! `keys.authenticate().grpc()` over both is reused by the rules, and asks for a key where they ask nothing.
//!
//! # Deployment caveat
//! - A refused gRPC call has the HTTP status 200, as the protocol wants it. Do not use a guarded
//!   route as the authorisation check of a proxy that looks at the HTTP status alone.
//! - gRPC-Web works with the layer of `tonic_web` outside of the guard or inside. CORS goes outside
//!   of both, exposes `grpc-status`, `grpc-message` and `grpc-status-details-bin`, and what
//!   [callers are told of the end](crate::Builder::tell_callers_of_end) of their keys, and is the host's.
//! - With TLS of tonic's own, the peer is in `TlsConnectInfo<TcpConnectInfo>`, a type that only a feature
//!   of tonic has. Say so: `ClientAddress::peer().peer_from(|extensions| Some(extensions
//!   .get::<TlsConnectInfo<TcpConnectInfo>>()?.get_ref().remote_addr()?.ip()))`.
//! - A stream that was let in goes on when its key ends, unless the method wraps it by [`until_ended`].

mod request;
mod status;
mod stream;

pub use crate::guard::MethodRules;
pub use request::RequestExt;
pub use stream::{UntilEnded, until_ended};
