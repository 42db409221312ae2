//! The page for the callers of a service: how a key is sent, and what each refusal means.
//!
//! One document is made of the gate's own configuration, and two writers make HTML and Markdown
//! of it.

mod advice;
mod calling;
mod document;
mod facts;
mod failures;
mod html;
mod keeping;
mod markdown;

use crate::keygate::Keygate;
use document::{Document, Text};
use facts::Facts;

/// The page for those who call the service with a key, such as a partner's engineers: the first
/// call, what each refusal means and which to retry, scopes, lifetimes, rotation, leaks.
///
/// It is made of the gate's configuration, so it says what the service does. Its failures are what
/// [`Answers::refuse`](crate::answer::Answers::refuse) answers, and each has a section whose anchor
/// is its code: the types of problems lead there, if [`Builder::callers_page_url`] tells where the
/// page stands.
///
/// ```
/// # fn run(keys: keygate::Keygate) -> axum::Router {
/// use axum::{Router, http::header::CONTENT_TYPE, response::Html, routing::get};
///
/// let page = keys
///     .callers_page()
///     .title("Acme API")
///     .contact("keys@acme.example")
///     .example_url("https://api.acme.example/v1/whoami")
///     .rotate_url("https://api.acme.example/v1/keys/self/rotate")
///     .openapi_url("/openapi.json");
/// let (html, markdown) = (page.html(), page.markdown());
/// let kind = [(CONTENT_TYPE, "text/markdown; charset=utf-8")];
/// Router::new()
///     .route("/docs/keys", get(|| async { Html(html) }))
///     .route("/docs/keys.md", get(move || async move { (kind, markdown) }))
/// # }
/// ```
///
/// It needs no guard: it holds nothing secret. The HTML is complete and without scripts; its style
/// is inline, which a `Content-Security-Policy` has to allow (`style-src 'unsafe-inline'`).
///
/// A service that answers gRPC too says so with [`grpc`](Self::grpc).
///
/// [`Builder::callers_page_url`]: crate::Builder::callers_page_url
#[derive(Clone, Debug)]
#[must_use]
pub struct CallersPage {
    keys: Keygate,
    title: Option<String>,
    contact: Option<String>,
    example_url: Option<String>,
    rotate_url: Option<String>,
    openapi_url: Option<String>,
    grpc: bool,
}

impl Keygate {
    /// The page for the callers of this service, made of its configuration.
    pub fn callers_page(&self) -> CallersPage {
        CallersPage {
            keys: self.clone(),
            title: None,
            contact: None,
            example_url: None,
            rotate_url: None,
            openapi_url: None,
            grpc: false,
        }
    }
}

impl CallersPage {
    /// What the service is called; without it, the realm.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Whom callers ask for keys and scopes, and tell of leaks: an e-mail address, a URL, or words
    /// such as `your account manager`.
    pub fn contact(mut self, contact: impl Into<String>) -> Self {
        self.contact = Some(contact.into());
        self
    }

    /// A URL that every key may GET: the curl lines call it.
    pub fn example_url(mut self, url: impl Into<String>) -> Self {
        self.example_url = Some(url.into());
        self
    }

    /// A URL where callers rotate the key that they send: it takes a POST without a body, and
    /// answers with the new text. Without it, the page tells them to ask for a rotation.
    pub fn rotate_url(mut self, url: impl Into<String>) -> Self {
        self.rotate_url = Some(url.into());
        self
    }

    /// Where the routes are described: a URL, or a path such as `/openapi.json`.
    pub fn openapi_url(mut self, url: impl Into<String>) -> Self {
        self.openapi_url = Some(url.into());
        self
    }

    /// Tells how keys are sent and refused over gRPC too, and explains `method_denied`.
    ///
    /// A service that guards methods with `Keygate::require_by_method` needs this: without it,
    /// the type of `method_denied` leads to a section that the page does not have.
    pub fn grpc(mut self) -> Self {
        self.grpc = true;
        self
    }

    /// The page as complete HTML.
    pub fn html(&self) -> String {
        html::write(&self.document())
    }

    /// The page as Markdown (CommonMark, with the tables of GitHub).
    pub fn markdown(&self) -> String {
        markdown::write(&self.document())
    }

    fn document(&self) -> Document {
        let facts = Facts::of(self);
        let mut document = Document::new(format!("{}: API keys", facts.title));
        document.say(facts.whom_to_ask());
        if let Some(openapi) = &facts.openapi {
            let routes = Text::from("What there is to call: ").and(openapi.clone());
            document.say(routes.and(" (OpenAPI)."));
        }
        let sections = [
            calling::write,
            failures::write_table,
            keeping::write,
            failures::write_each,
        ];
        sections
            .iter()
            .for_each(|write| write(&mut document, &facts));
        document
    }
}
