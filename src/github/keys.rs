use std::error::Error as StdError;
use std::fmt;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde::Deserialize;

/// The public keys that GitHub signs with.
///
/// All that GitHub publishes count, also those that are not `is_current`: a request that was signed just
/// before a new key took over is as good, and a key that is not to be trusted any more is not published any
/// more. So fetch them anew now and then, or give a [`GithubKeySource`], which is asked once a day.
#[derive(Clone, Default)]
pub struct GithubKeys(Vec<GithubKey>);

#[derive(Clone)]
struct GithubKey {
    identifier: String,
    /// The point, uncompressed.
    point: [u8; POINT_LEN],
}

/// Fetches the public keys of GitHub, as the host has it.
///
/// ```
/// use std::error::Error;
/// use keygate::github::{GithubKeySource, GithubKeys};
///
/// struct Meta;
///
/// #[async_trait::async_trait]
/// impl GithubKeySource for Meta {
///     async fn fetch(&self) -> Result<GithubKeys, Box<dyn Error + Send + Sync>> {
///         let body = get("https://api.github.com/meta/public_keys/secret_scanning").await?;
///         Ok(GithubKeys::from_json(&body)?)
///     }
/// }
/// # async fn get(_: &str) -> std::io::Result<Vec<u8>> { Ok(Vec::new()) }
/// ```
#[async_trait]
pub trait GithubKeySource: Send + Sync + 'static {
    /// All public keys that GitHub publishes now. It should give up within a few seconds.
    ///
    /// # Errors
    /// They cannot be had now: the request that needs them is answered 503.
    async fn fetch(&self) -> Result<GithubKeys, Box<dyn StdError + Send + Sync>>;
}

/// Why something is no public key of GitHub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GithubKeyError {
    /// It is not the JSON of GitHub's endpoint.
    #[error(
        "this is not what GitHub's endpoint answers: expected public_keys, each with key_identifier and key"
    )]
    Json,
    /// There is none.
    #[error(
        "there is no public key: fetch https://api.github.com/meta/public_keys/secret_scanning"
    )]
    None,
    /// The key under this identifier is not one on the curve P-256, in PEM.
    #[error("the public key {0:?} is not one on the curve P-256 in PEM")]
    Pem(String),
}

const POINT_LEN: usize = 65;

/// What stands before the point in the DER of a public key on P-256 (RFC 5480): two sequences, with
/// `id-ecPublicKey` and `prime256v1`, and the head of a bit string.
const P256_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// What a point begins with that is not compressed.
const UNCOMPRESSED: u8 = 4;

#[derive(Deserialize)]
struct Published {
    public_keys: Vec<PublishedKey>,
}

#[derive(Deserialize)]
struct PublishedKey {
    key_identifier: String,
    key: String,
}

impl GithubKeys {
    /// The keys in the JSON that GitHub's endpoint answers. Fields that are not known are passed over.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn from_json(json: &[u8]) -> Result<Self, GithubKeyError> {
        let published: Published =
            serde_json::from_slice(json).map_err(|_| GithubKeyError::Json)?;
        if published.public_keys.is_empty() {
            return Err(GithubKeyError::None);
        }
        let keys = published.public_keys.into_iter();
        let keys = keys.map(|key| GithubKey::new(key.key_identifier, &key.key));
        Ok(Self(keys.collect::<Result<_, _>>()?))
    }

    /// One key, in PEM.
    ///
    /// # Errors
    /// It is not one on the curve P-256.
    pub fn from_pem(identifier: impl Into<String>, pem: &str) -> Result<Self, GithubKeyError> {
        Ok(Self(vec![GithubKey::new(identifier.into(), pem)?]))
    }

    pub(super) fn has(&self, identifier: &str) -> bool {
        self.0.iter().any(|key| key.identifier == identifier)
    }

    /// Whether a key of this name has signed `body`. Everything here is public.
    pub(super) fn verify(&self, identifier: &str, signature: &[u8], body: &[u8]) -> bool {
        let mut named = self.0.iter().filter(|key| key.identifier == identifier);
        named.any(|key| {
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key.point);
            key.verify(body, signature).is_ok()
        })
    }
}

impl GithubKey {
    fn new(identifier: String, pem: &str) -> Result<Self, GithubKeyError> {
        match point_in(pem) {
            Some(point) => Ok(Self { identifier, point }),
            None => Err(GithubKeyError::Pem(identifier)),
        }
    }
}

/// The point of a public key on P-256.
fn point_in(pem: &str) -> Option<[u8; POINT_LEN]> {
    let body = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?;
    let body = body.strip_suffix("-----END PUBLIC KEY-----")?;
    let base64: String = body.split_ascii_whitespace().collect();
    let der = BASE64_STANDARD.decode(base64).ok()?;
    let point: [u8; POINT_LEN] = der.strip_prefix(&P256_SPKI)?.try_into().ok()?;
    (point[0] == UNCOMPRESSED).then_some(point)
}

impl fmt::Debug for GithubKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identifiers = self.0.iter().map(|key| &key.identifier);
        f.debug_list().entries(identifiers).finish()
    }
}
