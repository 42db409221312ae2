//! Keys that were made elsewhere: what their texts look like, and what is known of each.
//!
//! Another system has kept a hash of each key, and nobody has the texts but their bearers. A
//! [`ForeignFormat`] says which texts are keys of that system, and how they were hashed. So a text
//! that is presented leads to its hash, and the hash to the id under which the key was imported.

mod alphabet;
mod error;
mod format;
mod formats;
mod hashing;
mod recipes;
mod shape;
mod stored;
mod text;

pub use alphabet::Alphabet;
pub use error::ForeignFormatError;
pub use format::ForeignFormat;
pub(crate) use formats::Formats;
pub use hashing::Hashing;
pub use stored::{StoredHash, StoredHashError};
pub(crate) use text::{ForeignText, ImportedKey};
