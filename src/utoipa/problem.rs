//! The problem, and the responses that consist of one.

use ::utoipa::openapi::header::HeaderBuilder;
use ::utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaFormat, Type};
use ::utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};

use super::headers;
use crate::answer::CODES;

pub(super) const SCHEMA: &str = "Problem";

/// A response of a guard that says no.
pub(super) struct Refusal {
    pub(super) name: &'static str,
    description: &'static str,
    header: Header,
}

enum Header {
    Challenge,
    RetryAfter,
}

const LIMITED: &str = "KeyLimited";

/// What a guard may answer, by status. Any key may be bound to networks, so 403 is among it wherever a key is
/// taken, whatever the rule.
pub(super) const REFUSALS: [(&str, Refusal); 5] = [
    (
        "400",
        Refusal {
            name: "KeyMalformed",
            description: "The request is wrong: its key is sent twice, in the URL, in a malformed header or where others can read it, or something else in it is, as the problem says.",
            header: Header::Challenge,
        },
    ),
    (
        "401",
        Refusal {
            name: "KeyRefused",
            description: "No key was sent, or one that does not open.",
            header: Header::Challenge,
        },
    ),
    (
        "403",
        Refusal {
            name: "KeyForbidden",
            description: "The key lacks a scope, or does not work from this address.",
            header: Header::Challenge,
        },
    ),
    (
        "429",
        Refusal {
            name: LIMITED,
            description: "The key is over its rate limit, or too much that is no key came from the caller's address.",
            header: Header::RetryAfter,
        },
    ),
    (
        "503",
        Refusal {
            name: "KeyUnchecked",
            description: "Keys cannot be checked right now.",
            header: Header::RetryAfter,
        },
    ),
];

impl Refusal {
    /// `tells`: callers are told how the limits of their keys stand.
    pub(super) fn to_response(&self, tells: bool) -> RefOr<Response> {
        let content = Content::new(Some(Ref::from_schema_name(SCHEMA)));
        let (name, schema, says) = match self.header {
            Header::Challenge => (
                "WWW-Authenticate",
                ObjectBuilder::new().schema_type(Type::String),
                "How to authenticate, and what was wrong (RFC 6750, section 3).",
            ),
            Header::RetryAfter => (
                "Retry-After",
                ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .minimum(Some(1)),
                "After how many seconds to come back.",
            ),
        };
        let header = HeaderBuilder::new()
            .schema(Some(schema))
            .description(Some(says));
        let response = ResponseBuilder::new()
            .description(self.description)
            .header(name, header.build())
            .content("application/problem+json", content);
        let more = headers::LIMITS
            .iter()
            .filter(|_| tells && self.name == LIMITED);
        let told = more.fold(response, |response, told| {
            response.header(told.name, told.header())
        });
        told.into()
    }
}

/// The problem (RFC 9457), to which services may add members.
pub(super) fn schema() -> RefOr<Schema> {
    let text = |says: &str| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(says))
    };
    let scopes = |says: &str| {
        let scope = ObjectBuilder::new().schema_type(Type::String);
        ArrayBuilder::new().items(scope).description(Some(says))
    };
    let kind = text("Where the problem is explained, or `about:blank`.");
    let status = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(400))
        .maximum(Some(599))
        .description(Some("The status of the response."));
    let codes = CODES.iter().map(|(code, _)| *code);
    let problem = ObjectBuilder::new()
        .description(Some("What is wrong with a request (RFC 9457)."))
        .property(
            "type",
            kind.format(Some(SchemaFormat::Custom("uri-reference".into()))),
        )
        .property("title", text("What the problem is called."))
        .property("status", status)
        .property(
            "code",
            text("Which problem it is, for programs. Routes have codes of their own.")
                .examples(codes),
        )
        .property("detail", text("What to do about it."))
        .property(
            "required_scopes",
            scopes("Scopes that would do, where some are missing."),
        )
        .property("missing_scopes", scopes("Those of them that are missing."));
    ["type", "title", "status", "code", "detail"]
        .into_iter()
        .fold(problem, ObjectBuilder::required)
        .into()
}
