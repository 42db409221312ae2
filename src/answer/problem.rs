use serde::Serialize;

/// A problem detail (RFC 9457). Its type is `about:blank`: the `code` tells problems apart.
#[derive(Serialize)]
pub(super) struct Problem<'a> {
    r#type: &'static str,
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
    pub(super) fn new(status: u16, code: &'a str, detail: &'a str) -> Self {
        Self {
            r#type: "about:blank",
            title: phrase(status),
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

/// With `about:blank` the title is the status's phrase (RFC 9457, section 4.2.1).
fn phrase(status: u16) -> &'static str {
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
