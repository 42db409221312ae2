//! How often keys may be used, and how often anybody may fail.
//!
//! All limits are counted by the generic cell rate algorithm, which is [`pace`]. [`counters`] count in
//! this process, a [`SharedLimiter`] for all. [`failures`] count by network who presents what is no key.

mod counters;
mod failures;
mod limiter;
mod network;
mod pace;
mod quota;
#[cfg(feature = "redis")]
mod redis;
mod shared;
mod told;

pub(crate) use failures::Failures;
pub(crate) use limiter::{Bill, Limiter};
pub use limiter::{LimitState, OnOutage};
pub(crate) use network::network;
pub(crate) use quota::OWN;
pub use quota::{Charge, Quota};
#[cfg(feature = "redis")]
pub use redis::{RedisLimiter, RedisLimiterBuilder};
pub use shared::{Level, SharedLimiter, Take};
#[cfg(any(feature = "tower", feature = "actix-web", feature = "utoipa"))]
pub(crate) use told::{LEFT, POLICY};
pub(crate) use told::{Told, fields, whole_seconds};
