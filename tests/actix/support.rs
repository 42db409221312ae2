use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Once;

use actix_web::body::{MessageBody, to_bytes};
use actix_web::dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::test::{self, TestRequest};
use actix_web::{App, Error, HttpResponse};
use keygate::{Keygate, NewKey, Principal};
use tracing_subscriber::filter::LevelFilter;

/// An app that runs, whatever its types.
pub(crate) type Running = Box<dyn Fn(TestRequest) -> Pin<Box<dyn Future<Output = Answer>>>>;

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    async fn of<B: MessageBody>(response: HttpResponse<B>) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body()).await.ok().unwrap();
        Self {
            status,
            headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// The code of the problem that it is.
    pub(crate) fn code(&self) -> String {
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["status"], self.status.as_u16());
        problem["code"].as_str().unwrap().to_owned()
    }

    /// The one value of a field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        assert!(self.headers.get_all(name).count() <= 1, "{name} twice");
        Some(self.headers.get(name)?.to_str().unwrap())
    }

    /// Exactly this and no more.
    #[track_caller]
    pub(crate) fn assert_is(&self, expected: &keygate::answer::Answer) {
        assert_eq!(self.status.as_u16(), expected.status);
        assert_eq!(self.body.as_bytes(), expected.body);
        for (name, value) in &expected.headers {
            assert_eq!(self.header(name), Some(value.as_str()));
        }
        assert_eq!(self.headers.len(), expected.headers.len());
    }

    /// What the answer to a verified caller says to caches.
    #[track_caller]
    pub(crate) fn assert_private(&self) {
        assert_eq!(self.header("cache-control"), Some("private, no-cache"));
        assert_eq!(self.header("vary"), Some("Authorization, X-API-Key"));
    }
}

pub(crate) async fn run<T, B>(app: App<T>) -> Running
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    let service = Rc::new(test::init_service(app).await);
    Box::new(move |request| {
        let service = Rc::clone(&service);
        Box::pin(async move {
            // As the server makes a response of an error.
            match service.call(request.to_request()).await {
                Ok(response) => Answer::of(response.into()).await,
                Err(error) => Answer::of(error.error_response()).await,
            }
        })
    })
}

pub(crate) async fn key(keys: &Keygate, scopes: &[&str]) -> String {
    let new = NewKey::for_owner("org_42").scopes(scopes.iter().copied());
    let issued = keys.manager().issue(new).await.unwrap();
    issued.key.expose().to_owned()
}

pub(crate) fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

pub(crate) fn with_key(path: &str, key: &str) -> TestRequest {
    get(path).insert_header(("authorization", format!("Bearer {key}")))
}

pub(crate) async fn owner(caller: Principal) -> String {
    caller.owner().to_owned()
}

pub(crate) async fn owner_if_any(caller: Option<Principal>) -> String {
    caller.map_or("nobody".into(), |caller| caller.owner().into())
}

thread_local! {
    /// What was logged on this thread, which is one test's.
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What is logged on this thread.
pub(crate) struct Log(());

impl Log {
    /// The subscriber is the whole process's: those of single threads lose lines when others begin.
    pub(crate) fn new() -> Self {
        static SUBSCRIBED: Once = Once::new();
        SUBSCRIBED.call_once(|| {
            tracing_subscriber::fmt()
                .with_max_level(LevelFilter::TRACE)
                .with_ansi(false)
                .with_writer(|| ThreadsOwn)
                .init();
        });
        let log = Self(());
        log.take();
        log
    }

    /// What was logged since the last call.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(LOGGED.take()).unwrap()
    }
}

struct ThreadsOwn;

impl std::io::Write for ThreadsOwn {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
