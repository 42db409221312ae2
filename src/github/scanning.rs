use std::fmt;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::answer::{Feedback, GithubAnswer, Label};
use super::keys::{GithubKeySource, GithubKeys};
use super::known::KnownKeys;
use super::matches::Match;
use super::told::Told;
use crate::clock::{Clock, Now};
use crate::key::PresentedKey;
use crate::manage::{KeyManager, LeakReport, ManageError};
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
    keys: KnownKeys,
    told: Mutex<Told>,
}

impl SecretScanning {
    /// Longer bodies are answered 413, in bytes.
    pub const MAX_BODY: usize = 1024 * 1024;

    /// More texts in one request are answered 413.
    pub const MAX_MATCHES: usize = 2_000;

    /// A receiver that trusts `keys`. The audit log says of what it does that the user `github` did it.
    pub fn new(manager: &KeyManager, keys: GithubKeys) -> Self {
        Self::of(manager, keys, None)
    }

    /// A receiver that asks `source` for the public keys when a request names one that is not known, at
    /// the first request and when GitHub has a new one, and when it has not asked for a day, as GitHub may have
    /// withdrawn one. What it has answered counts for a minute at least.
    pub fn with_source(manager: &KeyManager, source: impl GithubKeySource) -> Self {
        Self::of(manager, GithubKeys::default(), Some(Arc::new(source)))
    }

    fn of(
        manager: &KeyManager,
        keys: GithubKeys,
        source: Option<Arc<dyn GithubKeySource>>,
    ) -> Self {
        let clock = manager.clock();
        Self {
            shared: Arc::new(Shared {
                manager: manager.as_user("github"),
                keys: KnownKeys::new(Arc::clone(&clock), keys, source),
                clock,
                told: Mutex::default(),
            }),
        }
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
        let away = || {
            let why = "the public keys of GitHub cannot be had now: send it again";
            GithubAnswer::refused(503, why)
        };
        let keys = self.keys.with(identifier).await.ok_or_else(away)?;
        match keys.verify(identifier, &signature, body) {
            true => Ok(()),
            false => Err(unsigned()),
        }
    }

    /// Reports one after the other. What fails is left for when it is sent again, and the rest is done all
    /// the same, unless the store is away.
    async fn report_all(&self, matches: &[Match<'_>]) -> GithubAnswer {
        let mut feedback = Vec::new();
        let mut has_failed = false;
        for found in matches {
            let label = match self.report(found).await {
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

    /// Reports one, and tells of it unless it was told lately.
    async fn report(&self, found: &Match<'_>) -> Result<Option<LeakReport>, ManageError> {
        let source = found.found_in();
        let place = found.place(&source);
        let is_told = lock(&self.told).has(&place, Now::of(&*self.clock));
        let report = self.manager.act_on_report(&found.token, &source, !is_told);
        let report = report.await?;
        if report.is_some() {
            lock(&self.told).note(place);
        }
        Ok(report)
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
            .field("keys", &self.shared.keys.current())
            .finish_non_exhaustive()
    }
}
