use std::collections::HashMap;

use ::tonic::metadata::{AsciiMetadataValue, MetadataMap};
use ::tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::answer::GrpcAnswer;
use crate::guard::authorized::Denied;
use crate::manage::ManageError;
use crate::telemetry;

/// The answer as a status with its details, and with what tells clients when to retry.
impl From<GrpcAnswer> for Status {
    fn from(answer: GrpcAnswer) -> Self {
        let named = answer.metadata.into_iter();
        let named: HashMap<String, String> = named
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let mut details = ErrorDetails::with_error_info(answer.reason, answer.domain, named);
        let mut metadata = MetadataMap::new();
        if let Some(delay) = answer.retry_after {
            details.set_retry_info(Some(delay));
            let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            metadata.insert("grpc-retry-pushback-ms", millis.into());
        }
        for (name, value) in answer.headers {
            if let Ok(value) = AsciiMetadataValue::try_from(value) {
                metadata.insert(name, value);
            }
        }
        let code = Code::from_i32(answer.code);
        Self::with_error_details_and_metadata(code, answer.message, details, metadata)
    }
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Self {
        GrpcAnswer::from(denied).into()
    }
}

/// Tells the caller what is wrong with the request and how to mend it; our own failures go to the
/// log, and the caller is told no more than to come back.
impl From<&ManageError> for Status {
    fn from(error: &ManageError) -> Self {
        let status = Self::from(GrpcAnswer::from(error));
        if matches!(status.code(), Code::Internal | Code::Unavailable) {
            telemetry::failed("key not managed", error);
        }
        status
    }
}

/// As of a reference, for `?`.
impl From<ManageError> for Status {
    fn from(error: ManageError) -> Self {
        Self::from(&error)
    }
}
