use std::time::Duration;

use async_trait::async_trait;

use crate::key::KeyId;
use crate::record::RateLimit;
use crate::store::StoreError;

/// Counts for all instances of a service together how often keys are used, as `RedisLimiter` (feature
/// `redis`) does.
#[async_trait]
pub trait SharedLimiter: Send + Sync + 'static {
    /// Takes what one request costs, from each of these limits in one atomic step; or, where one of
    /// them does not allow it, from none.
    ///
    /// They are limits of one key, each with a name of its own. The answer has a [`Level`] for each, in
    /// their order. It may be dropped at any point.
    ///
    /// # Errors
    /// Then the policy for outages decides: after `Corrupt` about this request alone, after any other
    /// about all that come within the next second.
    async fn take(&self, takes: &[Take<'_>]) -> Result<Vec<Level>, StoreError>;
}

/// What a request takes of one limit of a key.
#[derive(Clone, Copy, Debug)]
pub struct Take<'a> {
    /// The key.
    pub key_id: &'a KeyId,
    /// The name of the limit: that of a quota, or `key` for the one on the record.
    pub name: &'static str,
    /// How much it allows. It was checked.
    pub limit: RateLimit,
    /// How much of it the request takes. More than the burst is allowed when the whole burst is there.
    pub cost: u32,
}

/// How a limit stands after a request.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Level {
    /// How long until this request would be allowed; zero: it is.
    pub retry_after: Duration,
    /// How many more requests of cost 1 it allows now.
    pub remaining: u32,
    /// How long until it allows its whole burst again.
    pub full_after: Duration,
}

impl Level {
    /// Whether the request is over the limit.
    pub fn is_over(&self) -> bool {
        !self.retry_after.is_zero()
    }
}
