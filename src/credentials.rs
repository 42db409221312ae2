//! Where in a request keys are accepted.

/// Where keys are accepted: `Authorization: Bearer` and `X-API-Key`, unless said otherwise. Never
/// in the URL or the body (RFC 6750, sections 2.2 and 2.3).
///
/// ```
/// # use keygate::Credentials;
/// let only_header = Credentials::new().without_bearer().headers(["X-Acme-Key"]);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    bearer: bool,
    basic: bool,
    headers: Vec<String>,
}

/// A way to send a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way<'a> {
    /// `Authorization: Basic`, with the key as user name.
    Basic,
    /// `Authorization: Bearer`.
    Bearer,
    /// The header field of this name.
    Header(&'a str),
}

/// Why keys cannot be accepted as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// It is no name of a header field, or one that already has a meaning.
    #[error("{0:?} cannot carry a key: use the name of a header field of its own, like X-API-Key")]
    Header(String),
    /// The same name twice.
    #[error("the header {0:?} is named twice")]
    HeaderTwice(String),
    /// Keys are accepted nowhere.
    #[error("no place to accept keys from is left: keep Bearer or name a header")]
    Nowhere,
}

pub(crate) const AUTHORIZATION: &str = "Authorization";

impl Credentials {
    /// `Authorization: Bearer` and `X-API-Key`.
    pub fn new() -> Self {
        Self {
            bearer: true,
            basic: false,
            headers: vec!["X-API-Key".into()],
        }
    }

    /// Without `Authorization: Bearer`.
    pub fn without_bearer(mut self) -> Self {
        self.bearer = false;
        self
    }

    /// Also `Authorization: Basic` with the key as user name and any password (RFC 7617).
    pub fn accept_basic(mut self) -> Self {
        self.basic = true;
        self
    }

    /// These header fields instead of `X-API-Key`.
    pub fn headers<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.headers = names.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn check(&self) -> Result<(), CredentialsError> {
        // A name with an underscore is dropped or confused by common proxies.
        let can_carry = |name: &&String| {
            !name.is_empty()
                && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
                && !["Authorization", "Proxy-Authorization", "Cookie"]
                    .iter()
                    .any(|taken| taken.eq_ignore_ascii_case(name))
        };
        if let Some(name) = self.headers.iter().find(|name| !can_carry(name)) {
            return Err(CredentialsError::Header(name.clone()));
        }
        let mut seen = self.headers.iter().enumerate();
        let twice = |(n, name): &(usize, &String)| {
            self.headers[..*n]
                .iter()
                .any(|own| own.eq_ignore_ascii_case(name))
        };
        if let Some((_, name)) = seen.find(twice) {
            return Err(CredentialsError::HeaderTwice(name.clone()));
        }
        if !self.uses_authorization() && self.headers.is_empty() {
            return Err(CredentialsError::Nowhere);
        }
        Ok(())
    }

    /// The scheme that a challenge names.
    pub(crate) fn challenge_scheme(&self) -> &'static str {
        match (self.bearer, self.basic) {
            (true, _) => "Bearer",
            (false, true) => "Basic",
            (false, false) => "ApiKey",
        }
    }

    /// Each way to send a key, the one to prefer first.
    pub(crate) fn ways(&self) -> impl Iterator<Item = Way<'_>> {
        let bearer = self.bearer.then_some(Way::Bearer);
        let own = self.headers.iter().map(|name| Way::Header(name));
        let basic = self.basic.then_some(Way::Basic);
        bearer.into_iter().chain(own).chain(basic)
    }

    /// How a key is sent, as a caller is told.
    pub(crate) fn how_to_send(&self) -> String {
        let told = |way| match way {
            Way::Bearer => Some("Authorization: Bearer KEY".to_owned()),
            Way::Basic => None,
            Way::Header(name) => Some(format!("{name}: KEY")),
        };
        let ways: Vec<String> = self.ways().filter_map(told).collect();
        match ways.is_empty() {
            true => "HTTP Basic with the key as user name".into(),
            false => ways.join(", or "),
        }
    }

    /// The names of all header fields that may carry a key.
    pub(crate) fn header_names(&self) -> impl Iterator<Item = &str> {
        let authorization = self.uses_authorization().then_some(AUTHORIZATION);
        authorization
            .into_iter()
            .chain(self.headers.iter().map(String::as_str))
    }

    pub(crate) fn uses_authorization(&self) -> bool {
        self.bearer || self.basic
    }

    /// Whether keys are accepted in the header field of this name.
    pub(crate) fn is_own(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|own| own.eq_ignore_ascii_case(name))
    }

    pub(crate) fn accepts_bearer(&self) -> bool {
        self.bearer
    }

    pub(crate) fn accepts_basic(&self) -> bool {
        self.basic
    }
}

impl Default for Credentials {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_and_vary_name_what_is_accepted() {
        let cases = [
            (Credentials::new(), "Bearer", "Authorization, X-API-Key"),
            (Credentials::new().without_bearer(), "ApiKey", "X-API-Key"),
            (
                Credentials::new().headers(["X-Acme"]),
                "Bearer",
                "Authorization, X-Acme",
            ),
            (
                Credentials::new().headers(Vec::<String>::new()),
                "Bearer",
                "Authorization",
            ),
        ];
        for (credentials, scheme, vary) in cases {
            assert_eq!(credentials.check(), Ok(()));
            let names: Vec<&str> = credentials.header_names().collect();
            assert_eq!(credentials.challenge_scheme(), scheme);
            assert_eq!(names.join(", "), vary);
        }
    }

    #[test]
    fn a_configuration_that_cannot_work_is_refused() {
        let nowhere = Credentials::new()
            .without_bearer()
            .headers(Vec::<String>::new());
        assert_eq!(nowhere.check(), Err(CredentialsError::Nowhere));
        let twice = Credentials::new().headers(["X-Key", "x-key"]);
        assert_eq!(
            twice.check(),
            Err(CredentialsError::HeaderTwice("x-key".into()))
        );
        for name in [
            "",
            "X_API_Key",
            "Authorization",
            "authorization",
            "Proxy-Authorization",
            "proxy-authorization",
            "X Key",
            "Cookie",
            "COOKIE",
            "é",
        ] {
            assert!(
                Credentials::new().headers([name]).check().is_err(),
                "{name}"
            );
        }
    }
}
