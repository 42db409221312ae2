//! Keys where they do not belong: found in text and streams, masked in logs, and rules for the scanners
//! of others.
//!
//! A key is found by its prefix, its form and its checksum, without the store. So whoever has a key text
//! finds it, and nobody learns whether it opens.
//!
//! ```
//! use keygate::leak::Scanner;
//! let scanner = Scanner::new("acme_live")?.also("acme_test")?;      // or `Keygate::scanner`
//! let text = r#"{"token":"acme_live_aWFeOgd23eOp_1ARVjVEeNJPXGyijpXUwIL8tuPmXyNcizRcEneZHbEy4czicd"}"#;
//! let found = scanner.scan(text).next().expect("there is one");
//! assert_eq!((found.key_id().as_str(), found.range()), ("aWFeOgd23eOp", 10..82));
//! assert_eq!(scanner.redact(text), r#"{"token":"acme_live_aWFeOgd23eOp_[redacted]"}"#);
//! # Ok::<(), keygate::PrefixError>(())
//! ```
//!
//! What stands before or after a key does not hide it: quotes, a URL, other letters, another key.
//!
//! # What is not found
//!
//! A key is found, and masked, as it was issued, byte by byte. These are not:
//!
//! - One that is written in another way: in base64, in UTF-16, with its underscores as `%5F` or `\u005f`, in
//!   upper case. Decode such a text first. (A guard decodes the URLs that it judges.)
//! - One with something in its middle: a line break after 76 characters, a colour code, a space.
//! - One that is cut. Without its checksum it cannot be told from other text, though its secret may be whole:
//!   whatever shortens texts must do so after they were masked.
//! - One that was made elsewhere and [imported](crate::KeyManager::import), until it is rotated: it has no
//!   checksum. Where such keys appear in logs, mask them by what their [format](crate::ForeignFormat) says.
//!
//! # Logs
//!
//! A [`RedactingWriter`] masks all that is written through it. It serves as the writer of
//! `tracing-subscriber`, in any format:
//!
//! ```
//! # use keygate::leak::Scanner;
//! # let scanner = Scanner::new("acme_live")?;
//! tracing_subscriber::fmt()
//!     .with_writer(move || scanner.redacting_writer(std::io::stderr()))
//!     .init();
//! # Ok::<(), keygate::PrefixError>(())
//! ```

mod redact;
mod rules;
mod scanner;
mod stream;

pub use redact::RedactingWriter;
pub use rules::{GithubPattern, Rules};
pub use scanner::{Finding, Scan, Scanner};
pub use stream::{ScanReader, ScanStream};
