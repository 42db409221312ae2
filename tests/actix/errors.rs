use std::fmt;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data};
use actix_web::{App, Error, HttpResponse, ResponseError};
use keygate::answer::Answer;
use keygate::{
    Conflict, Issued, Keygate, ManageError, NewKey, Rejection, StoreError, StoreErrorKind,
};

use crate::common::{DAY, Fault, World};
use crate::support::{Log, get, key, run, with_key};

#[derive(Debug)]
struct Teapot;

impl fmt::Display for Teapot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no coffee")
    }
}

impl ResponseError for Teapot {
    fn status_code(&self) -> StatusCode {
        StatusCode::IM_A_TEAPOT
    }
}

async fn brew() -> Result<String, Teapot> {
    Err(Teapot)
}

#[actix_web::test]
async fn errors_of_a_handler_and_of_a_middleware_go_out_as_they_are_and_marked() {
    async fn fails(_: ServiceRequest, _: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
        Err(Teapot.into())
    }
    /// Tells whether the error that passes is still the one that was returned.
    async fn sees(
        request: ServiceRequest,
        next: Next<impl MessageBody + 'static>,
    ) -> Result<ServiceResponse<impl MessageBody>, Error> {
        next.call(request)
            .await
            .inspect_err(|error| assert!(error.as_error::<Teapot>().is_some()))
    }
    let keys = World::with(|builder| builder.tell_callers_of_end(100 * DAY)).await;
    let keys = keys.keys;
    let good = key(&keys, &[]).await;
    let resource = || web::resource("/x").route(web::get().to(brew));
    let of_handler = App::new()
        .service(resource().wrap(keys.authenticate()))
        .wrap(from_fn(sees));
    let inside = resource().wrap(from_fn(fails)).wrap(keys.authenticate());
    let of_middleware = App::new().service(inside).wrap(from_fn(sees));
    let nested = resource().wrap(from_fn(fails)).wrap(keys.authenticate());
    let nested = App::new().service(nested).wrap(keys.authenticate());
    for app in [
        run(of_handler).await,
        run(of_middleware).await,
        run(nested).await,
    ] {
        for _cold_then_cached in 0..2 {
            let answer = app(with_key("/x", &good)).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (StatusCode::IM_A_TEAPOT, "no coffee")
            );
            answer.assert_private();
            let end = answer.header("x-api-key-expires");
            assert_eq!(end, Some("2027-02-20T05:34:28.000Z"));
        }
    }
}

#[actix_web::test]
async fn an_answer_is_a_response_and_an_error_alike() {
    let keys = World::new().await.keys;
    let refusal = || keys.answers().refuse(&Rejection::KeyRevoked.into());
    let (one, other) = (refusal(), refusal());
    let app = App::new()
        .route(
            "/responder",
            web::get().to(move || std::future::ready(one.clone())),
        )
        .route(
            "/error",
            web::get().to(move || std::future::ready(Err::<String, _>(other.clone()))),
        );
    let app = run(app).await;
    for path in ["/responder", "/error"] {
        app(get(path)).await.assert_is(&refusal());
    }
    let text = refusal().to_string();
    assert!(
        text.starts_with("401 ") && text.contains("key_revoked"),
        "{text}"
    );
    assert_eq!(refusal().status_code(), StatusCode::UNAUTHORIZED);
}

#[actix_web::test]
async fn management_errors_tell_the_caller_what_is_its_own_and_the_log_what_is_ours() {
    let ours = StoreError::new(StoreErrorKind::Unavailable, "/srv/keys.db: disk failure");
    let cases = [
        (ManageError::Invalid("no".into()), 400, false),
        (ManageError::OwnerNotFound("org_7".into()), 404, false),
        (Conflict::Revoked.into(), 409, false),
        (ours.into(), 503, true),
    ];
    let log = Log::new();
    for (error, status, is_ours) in cases {
        let expected = Answer::from(&error);
        assert_eq!(
            (error.status_code().as_u16(), expected.status),
            (status, status)
        );
        let handler = move || std::future::ready(Err::<String, _>(error.clone()));
        let app = run(App::new().route("/", web::get().to(handler))).await;
        log.take();
        app(get("/")).await.assert_is(&expected);
        let logged = log.take();
        let failures = logged.matches("key not managed").count();
        assert_eq!(failures, usize::from(is_ours), "{logged}");
        assert_eq!(logged.contains("disk failure"), is_ours, "{logged}");
    }
}

#[actix_web::test]
async fn a_handler_that_manages_keys_may_use_the_question_mark() {
    async fn issue(keys: Data<Keygate>) -> Result<HttpResponse, ManageError> {
        let new = NewKey::for_owner("org_42");
        let Issued { info, .. } = keys.manager().issue(new).await?;
        Ok(HttpResponse::Created().body(info.owner))
    }
    let world = World::new().await;
    let app = App::new().app_data(Data::new(world.keys.clone()));
    let app = run(app.route("/keys", web::get().to(issue))).await;
    assert_eq!(app(get("/keys")).await.status, StatusCode::CREATED);
    world
        .store
        .writes
        .always(Fault::Fail(StoreErrorKind::Unavailable));
    let answer = app(get("/keys")).await;
    assert_eq!(
        (answer.code().as_str(), answer.header("retry-after")),
        ("store_unavailable", Some("1"))
    );
}
