use std::borrow::Cow;

use serde::Serialize;

/// A problem detail (RFC 9457). Its type is a section of the page for callers, or `about:blank`
/// where there is none; the `code` tells problems apart in any case.
#[derive(Serialize)]
pub(super) struct Problem<'a> {
    r#type: Cow<'static, str>,
    title: &'static str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    required_scopes: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    missing_scopes: &'a [String],
}

impl<'a> Problem<'a> {
    pub(super) fn new(status: u16, code: &'a str, detail: &'a str, page: Option<&str>) -> Self {
        let (r#type, title) = match page {
            Some(page) => (format!("{page}#{code}").into(), title(code)),
            None => ("about:blank".into(), phrase(status)),
        };
        Self {
            r#type,
            title,
            status,
            code,
            detail,
            required_scopes: &[],
            missing_scopes: &[],
        }
    }

    pub(super) fn with_scopes(self, required: &'a [String], missing: &'a [String]) -> Self {
        Self {
            required_scopes: required,
            missing_scopes: missing,
            ..self
        }
    }

    /// Strings and a number always have a JSON form.
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The codes of all problems, and what each is called.
pub(crate) const CODES: [(&str, &str); 21] = [
    ("caller_ended", "Caller's key ended"),
    ("ceiling_exceeded", "Beyond the caller's key"),
    ("conflict", "Conflict"),
    ("input_invalid", "Input not valid"),
    ("internal", "Internal error"),
    ("ip_denied", "Address not allowed"),
    ("key_disabled", "Key disabled"),
    ("key_duplicated", "More than one key"),
    ("key_expired", "Key expired"),
    ("key_exposed", "Key exposed on its way"),
    ("key_in_url", "Key in the URL"),
    ("key_invalid", "Key not valid"),
    ("key_missing", "Key missing"),
    ("key_revoked", "Key revoked"),
    ("method_denied", "Method not open to keys"),
    ("not_found", "Not found"),
    ("rate_limited", "Rate limit exceeded"),
    ("request_malformed", "Header malformed"),
    ("scope_insufficient", "Scope missing"),
    ("store_unavailable", "Keys cannot be checked"),
    ("wrong_environment", "Key of another environment"),
];

/// What a problem is called.
pub(crate) fn title(code: &str) -> &'static str {
    let found = CODES.iter().find(|(known, _)| *known == code);
    found.map_or("Internal error", |(_, title)| title)
}

/// The phrase of a status, which is the title of `about:blank` (RFC 9457, section 4.2.1).
pub(crate) fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
