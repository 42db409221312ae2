//! The formats of systems that many come from. Each is tried with keys that the system itself made
//! (`tests/data/imports`).

use super::{Alphabet, ForeignFormat, Hashing, StoredHash, StoredHashError};

/// # Recipes
///
/// For systems with their default settings. Another length or alphabet is a format of its own.
impl ForeignFormat {
    /// Laravel Sanctum: `17|<40 letters and digits, and 8 of a checksum>`.
    ///
    /// Of each row of `personal_access_tokens` give the `token`, in hex, labelled with the `id`. For
    /// tokens that were made with a `token_prefix`, name it by [`secret_prefix`](Self::secret_prefix).
    /// Tokens of before version 3.3 have no checksum, the first ones of version 2 had 80 characters, and
    /// both fit. What is sent without its number is refused, which Sanctum would accept.
    ///
    /// ```
    /// use keygate::{ForeignFormat, StoredHash};
    /// let format = ForeignFormat::laravel_sanctum("shop");
    /// let token = "eb5ad5e09a72267efc4bceda015860b685ef09ef18b3fb56265058da19c80d25";
    /// let hash = StoredHash::from_hex(token)?.labelled("1");
    /// # Ok::<(), keygate::StoredHashError>(())
    /// ```
    pub fn laravel_sanctum(name: impl Into<String>) -> Self {
        Self::new(name, Hashing::sha256(), Alphabet::ALPHANUMERIC, 40..=80)
            .label(Alphabet::DIGITS, 1..=20, '|')
            .hashes_secret_alone()
    }

    /// djangorestframework-api-key: `<8 letters and digits>.<32 letters and digits>`.
    ///
    /// Of each row of `rest_framework_api_key_apikey` give the `hashed_key`, by
    /// [`StoredHash::from_django`].
    pub fn djangorestframework_api_key(name: impl Into<String>) -> Self {
        Self::new(name, Hashing::sha512(), Alphabet::ALPHANUMERIC, 32..=32).label(
            Alphabet::ALPHANUMERIC,
            8..=8,
            '.',
        )
    }

    /// Unkey: 16 to 41 random bytes in base58, or a key of its version 1.
    ///
    /// Of each row of `keys` give the `hash`, in base64. For keys with a prefix, name it with its
    /// underscore: `.prefix("acme_")`. One key of 16 bytes in 100,000 is so short in base58 that it does
    /// not fit, and has to be replaced.
    pub fn unkey(name: impl Into<String>) -> Self {
        Self::new(name, Hashing::sha256(), Alphabet::BASE58, 20..=57)
    }

    /// The API keys of better-auth: 64 letters.
    ///
    /// Of each row of `apikey` give the `key`, in base64. For keys with a prefix, name it as it stands:
    /// `.prefix("acme_")`.
    pub fn better_auth(name: impl Into<String>) -> Self {
        Self::new(name, Hashing::sha256(), Alphabet::LETTERS, 64..=64)
    }

    /// prefixed-api-key, of npm and of crates.io: `<prefix>_<short token>_<long token>`.
    ///
    /// Of each key give the hash of the long token, in hex, labelled with the short token.
    pub fn prefixed_api_key(name: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self::new(name, Hashing::sha256(), Alphabet::BASE58, 24..=33)
            .prefix(prefix.into() + "_")
            .label(Alphabet::ALPHANUMERIC, 8..=11, '_')
            .hashes_secret_alone()
    }
}

impl StoredHash {
    /// A `hashed_key` of djangorestframework-api-key: `sha512$$` and a hash in hex.
    ///
    /// ```
    /// use keygate::{StoredHash, StoredHashError};
    /// let slow = StoredHash::from_django("pbkdf2_sha256$600000$Tq3m$k5Y0tKJ0");
    /// assert_eq!(slow.unwrap_err(), StoredHashError::NotSha512);
    /// ```
    ///
    /// # Errors
    /// [`StoredHashError::NotSha512`] for what versions before 3.0 have stored, by a slow hash with a
    /// salt. That library rewrites it when the key is used: import it then.
    pub fn from_django(column: &str) -> Result<Self, StoredHashError> {
        let hash = column.trim().strip_prefix("sha512$$");
        Self::from_hex(hash.ok_or(StoredHashError::NotSha512)?)
    }
}
