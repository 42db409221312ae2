use std::error::Error as StdError;
use std::path::PathBuf;

use async_trait::async_trait;

use crate::mac::PepperRing;

pub(crate) type ProviderError = Box<dyn StdError + Send + Sync>;

/// Where peppers come from, such as a secrets manager. It is asked when the gate is built, and again
/// and again while it [runs](crate::Keygate::run), so that a pepper is added or made active without a
/// restart.
///
/// Its answer may take ten seconds. Where it fails, hangs or panics later on, the peppers of before
/// stay.
///
/// ```
/// use async_trait::async_trait;
/// use keygate::{PepperProvider, PepperRing};
/// # struct SecretsManager;
/// # impl SecretsManager {
/// #     async fn fetch(&self, _: &str) -> Result<String, std::io::Error> { Ok(String::new()) }
/// # }
///
/// struct Managed(SecretsManager);
///
/// #[async_trait]
/// impl PepperProvider for Managed {
///     async fn peppers(&self) -> Result<PepperRing, Box<dyn std::error::Error + Send + Sync>> {
///         let text = self.0.fetch("orders/peppers").await?;       // as in `2:<base64> 1:<base64>`
///         Ok(PepperRing::parse(&text)?)
///     }
/// }
/// ```
#[async_trait]
pub trait PepperProvider: Send + Sync + 'static {
    /// The peppers as they are now.
    ///
    /// # Errors
    /// Whatever stands against it. It is shown in logs: no secret belongs there.
    async fn peppers(&self) -> Result<PepperRing, ProviderError>;
}

/// Peppers in a file, which is read anew each time: see [`PepperRing::parse`] for what stands in it.
///
/// Replace the file in one step, by renaming another onto it: one that is half written is refused, or
/// taken for what it is.
#[derive(Clone, Debug)]
pub struct PepperFile {
    path: PathBuf,
}

impl PepperFile {
    /// The file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

#[async_trait]
impl PepperProvider for PepperFile {
    async fn peppers(&self) -> Result<PepperRing, ProviderError> {
        Ok(PepperRing::from_file(&self.path)?)
    }
}
