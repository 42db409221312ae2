use super::scanner::Scanner;
use crate::key::{CHECKSUM_LEN, ID_LEN, Prefix, SECRET_LEN};

impl Scanner {
    /// Rules by which the scanners of others find these keys.
    pub fn rules(&self) -> Rules {
        Rules {
            prefixes: self.prefixes().to_vec(),
        }
    }
}

/// Rules by which gitleaks, trufflehog and GitHub find the keys of a service. Made by
/// [`Scanner::rules`].
///
/// One rule finds the keys of all prefixes. What it cannot do is to compute the checksum: it finds also
/// what only looks like a key. It leaves out what is not random, as `acme_live_xxxxxxxxxxxx_xxx…` in a
/// manual.
///
/// ```
/// # use keygate::leak::Scanner;
/// # fn run(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
/// let rules = Scanner::new("acme_live")?.also("acme_test")?.rules();
/// std::fs::write(folder.join("gitleaks.toml"), rules.gitleaks())?;
/// std::fs::write(folder.join("trufflehog.yaml"), rules.trufflehog())?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Rules {
    /// One at least.
    prefixes: Vec<Prefix>,
}

/// A custom pattern for GitHub, or what its partner program asks for: one member for each field of the
/// form.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct GithubPattern {
    /// The name of the pattern.
    pub name: String,
    /// "Secret format".
    pub secret_format: String,
    /// "Before secret".
    pub before_secret: String,
    /// "After secret".
    pub after_secret: String,
}

impl Rules {
    /// In bits a character. A key has about five of them, and what is written to fill its place in a
    /// manual fewer than this.
    const ENTROPY: u8 = 4;

    /// The regular expression of a key, without groups: for RE2, and for Hyperscan and most others too.
    pub fn pattern(&self) -> String {
        let prefixes: Vec<&str> = self.prefixes.iter().map(Prefix::as_str).collect();
        let prefix = match prefixes[..] {
            [only] => only.to_owned(),
            _ => format!("(?:{})", prefixes.join("|")),
        };
        // The largest checksum, 4gfFC3, begins with a 4.
        let rest = CHECKSUM_LEN - 1;
        format!(
            "{prefix}_[0-9A-Za-z]{{{ID_LEN}}}_[0-9A-Za-z]{{{SECRET_LEN}}}[0-4][0-9A-Za-z]{{{rest}}}"
        )
    }

    /// A rule for gitleaks, in TOML: a configuration of its own, or to be added to one.
    pub fn gitleaks(&self) -> String {
        format!(
            "[[rules]]\n\
             id = \"{}\"\n\
             description = \"{}\"\n\
             regex = '''{}'''\n\
             entropy = {}\n\
             keywords = [{}]\n",
            self.name('-'),
            self.description(),
            self.pattern(),
            Self::ENTROPY,
            self.keywords("\"").join(", "),
        )
    }

    /// A custom detector for trufflehog, in YAML: the file for its `--config`. It verifies nothing, and
    /// trufflehog takes at most a hundred keys from one piece of a file.
    pub fn trufflehog(&self) -> String {
        format!(
            "detectors:\n  \
               - name: {}\n    \
                 keywords:\n      - {}\n    \
                 regex:\n      key: '{}'\n    \
                 entropy: {}\n",
            self.name('_'),
            self.keywords("").join("\n      - "),
            self.pattern(),
            Self::ENTROPY,
        )
    }

    /// The pattern for GitHub. Whatever stands before and after a key, it is found.
    pub fn github(&self) -> GithubPattern {
        GithubPattern {
            name: self.description(),
            secret_format: self.pattern(),
            before_secret: r"\A|[\s\S]".to_owned(),
            after_secret: r"\z|[\s\S]".to_owned(),
        }
    }

    fn name(&self, joint: char) -> String {
        let first = self.prefixes.first().map_or("", Prefix::as_str);
        format!("{first}_api_key").replace('_', &joint.to_string())
    }

    fn description(&self) -> String {
        format!(
            "API key that begins with {}",
            self.keywords("").join(" or ")
        )
    }

    fn keywords(&self, quote: &str) -> Vec<String> {
        let prefixes = self.prefixes.iter();
        prefixes
            .map(|prefix| format!("{quote}{prefix}_{quote}"))
            .collect()
    }
}
