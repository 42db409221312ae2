use std::fmt;

use crate::answer::Answers;
use crate::authenticate::Authenticator;
use crate::builder::Builder;
use crate::manage::KeyManager;
use crate::scope::Catalogue;

/// Everything a service needs: it verifies keys, manages them, and guards routes.
///
/// Cloning it is cheap, and clones share everything.
///
/// ```
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use keygate::{Attempt, Keygate, MemoryStore, NewKey, Pepper};
///
/// let pepper = Pepper::from_base64(&Pepper::generate_base64()?)?;     // for real: Pepper::from_file
/// let keys = Keygate::builder("acme_live").pepper(pepper).store(MemoryStore::new()).build().await?;
/// let issued = keys.manager().issue(NewKey::for_owner("org_42").scopes(["orders:read"])).await?;
///
/// let attempt = Attempt::new(issued.key.expose());
/// let caller = keys.authenticator().authenticate(attempt).await?;
/// assert_eq!(caller.owner(), "org_42");
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
/// ```
#[derive(Clone)]
pub struct Keygate {
    pub(crate) authenticator: Authenticator,
    pub(crate) manager: KeyManager,
    pub(crate) answers: Answers,
    pub(crate) catalogue: Option<Catalogue>,
    #[cfg(feature = "actix-web")]
    pub(crate) actix_client_address: crate::actix_web::ClientAddress,
    #[cfg(feature = "tower")]
    pub(crate) client_address: crate::tower::ClientAddress,
}

impl Keygate {
    /// Begins a gate for keys with this prefix, such as `acme_live`.
    pub fn builder(prefix: impl Into<String>) -> Builder {
        Builder::new(prefix.into())
    }

    /// Verifies keys.
    pub fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    /// Issues, changes and ends keys.
    pub fn manager(&self) -> &KeyManager {
        &self.manager
    }

    /// Finds keys in requests and says no, as plain values: for handlers and middleware of your own.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The scopes that the service declares, if it does.
    pub fn catalogue(&self) -> Option<Catalogue> {
        self.catalogue
    }
}

impl fmt::Debug for Keygate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keygate")
            .field("authenticator", &self.authenticator)
            .field("manager", &self.manager)
            .finish_non_exhaustive()
    }
}
