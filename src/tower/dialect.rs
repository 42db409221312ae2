use ::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderValue, Method, Request, Response};
use tonic::Status;

use super::AnswerBody;
use crate::answer::GrpcAnswer;

/// How a request speaks gRPC: the content type of its answer.
///
/// It decides how a request is answered and never what is asked of it: anybody can send any content
/// type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Dialect(&'static str);

const PLAIN: &str = "application/grpc";
const WEB: &str = "application/grpc-web";
const WEB_PROTO: &str = "application/grpc-web+proto";
const WEB_TEXT: &str = "application/grpc-web-text";
const WEB_TEXT_PROTO: &str = "application/grpc-web-text+proto";

impl Dialect {
    /// That of a request, if it speaks gRPC.
    pub(super) fn of<B>(request: &Request<B>) -> Option<Self> {
        if request.method() != Method::POST {
            return None;
        }
        Self::of_content_type(request.headers().get(CONTENT_TYPE)?.to_str().ok()?)
    }

    fn of_content_type(text: &str) -> Option<Self> {
        let kind = text.split(';').next()?.trim_ascii();
        // What comes after + is how messages are encoded, and a refusal has none.
        let family = kind.split('+').next()?;
        let is = |wanted: &str| {
            let mut known = [PLAIN, WEB, WEB_PROTO, WEB_TEXT, WEB_TEXT_PROTO].into_iter();
            known.find(|known| known.eq_ignore_ascii_case(wanted))
        };
        is(kind).or_else(|| is(family)).map(Self)
    }

    /// A refusal in trailers alone: a header block that ends the stream. Its HTTP status is 200, as
    /// gRPC has it, so caches are told that it is nothing to keep.
    pub(super) fn refuse<B: AnswerBody>(self, answer: GrpcAnswer) -> Response<B> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.0));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Err(unwritable) = Status::from(answer).add_header(&mut headers) {
            // Messages are escaped and details encoded, so each can stand in a field.
            tracing::error!(error = %unwritable, "gRPC status not written whole");
        }
        let mut response = Response::new(B::from_bytes(Vec::new()));
        *response.headers_mut() = headers;
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_of_a_grpc_content_type_is_answered_in_its_own_way_and_no_other() {
        for (content_type, expected) in [
            ("application/grpc", Some(PLAIN)),
            ("application/grpc+proto", Some(PLAIN)),
            ("application/grpc+json", Some(PLAIN)),
            ("application/grpc;charset=utf-8", Some(PLAIN)),
            ("Application/gRPC ; x", Some(PLAIN)),
            ("application/grpc-web", Some(WEB)),
            ("application/grpc-web+proto", Some(WEB_PROTO)),
            ("application/grpc-web+thrift", Some(WEB)),
            ("application/grpc-web-text", Some(WEB_TEXT)),
            ("application/grpc-web-text+proto", Some(WEB_TEXT_PROTO)),
            ("application/grpc-web-text+proto; x=y", Some(WEB_TEXT_PROTO)),
            ("application/grpcx", None),
            ("application/grpc-webx", None),
            ("application/grpc-", None),
            ("application/json", None),
            ("text/plain, application/grpc", None),
            ("", None),
        ] {
            let request = |method| {
                let request = Request::builder().method(method);
                request.header(CONTENT_TYPE, content_type).body(()).unwrap()
            };
            let of = |method| Dialect::of(&request(method)).map(|dialect| dialect.0);
            assert_eq!(of(Method::POST), expected, "{content_type}");
            assert_eq!(of(Method::GET), None, "{content_type}");
        }
        assert_eq!(Dialect::of(&Request::post("/").body(()).unwrap()), None);
    }

    #[test]
    fn no_text_keeps_a_status_from_being_written() {
        let every_char: String = (0..=0x2ff_u32).filter_map(char::from_u32).collect();
        let answer = GrpcAnswer {
            code: 7,
            message: every_char.clone(),
            reason: every_char.clone(),
            domain: every_char.clone(),
            metadata: vec![("x", every_char.clone())],
            retry_after: Some(std::time::Duration::MAX),
            headers: Vec::new(),
        };
        let response: Response<Vec<u8>> = Dialect(PLAIN).refuse(answer);
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!((status.code(), status.message()), (7.into(), &*every_char));
    }
}
