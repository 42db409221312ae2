//! The headers that guards add to responses.

use ::utoipa::openapi::KnownFormat;
use ::utoipa::openapi::header::{Header, HeaderBuilder};
use ::utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
#[cfg(any(feature = "tower", feature = "actix-web"))]
use ::utoipa::openapi::{RefOr, path::Operation};

#[cfg(any(feature = "tower", feature = "actix-web"))]
use crate::answer::{EXPIRES, ROTATE_BY};
use crate::limit::{LEFT, POLICY};

/// A header: its name, its schema, and what it says.
pub(super) struct Told {
    pub(super) name: &'static str,
    format: Option<KnownFormat>,
    says: &'static str,
}

/// Those that tell when a key ends.
#[cfg(any(feature = "tower", feature = "actix-web"))]
pub(super) const END: [Told; 2] = [
    Told {
        name: EXPIRES,
        format: Some(KnownFormat::DateTime),
        says: "When the key ends, if that is near: get another one, or a later end.",
    },
    Told {
        name: ROTATE_BY,
        format: Some(KnownFormat::DateTime),
        says: "When the secret that was sent ends, if that is near and its key goes on: use the newer one, or rotate.",
    },
];

/// Those that tell how the limits of a key stand.
pub(super) const LIMITS: [Told; 2] = [
    Told {
        name: POLICY,
        format: None,
        says: "The limits of the key, if it has any: `q` requests in `w` seconds. `\"key\"` is its own, others are those of routes.",
    },
    Told {
        name: LEFT,
        format: None,
        says: "What is left of them: `r` requests now, and all again in `t` seconds.",
    },
];

/// Writes them into the responses of success that the operation declares, unless they are there.
#[cfg(any(feature = "tower", feature = "actix-web"))]
pub(super) fn add_to(operation: &mut Operation, headers: &[Told]) {
    let responses = operation.responses.responses.iter_mut();
    for (_, response) in responses.filter(|(status, _)| status.starts_with('2')) {
        if let RefOr::T(response) = response {
            for told in headers {
                let has = |own: &String| own.eq_ignore_ascii_case(told.name);
                if !response.headers.keys().any(has) {
                    let name = told.name.to_owned();
                    response.headers.insert(name, told.header().into());
                }
            }
        }
    }
}

impl Told {
    pub(super) fn header(&self) -> Header {
        let format = self.format.clone().map(SchemaFormat::KnownFormat);
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(format);
        HeaderBuilder::new()
            .schema(Some(schema))
            .description(Some(self.says))
            .build()
    }
}
