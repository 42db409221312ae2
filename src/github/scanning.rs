use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::answer::{Feedback, GithubAnswer, Label};
use super::keys::{GithubKeySource, GithubKeys};
use super::matches::Match;
use crate::authenticate::within;
use crate::clock::{Clock, Now};
use crate::key::PresentedKey;
use crate::manage::{KeyManager, ManageError};
use crate::store::StoreErrorKind;
use crate::waiters::lock;

/// Receives what GitHub has found. Cloning it is cheap. See the [module](crate::github).
#[derive(Clone)]
pub struct SecretScanning {
    shared: Arc<Shared>,
}

struct Shared {
    manager: KeyManager,
    clock: Arc<dyn Clock>,
    keys: Mutex<Published>,
    source: Option<Box<dyn GithubKeySource>>,
}

/// The keys that are known.
struct Published {
    keys: Arc<GithubKeys>,
    fetched_at: Option<Now>,
    /// Whoever asks then may still wait for the answer.
    asked_at: Option<Now>,
}

/// Public keys are not fetched more often: whoever makes up identifiers makes nobody fetch.
const FETCH_EVERY: Duration = Duration::from_secs(60);

/// How long their source may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl SecretScanning {
    /// Longer bodies are answered 413, in bytes.
    pub const MAX_BODY: usize = 1024 * 1024;

    /// More texts in one request are answered 413.
    pub const MAX_MATCHES: usize = 2_000;

    /// A receiver that trusts `keys`. The audit log says of what it does that the user `github` did it.
    pub fn new(manager: &KeyManager, keys: GithubKeys) -> Self {
        Self {
            shared: Arc::new(Shared {
                manager: manager.as_user("github"),
                clock: manager.clock(),
                keys: Mutex::new(Published {
                    keys: Arc::new(keys),
                    fetched_at: None,
                    asked_at: None,
                }),
                source: None,
            }),
        }
    }

    /// A receiver that asks `source` for the public keys when a request names one that is not known: at
    /// the first request, and when GitHub has a new one. What it has answered counts for a minute at least.
    pub fn with_source(manager: &KeyManager, source: impl GithubKeySource) -> Self {
        let mut shared = Self::new(manager, GithubKeys::default()).shared;
        if let Some(shared) = Arc::get_mut(&mut shared) {
            shared.source = Some(Box::new(source));
        }
        Self { shared }
    }

    /// The answer to a request: `identifier` is its field `Github-Public-Key-Identifier`, `signature` its
    /// field `Github-Public-Key-Signature`, and `body` its body as it came.
    ///
    /// | status | |
    /// |---|---|
    /// | 200 | all was done; the body tells GitHub what was a key |
    /// | 400 | GitHub has signed what cannot be understood |
    /// | 401 | a field is missing, or the signature is not GitHub's |
    /// | 413 | it is too long, or has too many texts |
    /// | 503 | the store, or the source of the public keys, does not answer: it is to be sent again |
    pub async fn handle(
        &self,
        identifier: Option<&str>,
        signature: Option<&str>,
        body: &[u8],
    ) -> GithubAnswer {
        if body.len() > Self::MAX_BODY {
            return GithubAnswer::refused(413, "the body is too long");
        }
        if let Err(answer) = self.shared.verify(identifier, signature, body).await {
            return answer;
        }
        let Ok(matches) = serde_json::from_slice::<Vec<Match<'_>>>(body) else {
            let why = "the body is not an array of objects with token and type";
            return GithubAnswer::refused(400, why);
        };
        if matches.len() > Self::MAX_MATCHES {
            return GithubAnswer::refused(413, "the body has too many texts");
        }
        self.shared.report_all(&matches).await
    }
}

impl Shared {
    async fn verify(
        &self,
        identifier: Option<&str>,
        signature: Option<&str>,
        body: &[u8],
    ) -> Result<(), GithubAnswer> {
        let unsigned = || GithubAnswer::refused(401, "the body is not signed by GitHub");
        let identifier = identifier.ok_or_else(unsigned)?;
        let signature = signature.and_then(|text| BASE64_STANDARD.decode(text).ok());
        let signature = signature.ok_or_else(unsigned)?;
        let keys = self.keys_for(identifier).await?;
        match keys.verify(identifier, &signature, body) {
            true => Ok(()),
            false => Err(unsigned()),
        }
    }

    /// The public keys that are known, asked for anew where this one is not among them.
    async fn keys_for(&self, identifier: &str) -> Result<Arc<GithubKeys>, GithubAnswer> {
        let away = || {
            let why = "the public keys of GitHub cannot be had now: send it again";
            GithubAnswer::refused(503, why)
        };
        let source = {
            let mut published = lock(&self.keys);
            let now = Now::of(&*self.clock);
            let is_lately = |limit, at: Option<Now>| at.is_some_and(|at| now.is_within(limit, at));
            let is_known = published.keys.has(identifier);
            let Some(source) = self.source.as_ref().filter(|_| !is_known) else {
                return Ok(Arc::clone(&published.keys));
            };
            if is_lately(FETCH_EVERY, published.fetched_at) {
                return Ok(Arc::clone(&published.keys));
            }
            if is_lately(PATIENCE, published.asked_at) {
                return Err(away());
            }
            published.asked_at = Some(now);
            source
        };
        let Ok(Ok(keys)) = within(PATIENCE, source.fetch()).await else {
            return Err(away());
        };
        let keys = Arc::new(keys);
        let mut published = lock(&self.keys);
        published.keys = Arc::clone(&keys);
        published.fetched_at = Some(Now::of(&*self.clock));
        Ok(keys)
    }

    /// Reports one after the other. What fails is left for when it is sent again, and the rest is done all
    /// the same, unless the store is away.
    async fn report_all(&self, matches: &[Match<'_>]) -> GithubAnswer {
        let mut feedback = Vec::new();
        let mut has_failed = false;
        for found in matches {
            let source = found.found_in();
            let label = match self.manager.report_leak(&found.token, &source).await {
                Ok(Some(_)) => Label::TruePositive,
                // It may open something elsewhere.
                Ok(None) if self.is_elsewhere(&found.token) => continue,
                Ok(None) => Label::FalsePositive,
                Err(error) => {
                    has_failed = true;
                    if is_away(&error) {
                        break;
                    }
                    continue;
                }
            };
            feedback.push(Feedback {
                token_hash: found.hash(),
                token_type: found.kind.to_string(),
                label,
            });
        }
        match has_failed {
            false => GithubAnswer::of(&feedback),
            true => GithubAnswer::refused(503, "not all could be done now: send it again"),
        }
    }

    /// Whether it is a key of an environment that this service does not serve.
    fn is_elsewhere(&self, text: &str) -> bool {
        let environments = self.manager.environments();
        let key = PresentedKey::parse(text);
        key.is_ok_and(|key| {
            let mut declined = environments.all_declined();
            declined.any(|prefix| prefix.as_str() == key.prefix())
        })
    }
}

fn is_away(error: &ManageError) -> bool {
    use StoreErrorKind::{OutcomeUnknown, Unavailable};
    match error {
        ManageError::Store(error) => matches!(error.kind(), Unavailable | OutcomeUnknown),
        _ => false,
    }
}

impl fmt::Debug for SecretScanning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretScanning")
            .field("keys", &lock(&self.shared.keys).keys)
            .finish_non_exhaustive()
    }
}
