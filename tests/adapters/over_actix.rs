//! actix-web.

use std::net::{Ipv4Addr, SocketAddr};

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::test::{TestRequest, init_service, read_body, try_call_service};
use actix_web::{App, HttpResponse, HttpServer, web};
use keygate::answer::Answer;
use keygate::{Authorized, IntoRule, Keygate, Principal};

use crate::answers::HttpAnswer;
use crate::cases::{OWN_WORDS, Route, Setup};
use crate::limits::{self, Counted, EXPORTS, LATER};
use crate::wire::Wire;
use crate::world::{Gates, ORDERS_READ, ORDERS_WRITE, Sent, Stage};
use crate::{Http, play_http};

async fn stage(counted: Counted) -> Stage {
    Stage::new(counted, |address| address).await
}

async fn owner(caller: Option<Principal>) -> String {
    caller.map_or("nobody".into(), |caller| caller.owner().to_owned())
}

async fn owner_of_orders(caller: Authorized<ORDERS_READ>) -> String {
    caller.owner().to_owned()
}

async fn required_owner(caller: Principal) -> String {
    caller.owner().to_owned()
}

async fn telling_owner(caller: Principal) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header(("x-api-key-expires", OWN_WORDS));
    response.body(caller.owner().to_owned())
}

async fn charging_owner(keys: web::Data<Keygate>, caller: Principal) -> Result<String, Answer> {
    match caller.charge(LATER).await {
        Ok(_) => Ok(caller.owner().to_owned()),
        Err(refusal) => Err(keys.answers().refuse(&refusal)),
    }
}

fn app(config: &mut web::ServiceConfig, gates: &Gates) {
    for setup in Setup::ALL {
        let routes = |config: &mut web::ServiceConfig| routes(config, gates.of(setup));
        config.service(web::scope(setup.path()).configure(routes));
    }
}

fn routes(config: &mut web::ServiceConfig, keys: &Keygate) {
    let resource = |route: Route| web::resource(route.path());
    config
        .service(
            resource(Route::Orders)
                .wrap(keys.require(ORDERS_READ))
                .route(web::get().to(required_owner)),
        )
        .service(
            resource(Route::Extracted)
                .wrap(keys.authenticate())
                .route(web::get().to(owner_of_orders)),
        )
        .service(
            resource(Route::Optional)
                .wrap(keys.authenticate_optional())
                .route(web::get().to(owner)),
        )
        .service(
            resource(Route::Insistent)
                .wrap(keys.authenticate_optional())
                .route(web::get().to(required_owner)),
        )
        .service(
            resource(Route::Nested)
                .wrap(keys.require(ORDERS_READ))
                .wrap(keys.authenticate())
                .route(web::get().to(required_owner)),
        )
        .service(
            resource(Route::Telling)
                .wrap(keys.require(ORDERS_READ))
                .route(web::get().to(telling_owner)),
        )
        .service(
            resource(Route::Reported)
                .wrap(keys.require(ORDERS_WRITE.report_only()))
                .route(web::get().to(required_owner)),
        )
        .service(
            resource(Route::Tightened)
                .wrap(keys.require(ORDERS_WRITE.report_only()))
                .wrap(keys.require(ORDERS_READ))
                .route(web::get().to(required_owner)),
        )
        .service(
            resource(Route::Strict)
                .wrap(keys.require(ORDERS_READ.report_only()))
                .route(web::get().to(owner_of_orders)),
        )
        .service(
            resource(Route::Metered)
                .wrap(keys.require(ORDERS_READ).charge(EXPORTS.cost(5)))
                .route(web::get().to(required_owner)),
        )
        .service(
            resource(Route::MeteredWithin)
                .wrap(keys.require(ORDERS_READ).charge(EXPORTS.cost(5)))
                .wrap(keys.authenticate())
                .route(web::get().to(required_owner)),
        )
        .service(
            resource(Route::Charging)
                .app_data(web::Data::new(keys.clone()))
                .wrap(keys.require(ORDERS_READ))
                .route(web::get().to(charging_owner)),
        )
        .service(
            resource(Route::Named)
                .wrap(keys.require(ORDERS_READ))
                .route(web::get().to(required_owner)),
        )
        .service(resource(Route::Unguarded).route(web::get().to(required_owner)));
}

struct InProcess(Gates);

impl Http for InProcess {
    async fn ask(&mut self, sent: &Sent) -> HttpAnswer {
        let app = App::new().configure(|config| app(config, &self.0));
        let app = init_service(app).await;
        let mut request = TestRequest::with_uri(&sent.target())
            .peer_addr(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
        for (name, value) in &sent.headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request = request.append_header((HeaderName::from_static(name), value));
        }
        let response = try_call_service(&app, request.to_request()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = read_body(response).await.to_vec();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()));
        HttpAnswer::new(status, headers, body)
    }
}

#[actix_web::test]
async fn actix_web_answers_every_case() {
    let stage = stage(Counted::Here).await;
    play_http(&stage, &mut InProcess(stage.gates().clone())).await;
}

#[actix_web::test]
async fn actix_web_limits_alike_what_is_counted_elsewhere() {
    let stage = stage(Counted::Elsewhere).await;
    limits::play_http(&stage, &mut InProcess(stage.gates().clone())).await;
}

#[actix_web::test]
async fn actix_web_over_sockets_answers_every_case() {
    let stage = stage(Counted::Here).await;
    let gates = stage.gates().clone();
    let app = move || {
        let gates = gates.clone();
        App::new().configure(move |config| app(config, &gates))
    };
    let server = HttpServer::new(app).workers(1).bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    play_http(&stage, &mut Wire(address)).await;
    handle.stop(false).await;
}
