use serde::Serialize;

/// An answer to GitHub.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct GithubAnswer {
    /// The status.
    pub status: u16,
    /// What belongs into the field `Content-Type`.
    pub content_type: &'static str,
    /// The body: what was found, as JSON, or a sentence on what is wrong.
    pub body: Vec<u8>,
}

/// What GitHub is told of one text.
#[derive(Serialize)]
pub(super) struct Feedback {
    /// SHA-256 of the text, in hexadecimal digits.
    pub(super) token_hash: String,
    pub(super) token_type: String,
    pub(super) label: Label,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Label {
    TruePositive,
    FalsePositive,
}

impl GithubAnswer {
    pub(super) fn refused(status: u16, why: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: why.as_bytes().to_vec(),
        }
    }

    pub(super) fn of(feedback: &[Feedback]) -> Self {
        match serde_json::to_vec(feedback) {
            Ok(body) => Self {
                status: 200,
                content_type: "application/json",
                body,
            },
            Err(_) => Self::refused(500, "the answer cannot be written as JSON"),
        }
    }
}
