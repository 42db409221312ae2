//! Keys that GitHub has found in public repositories and packages: the receiver of its
//! [secret scanning partner program](https://docs.github.com/en/code-security/secret-scanning/secret-scanning-partnership-program/secret-scanning-partner-program).
//!
//! GitHub posts what it has found to a route of the service, signed. [`SecretScanning`] takes such a
//! request as plain values, whatever the framework, and gives the answer:
//!
//! 1. The signature must be of a key that GitHub publishes, over the body as it came. Otherwise nothing is
//!    looked up.
//! 2. Each text is [reported](crate::KeyManager::report_leak): if its secret proves right, what
//!    [`Builder::on_leak`](crate::Builder::on_leak) says is done, and the audit log has where it was found.
//! 3. GitHub is told which of the texts were keys, by their SHA-256 and never in the clear.
//!
//! What fails by the store is answered 503, so that GitHub sends it again. What is sent twice does no more
//! than once; for an hour, a process does not tell it in the audit log again.
//!
//! ```
//! # use keygate::{Keygate, github::{GithubKeys, SecretScanning}};
//! # async fn run(keys: Keygate, published: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! // What https://api.github.com/meta/public_keys/secret_scanning answers. keygate contacts nobody.
//! let scanning = SecretScanning::new(keys.manager(), GithubKeys::from_json(published)?);
//!
//! // In the route's handler, with the fields of the request and its body as it came:
//! # let (identifier, signature, body) = (Some("id"), Some("MEU="), &b"[]"[..]);
//! let answer = scanning.handle(identifier, signature, body).await;
//! println!("{} {}", answer.status, answer.content_type);
//! # Ok(())
//! # }
//! ```
//!
//! # Deployment caveats
//!
//! - The route stands behind no guard: the signature is what lets requests in. Bound the size of bodies
//!   before they are read; beyond [`SecretScanning::MAX_BODY`] they are answered 413.
//! - A request that somebody else has seen can be sent again. It ends nothing that GitHub did not ask to be
//!   ended. Bound how often the route may be called, as for every route without a guard.

mod answer;
mod keys;
mod known;
mod matches;
mod scanning;
mod told;

pub use answer::GithubAnswer;
pub use keys::{GithubKeyError, GithubKeySource, GithubKeys};
pub use scanning::SecretScanning;
