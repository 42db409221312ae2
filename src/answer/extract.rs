use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use crate::credentials::{AUTHORIZATION, Credentials};
use crate::foreign::Formats;
use crate::key::MAX_KEY_LEN;
use crate::refusal::Rejection;

/// The credential that was found in a request. Nothing about it is proved.
pub struct Extracted<'a> {
    text: Text<'a>,
    sent_by_browser: bool,
}

enum Text<'a> {
    Borrowed(&'a str),
    Decoded(Zeroizing<String>),
}

impl Extracted<'_> {
    /// The text of the credential.
    pub fn text(&self) -> &str {
        match &self.text {
            Text::Borrowed(text) => text,
            Text::Decoded(text) => text,
        }
    }

    /// Whether the request has an `Origin`, which browsers add (RFC 6454, section 7).
    pub fn sent_by_browser(&self) -> bool {
        self.sent_by_browser
    }
}

impl fmt::Debug for Extracted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Extracted([redacted])")
    }
}

impl Credentials {
    pub(super) fn extract<'a>(
        &self,
        foreign: &Formats,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        query: Option<&str>,
        is_key: impl Fn(&str) -> bool,
    ) -> Result<Extracted<'a>, Rejection> {
        if query.is_some_and(|query| key_in(query, foreign, is_key).is_some()) {
            return Err(Rejection::KeyInUrl);
        }
        let mut authorized_by = None;
        let mut found = None;
        let mut sent_by_browser = false;
        for (name, value) in headers {
            sent_by_browser |= name.eq_ignore_ascii_case("Origin");
            let value = value.trim_ascii();
            let credential =
                if self.uses_authorization() && name.eq_ignore_ascii_case(AUTHORIZATION) {
                    if authorized_by.replace(value).is_some() {
                        return Err(Rejection::KeyDuplicated);
                    }
                    self.in_authorization(value)
                } else {
                    self.is_own(name).then_some(Credential::Token(value))
                };
            if let Some(credential) = credential
                && found.replace(credential).is_some()
            {
                return Err(Rejection::KeyDuplicated);
            }
        }
        let text = match found.ok_or(Rejection::KeyMissing)? {
            Credential::Token(token) => Text::Borrowed(token_text(token, foreign)?),
            Credential::Basic(encoded) => Text::Decoded(user_name(encoded, foreign)?),
        };
        Ok(Extracted {
            text,
            sent_by_browser,
        })
    }

    /// What of ours an `Authorization` field holds. Another scheme is none of our business.
    fn in_authorization<'a>(&self, value: &'a [u8]) -> Option<Credential<'a>> {
        let bearer = || Some(Credential::Token(parameter(value, b"Bearer")?));
        let basic = || Some(Credential::Basic(parameter(value, b"Basic")?));
        let bearer = self.accepts_bearer().then(bearer).flatten();
        bearer.or_else(|| self.accepts_basic().then(basic).flatten())
    }
}

/// What follows the scheme in `value`, if that is its scheme: nothing, unless spaces stand between.
fn parameter<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (named, rest) = value.split_at_checked(scheme.len())?;
    // RFC 9110, section 5.6.2: the scheme is a token, and ends where no token goes on.
    let is_token_char = |c: &u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(c);
    if !named.eq_ignore_ascii_case(scheme) || rest.first().is_some_and(is_token_char) {
        return None;
    }
    // RFC 9110, section 11.4: 1*SP stands between the scheme and what follows it.
    let spaces = rest.iter().take_while(|c| **c == b' ').count();
    Some(if spaces > 0 { &rest[spaces..] } else { b"" })
}

enum Credential<'a> {
    Token(&'a [u8]),
    Basic(&'a [u8]),
}

/// The characters of a `b64token` (RFC 6750, section 2.1).
static B64TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut c = 0_u8;
    while c < 128 {
        table[c as usize] = c.is_ascii_alphanumeric()
            || matches!(c, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
        c += 1;
    }
    table
};

/// The token as text. What could never be a key is told from what is no token at all. Keys of other
/// systems may be longer than ours, and no tokens: then only what is exactly of their format passes.
fn token_text<'a>(token: &'a [u8], foreign: &Formats) -> Result<&'a str, Rejection> {
    match own_token_text(token) {
        Ok(text) => Ok(text),
        Err(rejection) => {
            let text = std::str::from_utf8(token).ok();
            text.filter(|text| foreign.fit(text)).ok_or(rejection)
        }
    }
}

fn own_token_text(token: &[u8]) -> Result<&str, Rejection> {
    if token.len() > MAX_KEY_LEN {
        return Err(Rejection::KeyInvalid);
    }
    // Without an early exit, which is faster.
    let is_b64token = token
        .iter()
        .fold(true, |all, c| all & B64TOKEN[usize::from(*c)]);
    if token.is_empty() || !is_b64token {
        return Err(Rejection::RequestMalformed);
    }
    std::str::from_utf8(token).map_err(|_| Rejection::RequestMalformed)
}

/// The user name of Basic credentials: what stands before the first colon.
fn user_name(encoded: &[u8], foreign: &Formats) -> Result<Zeroizing<String>, Rejection> {
    const MAX_ENCODED_LEN: usize = 1024;
    if encoded.len() > MAX_ENCODED_LEN {
        return Err(Rejection::KeyInvalid);
    }
    let decoded = BASE64_STANDARD.decode(encoded).map(Zeroizing::new);
    let decoded = decoded.map_err(|_| Rejection::RequestMalformed)?;
    let user = decoded.split(|c| *c == b':').next().unwrap_or_default();
    if user.len() == decoded.len() {
        return Err(Rejection::RequestMalformed);
    }
    token_text(user, foreign).map(|text| Zeroizing::new(text.to_owned()))
}

/// A key that stands anywhere in a part of a URL, percent-encoded or not, perhaps behind other text.
pub(super) fn key_in(
    part: &str,
    foreign: &Formats,
    is_key: impl Fn(&str) -> bool,
) -> Option<Zeroizing<String>> {
    // Twice: a URL within a URL is encoded again.
    let once = percent_decode_str(part).decode_utf8_lossy();
    let decoded = percent_decode_str(&once).decode_utf8_lossy();
    // Also as it was before: what follows a percent sign by chance is no longer there when it is decoded.
    let texts = [
        Some(&*decoded),
        is_owned(&decoded).then_some(&*once),
        is_owned(&once).then_some(part),
    ];
    let found = texts.into_iter().flatten().find_map(|text| {
        let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let key = words.find(|word| is_key(word));
        key.or_else(|| foreign.find_in(text))
            .map(|key| Zeroizing::new(key.to_owned()))
    });
    if found.is_some() {
        wipe(decoded);
        wipe(once);
    }
    found
}

fn is_owned(text: &Cow<'_, str>) -> bool {
    matches!(text, Cow::Owned(_))
}

fn wipe(text: Cow<'_, str>) {
    if let Cow::Owned(text) = text {
        drop(Zeroizing::new(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::{Alphabet, ForeignFormat, Hashing};

    const KEY: &str = "acme_live_aWFeOgd23eOp_1ARVjVEeNJPXGyijpXUwIL8tuPmXyNcizRcEneZHbEy4czicd";

    fn extract(
        credentials: &Credentials,
        headers: &[(&str, &str)],
        query: Option<&str>,
    ) -> Result<String, Rejection> {
        let lines = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()));
        let formats = Formats::default();
        let extracted = credentials.extract(&formats, lines, query, |text| text == KEY)?;
        Ok(extracted.text().to_owned())
    }

    #[test]
    fn one_credential_is_found_in_each_place_it_may_stand() {
        for (name, value) in [
            ("Authorization", format!("Bearer {KEY}")),
            ("authorization", format!("bEARER   {KEY}")),
            ("Authorization", format!("  Bearer {KEY} ")),
            ("X-API-Key", KEY.into()),
            ("x-api-key", format!(" {KEY}\t")),
        ] {
            let found = extract(&Credentials::new(), &[(name, &value)], Some("page=2"));
            assert_eq!(found.as_deref(), Ok(KEY), "{name}: {value}");
        }
    }

    #[test]
    fn what_is_not_exactly_one_credential_is_refused() {
        use Rejection::*;
        let bearer = format!("Bearer {KEY}");
        let long = format!("Bearer {}", "a".repeat(96));
        let cases: Vec<(Vec<(&str, &str)>, Rejection)> = vec![
            (vec![], KeyMissing),
            (vec![("Authorization", "Basic YTpi")], KeyMissing),
            (vec![("Authorization", "Bearerish x")], KeyMissing),
            (vec![("Proxy-Authorization", &bearer)], KeyMissing),
            (vec![("X_API_Key", KEY)], KeyMissing),
            (vec![("Authorization", "")], KeyMissing),
            (
                vec![("Authorization", &bearer), ("X-API-Key", KEY)],
                KeyDuplicated,
            ),
            (
                vec![("Authorization", &bearer), ("Authorization", &bearer)],
                KeyDuplicated,
            ),
            (
                vec![("Authorization", "Basic YTpi"), ("Authorization", &bearer)],
                KeyDuplicated,
            ),
            (vec![("X-API-Key", KEY), ("X-API-Key", KEY)], KeyDuplicated),
            (
                vec![("Authorization", "Bearer"), ("X-API-Key", KEY)],
                KeyDuplicated,
            ),
            (vec![("Authorization", "Bearer")], RequestMalformed),
            (vec![("Authorization", "Bearer ")], RequestMalformed),
            (vec![("Authorization", "Bearer\tx")], RequestMalformed),
            (vec![("Authorization", "Bearer,x")], RequestMalformed),
            (vec![("Authorization", "Bearer=x")], RequestMalformed),
            (vec![("Authorization", "Bearer a b")], RequestMalformed),
            (vec![("Authorization", "Bearer \u{e9}")], RequestMalformed),
            (vec![("Authorization", "Bearer a\0")], RequestMalformed),
            (vec![("X-API-Key", "")], RequestMalformed),
            (vec![("X-API-Key", "a,b")], RequestMalformed),
            (vec![("Authorization", &long)], KeyInvalid),
        ];
        for (headers, expected) in cases {
            let found = extract(&Credentials::new(), &headers, None);
            assert_eq!(found, Err(expected), "{headers:?}");
        }
    }

    #[test]
    fn whoever_has_an_origin_is_a_browser_wherever_it_stands() {
        let key = ("X-API-Key", KEY);
        for (headers, expected) in [
            (vec![key], false),
            (vec![("Origin", "https://app.example"), key], true),
            (vec![key, ("origin", "null")], true),
            (vec![key, ("ORIGIN", "")], true),
            (vec![key, ("X-Origin", "https://app.example")], false),
            (vec![key, ("Origin-Agent", "x"), ("Referer", "x")], false),
        ] {
            let lines = headers.iter().map(|(name, line)| (*name, line.as_bytes()));
            let found = Credentials::new().extract(&Formats::default(), lines, None, |_| false);
            assert_eq!(found.unwrap().sent_by_browser(), expected, "{headers:?}");
        }
    }

    #[test]
    fn another_scheme_leaves_the_header_of_our_own_in_force() {
        let headers = [("Authorization", "Basic YTpi"), ("X-API-Key", KEY)];
        assert_eq!(
            extract(&Credentials::new(), &headers, None).as_deref(),
            Ok(KEY)
        );
    }

    #[test]
    fn a_key_in_the_query_is_seen_however_it_is_written_and_beats_a_good_header() {
        let encoded = KEY.replace('_', "%5F");
        let encoded_twice = KEY.replace('_', "%255F");
        for query in [
            format!("url=%3Fkey%3D{encoded_twice}"),
            format!("api_key={KEY}"),
            format!("a=1&token={encoded}&b=2"),
            format!("auth=Bearer%20{KEY}"),
            format!("off=100%{KEY}"),
            format!("off=100%25{KEY}"),
            KEY.to_owned(),
        ] {
            let found = extract(&Credentials::new(), &[("X-API-Key", KEY)], Some(&query));
            assert_eq!(found, Err(Rejection::KeyInUrl), "{query}");
        }
        let harmless = extract(&Credentials::new(), &[("X-API-Key", KEY)], Some("q=%FF%&x"));
        assert_eq!(harmless.as_deref(), Ok(KEY));
    }

    #[test]
    fn basic_is_accepted_only_where_it_is_switched_on() {
        let value = |user: &str| format!("Basic {}", BASE64_STANDARD.encode(user));
        let on = Credentials::new().accept_basic();
        let good = value(&format!("{KEY}:"));
        assert_eq!(
            extract(&on, &[("Authorization", &good)], None).as_deref(),
            Ok(KEY)
        );
        let off = extract(&Credentials::new(), &[("Authorization", &good)], None);
        assert_eq!(off, Err(Rejection::KeyMissing));
        for bad in [
            value(KEY),
            value(":password"),
            "Basic".into(),
            "Basic !".into(),
        ] {
            let found = extract(&on, &[("Authorization", &bad)], None);
            assert_eq!(found, Err(Rejection::RequestMalformed), "{bad}");
        }
    }

    #[test]
    fn bearer_is_refused_where_it_is_switched_off_also_beside_basic() {
        let bearer = format!("Bearer {KEY}");
        let without = Credentials::new().without_bearer();
        for credentials in [without.clone(), without.accept_basic()] {
            let found = extract(&credentials, &[("Authorization", &bearer)], None);
            assert_eq!(found, Err(Rejection::KeyMissing), "{credentials:?}");
        }
    }

    #[test]
    fn what_is_no_token_passes_only_where_it_is_a_key_of_another_system() {
        let format = ForeignFormat::new("old", Hashing::sha256(), Alphabet::HEX, 28..=28);
        let format = format.label(Alphabet::DIGITS, 1..=2, '|');
        let formats = Formats::new(vec![format], [].into_iter()).unwrap();
        let secret = "0123456789abcdef0123456789ab";
        for (text, expected) in [
            (format!("17|{secret}"), Ok(())),
            (format!("17|{secret}c"), Err(Rejection::RequestMalformed)),
            (format!("117|{secret}"), Err(Rejection::RequestMalformed)),
            (format!("17;{secret}"), Err(Rejection::RequestMalformed)),
        ] {
            let found = token_text(text.as_bytes(), &formats).map(|_| ());
            assert_eq!(found, expected, "{text}");
            let without = token_text(text.as_bytes(), &Formats::default());
            assert_eq!(without, Err(Rejection::RequestMalformed), "{text}");
        }
    }

    #[test]
    fn basic_credentials_longer_than_any_key_needs_are_not_decoded() {
        let value = |password: usize| {
            let user = format!("{KEY}:{}", "x".repeat(password));
            format!("Basic {}", BASE64_STANDARD.encode(user))
        };
        let on = Credentials::new().accept_basic();
        for (password, expected) in [(600, Ok(KEY.into())), (2_000, Err(Rejection::KeyInvalid))] {
            let found = extract(&on, &[("Authorization", &value(password))], None);
            assert_eq!(found, expected, "a password of {password}");
        }
    }
}
