//! The operations of a path.

use ::utoipa::openapi::path::{Operation, PathItem};

/// With their methods.
#[cfg(all(feature = "testing", feature = "axum"))]
pub(crate) fn operations(item: &PathItem) -> impl Iterator<Item = (&str, &Operation)> {
    let fixed = [
        ("GET", &item.get),
        ("PUT", &item.put),
        ("POST", &item.post),
        ("DELETE", &item.delete),
        ("OPTIONS", &item.options),
        ("HEAD", &item.head),
        ("PATCH", &item.patch),
        ("TRACE", &item.trace),
        ("QUERY", &item.query),
    ];
    let more = &item.additional_operations;
    fixed
        .into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
        .chain(more.iter().map(|(method, more)| (method.as_str(), more)))
}

pub(super) fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let fixed = [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.options,
        &mut item.head,
        &mut item.patch,
        &mut item.trace,
        &mut item.query,
    ];
    let more = item.additional_operations.values_mut();
    fixed.into_iter().flatten().chain(more)
}
