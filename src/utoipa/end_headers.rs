//! The headers that tell when a key ends, in the responses that have them.

use ::utoipa::openapi::header::{Header, HeaderBuilder};
use ::utoipa::openapi::path::Operation;
use ::utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
use ::utoipa::openapi::{KnownFormat, RefOr};

use crate::answer::{EXPIRES, ROTATE_BY};

/// Writes them into the responses of success that the operation declares, unless they are there.
pub(super) fn add_to(operation: &mut Operation) {
    let responses = operation.responses.responses.iter_mut();
    for (_, response) in responses.filter(|(status, _)| status.starts_with('2')) {
        if let RefOr::T(response) = response {
            for (name, says) in HEADERS {
                let has = |own: &String| own.eq_ignore_ascii_case(name);
                if !response.headers.keys().any(has) {
                    response
                        .headers
                        .insert(name.to_owned(), header(says).into());
                }
            }
        }
    }
}

const HEADERS: [(&str, &str); 2] = [
    (
        EXPIRES,
        "When the key ends, if that is near: get another one, or a later end.",
    ),
    (
        ROTATE_BY,
        "When the secret that was sent ends, if that is near and its key goes on: use the newer one, or rotate.",
    ),
];

fn header(says: &str) -> Header {
    let moment = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    HeaderBuilder::new()
        .schema(Some(moment))
        .description(Some(says))
        .build()
}
