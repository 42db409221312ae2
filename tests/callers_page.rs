//! The page for callers: it says what the service does, in HTML and in Markdown.

#![cfg(feature = "axum")]

mod common;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use axum::routing::{get, post};
use common::{DAY, DECLINED, Fault, HOUR, World, with_prefix};
use http_body_util::BodyExt;
use keygate::{
    Builder, CallersPage, Credentials, KeyId, Keygate, NewKey, OnExposure, Policy, Principal,
    StoreErrorKind,
};
use tower::ServiceExt;

keygate::scopes! {
    SCOPES {
        /// See orders; "all" | `any` of them, <b>also</b> old ones.
        INVOICES_READ = "invoices:read",
        /// Create invoices.
        INVOICES_WRITE = "invoices:write",
    }
    bundles {
        /// Everything about invoices.
        INVOICES_ADMIN = "invoices:admin" => [INVOICES_READ, INVOICES_WRITE],
    }
}

async fn owner(caller: Principal) -> String {
    caller.owner().to_owned()
}

async fn page_of(change: impl FnOnce(Builder) -> Builder) -> CallersPage {
    World::with(change).await.keys.callers_page()
}

#[tokio::test]
async fn the_page_says_what_is_configured_and_nothing_that_is_not() {
    const BEARER: &str = r#"curl -i -H "Authorization: Bearer $KEY" 'https://api.example.com/'"#;
    const X_API_KEY: &str = r#"curl -i -H "X-API-Key: $KEY" 'https://api.example.com/'"#;
    const ROTATE: &str = r#"curl -i -X POST -H "Authorization: Bearer $KEY" '/rotate'"#;
    const BASIC: &str = r#"curl -i -u "$KEY:" 'https://api.example.com/'"#;
    let without_bearer = Credentials::new().without_bearer().headers(["X-Acme-Key"]);
    let long = Policy::new().max_lifetime(365 * DAY).max_overlap(72 * HOUR);
    let no_overlap = long
        .default_overlap(Duration::ZERO)
        .max_overlap(Duration::ZERO);
    let on_request = long.default_overlap(Duration::ZERO);
    type Case = (
        CallersPage,
        &'static [&'static str],
        &'static [&'static str],
    );
    let cases: Vec<Case> = vec![
        (
            page_of(|builder| builder).await,
            &[
                BEARER,
                X_API_KEY,
                "acme_live_, acme_sandbox_.",
                "Keys that begin with acme_test_ belong to another environment",
                "lasts 90 days from its issue",
                "not to expire at all",
                "at most30 days",
                "1 second after the revocation",
                "(acme_live|acme_sandbox|acme_test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}",
                "This example would be 72 characters long",
                "go to whoever gave you the key.",
                "Ask for a rotation.",
                "Always about:blank",
                "scope=\"orders:read\"",
            ],
            &[
                BASIC,
                "X-Acme-Key",
                "invoices",
                "No key lasts longer",
                "no text works for longer",
                "ask for it to be rotated",
                "Bundle",
                "gRPC",
                "method_denied",
                "x-api-key-expires",
                "x-api-key-rotate-by",
                "ratelimit:",
                "-X POST",
                "OpenAPI",
            ],
        ),
        (
            page_of(|builder| builder).await.grpc(),
            &[
                "Over gRPC, the same names are keys of the metadata",
                "whose domain is acme_live",
                "method_denied403never",
                "Over gRPC: status 7 PERMISSION_DENIED, reason METHOD_DENIED.",
            ],
            &[],
        ),
        (
            page_of(|builder| builder.credentials(without_bearer)).await,
            &[
                "X-Acme-Key: $KEY",
                "in this way, and in no other",
                "ApiKey realm=",
            ],
            &["Bearer", "X-API-Key", BASIC],
        ),
        (
            page_of(|builder| builder.credentials(Credentials::new().accept_basic())).await,
            &[BEARER, X_API_KEY, BASIC, "one of these ways"],
            &[],
        ),
        (
            page_of(|builder| builder.scopes(SCOPES)).await,
            &[
                "invoices:readSee orders; \"all\" | `any` of them, <b>also</b> old ones.",
                "invoices:writeCreate invoices.",
                "invoices:admininvoices:read, invoices:writeEverything about invoices.",
                "invoices:* opens invoices:read, invoices:write,",
                "scope=\"invoices:read\"",
            ],
            &["orders:read"],
        ),
        (
            page_of(|builder| builder.policy(long)).await,
            &[
                "No key lasts longer than 365 days",
                "at most3 days",
                "another1 day",
            ],
            &["not to expire at all"],
        ),
        (
            page_of(|builder| builder.tell_rate_limits()).await,
            &[
                "ratelimit-policy: \"key\";q=2;w=60",
                "ratelimit: \"key\";r=0;t=60",
                "r of RateLimit is how many requests are left",
            ],
            &["Some routes may have a limit of their own"],
        ),
        (
            page_of(|builder| builder.tell_callers_of_end(14 * DAY)).await,
            &[
                "From 14 days before the end of a key on, responses have the header x-api-key-expires,",
            ],
            &[],
        ),
        (
            page_of(|builder| builder.policy(long.max_secret_age(45 * DAY))).await,
            &[
                "no text works for longer than 45 days from when it was made",
                "it was made more than 45 days ago",
                "ask for it to be rotated, or",
            ],
            &["If not, ask for a new key."],
        ),
        (
            page_of(|builder| builder.policy(no_overlap)).await,
            &["allows no overlap", "ask for a second key"],
            &["say how long", "superseded", "both work", "-X POST"],
        ),
        (
            page_of(|builder| builder.policy(no_overlap))
                .await
                .rotate_url("/rotate"),
            &["ask for a second key", "To rotate without", ROTATE],
            &["both work"],
        ),
        (
            page_of(|builder| builder.policy(on_request)).await,
            &["say how long the overlap is to be"],
            &["allows no overlap"],
        ),
        (
            page_of(|builder| builder.policy(on_request))
                .await
                .rotate_url("/rotate"),
            &["Unless it asks for an overlap, the old text ends", ROTATE],
            &["say how long", "Ask for a rotation."],
        ),
        (
            page_of(|builder| builder).await.rotate_url("/rotate"),
            &["Send this, with the old text in $KEY:", ROTATE],
            &["Ask for a rotation.", "Unless it asks"],
        ),
        (
            page_of(|builder| builder.callers_page_url("/docs/keys"))
                .await
                .title("Acme API")
                .contact("keys@acme.example")
                .example_url("https://api.acme.example/v1/it's?a=b")
                .openapi_url("/openapi.json"),
            &[
                "Acme API: API keys",
                "go to keys@acme.example.",
                "What there is to call: /openapi.json (OpenAPI).",
                "A URI: /docs/keys with the code",
                r"'https://api.acme.example/v1/it'\''s?a=b'",
            ],
            &["api.example.com", "whoever gave", "Always about:blank"],
        ),
    ];
    for (page, present, absent) in cases {
        for text in [
            text_of_html(&page.html()),
            text_of_markdown(&page.markdown()),
        ] {
            for said in present {
                assert!(text.contains(said), "{said:?} is missing in:\n{text}");
            }
            for unsaid in absent {
                assert!(!text.contains(unsaid), "{unsaid:?} is said in:\n{text}");
            }
        }
    }
}

#[tokio::test]
async fn a_service_of_one_environment_speaks_of_no_other() {
    let builder = Keygate::builder("acme_live").pepper(common::pepper());
    let keys = builder.store(keygate::MemoryStore::new()).build().await;
    let text = text_of_html(&keys.unwrap().callers_page().html());
    assert!(text.contains("Keys that work here begin with acme_live_."));
    for unsaid in [
        "acme_test",
        "acme_sandbox",
        "wrong_environment",
        "key_exposed",
    ] {
        assert!(!text.contains(unsaid), "{unsaid}");
    }
}

#[tokio::test]
async fn whom_to_ask_is_said_once_before_the_first_section() {
    let page = page_of(|builder| builder).await;
    let named = page.clone().contact("your account manager");
    for (page, contact) in [
        (page, "whoever gave you the key"),
        (named, "your account manager"),
    ] {
        let markdown = page.markdown();
        let (before, after) = markdown.split_once("\n## ").unwrap();
        assert!(before.contains(&format!("go to {contact}.")), "{before}");
        assert!(!after.contains(contact));
    }
}

/// A guarded route, and requests that it refuses.
struct Refused {
    world: World,
    app: Router,
    requests: Vec<(&'static str, Request<Body>)>,
}

async fn refused() -> Refused {
    let configure = |builder: keygate::Builder| {
        let builder = builder.keys_from_browsers(OnExposure::Refuse);
        builder.callers_page_url("/docs/keys")
    };
    let world = World::with(configure).await;
    let manager = world.keys.manager();
    let app = Router::new().route("/", get(owner).layer(world.keys.require("orders:read")));
    let issue = async |new: NewKey| -> (KeyId, String) {
        let issued = manager.issue(new).await.unwrap();
        (issued.info.key_id, issued.key.expose().to_owned())
    };
    let new = || NewKey::for_owner("org_42");
    let (_, good) = issue(new().scopes(["orders:read"])).await;
    let (_, weak) = issue(new()).await;
    let (_, bound) = issue(new().allowed_ips(["10.0.0.0/8"])).await;
    let (_, short) = issue(new().expires_in(HOUR)).await;
    let (revoked_id, revoked) = issue(new()).await;
    let (disabled_id, disabled) = issue(new()).await;
    manager.revoke(&revoked_id, "").await.unwrap();
    manager.disable(&disabled_id).await.unwrap();
    world.clock.advance(2 * HOUR);

    let plain = || Request::get("/");
    let bearer = |key: &str| Request::get("/").header("authorization", format!("Bearer {key}"));
    let requests = [
        ("key_missing", plain()),
        ("request_malformed", bearer("a b")),
        ("key_duplicated", bearer(&good).header("x-api-key", &good)),
        ("key_exposed", bearer(&weak).header("origin", "null")),
        ("key_in_url", Request::get(format!("/?key={weak}"))),
        ("key_invalid", bearer("nonsense")),
        ("wrong_environment", bearer(&with_prefix(&good, DECLINED))),
        ("key_expired", bearer(&short)),
        ("key_revoked", bearer(&revoked)),
        ("key_disabled", bearer(&disabled)),
        ("scope_insufficient", bearer(&weak)),
        ("ip_denied", bearer(&bound)),
        // The last one, for which the test breaks the store.
        ("store_unavailable", bearer(&good)),
    ];
    let requests = requests.map(|(code, request)| (code, request.body(Body::empty()).unwrap()));
    Refused {
        app,
        requests: requests.into(),
        world,
    }
}

#[tokio::test]
async fn each_failure_on_the_page_is_what_a_guarded_route_answers() {
    let Refused {
        world,
        app,
        requests,
    } = refused().await;
    let page = world.keys.callers_page();
    let (html, markdown) = (page.html(), page.markdown());
    for (code, request) in requests {
        if code == "store_unavailable" {
            world
                .store
                .gets
                .always(Fault::Fail(StoreErrorKind::Unavailable));
        }
        let sent = as_sent(app.clone().oneshot(request).await.unwrap()).await;
        let (head, body) = sent.rsplit_once("\n\n").unwrap();
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["type"], format!("/docs/keys#{code}"));

        let section = markdown.split(&format!("<a id=\"{code}\"></a>\n")).nth(1);
        let block = section.unwrap().split("```http\n").nth(1).unwrap();
        assert_eq!(
            sorted(block.split("\n```\n").next().unwrap()),
            sorted(&sent)
        );

        let section = html.split(&format!("<h3 id=\"{code}\">")).nth(1).unwrap();
        let block = section.split("<pre><code>").nth(1).unwrap();
        let block = unescaped(block.split("</code></pre>").next().unwrap());
        assert_eq!(sorted(&block), sorted(&sent), "{head}");
    }
}

/// Where no guard stands, it is not known where the page is.
#[tokio::test]
async fn a_mistake_of_the_service_is_shown_as_it_is_answered() {
    let app = Router::<()>::new().route("/", get(owner));
    let request = Request::get("/").body(Body::empty()).unwrap();
    let sent = as_sent(app.oneshot(request).await.unwrap()).await;
    let page = page_of(|builder| builder.callers_page_url("/docs/keys")).await;
    let markdown = page.markdown();
    let section = markdown.split("<a id=\"internal\"></a>").nth(1).unwrap();
    let block = section.split("```http\n").nth(1).unwrap();
    assert_eq!(
        sorted(block.split("\n```\n").next().unwrap()),
        sorted(&sent)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_for_a_shell_work_when_they_are_pasted() {
    let all = Credentials::new().headers(["X-Acme-Key"]).accept_basic();
    let no_header: [&str; 0] = [];
    let basic = Credentials::new().without_bearer().headers(no_header);
    // The first call in two forms, each way, and the rotation.
    for (credentials, count) in [(all, 2 + 3 + 1), (basic.accept_basic(), 2 + 1 + 1)] {
        let world = World::with(|builder| builder.credentials(credentials)).await;
        let manager = world.keys.manager();
        let issued = manager.issue(NewKey::for_owner("org_42")).await.unwrap();
        let authenticated = || world.keys.authenticate();
        let app = Router::new()
            .route("/whoami", get(owner).layer(authenticated()))
            .route("/rotate", post(owner).layer(authenticated()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });

        let page = world.keys.callers_page();
        let page = page.example_url(format!("{url}/whoami?a=1&b='2'"));
        let markdown = page.rotate_url(format!("{url}/rotate")).markdown();
        let blocks = markdown.split("```sh\n").skip(1);
        let mut blocks = blocks.map(|block| block.split("\n```").next().unwrap());
        let read = blocks.next().unwrap();
        let lines: Vec<&str> = blocks.collect();
        assert_eq!(lines.len(), count, "{lines:?}");
        for line in lines {
            let Some(output) = pasted(&format!("{read}\n{line}"), issued.key.expose()).await else {
                eprintln!("not tried: there is no curl here");
                return;
            };
            assert!(
                output.starts_with("HTTP/1.1 200") && output.ends_with("org_42"),
                "{line}: {output}"
            );
        }
    }
}

/// What `lines` print in a shell that reads `input`, if there is curl.
async fn pasted(lines: &str, input: &str) -> Option<String> {
    Command::new("curl").arg("--version").output().ok()?;
    let mut shell = Command::new("bash")
        .args(["-c", lines])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(shell.stdin.take().unwrap(), "{input}").unwrap();
    let output = tokio::task::spawn_blocking(|| shell.wait_with_output());
    Some(String::from_utf8(output.await.unwrap().unwrap().stdout).unwrap())
}

/// What `ps` would show: the arguments after the shell has put the key into them.
#[tokio::test]
async fn one_line_keeps_the_key_out_of_the_arguments_of_curl() {
    let no_header: [&str; 0] = [];
    let basic = Credentials::new().without_bearer().headers(no_header);
    for credentials in [Credentials::new(), basic.accept_basic()] {
        let markdown = page_of(|builder| builder.credentials(credentials))
            .await
            .markdown();
        let (_, after) = markdown.split_once("not in this one:").unwrap();
        let line = after.split("```").nth(1).unwrap();
        let (arguments, input) = line.split_once("<<<").unwrap();
        assert!(arguments.contains("curl") && !arguments.contains("$KEY"));
        assert!(input.contains("$KEY"));
    }
}

#[tokio::test]
async fn names_of_the_host_cannot_break_the_page() {
    let hostile = "</title><script>alert(1)</script>\"'`|\n# x";
    let world = World::with(|builder| builder.realm("<i>`|realm").scopes(SCOPES)).await;
    let page = world.keys.callers_page();
    let unnamed = page.clone();
    let named = page
        .title(hostile)
        .contact(hostile)
        .example_url(hostile)
        .rotate_url(hostile)
        .openapi_url(hostile)
        .grpc();
    for page in [unnamed, named] {
        let html = page.html();
        assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
        assert_balanced(&html);
        for tag in ["<script", "<i>", "<b>"] {
            assert!(!html.contains(tag), "{tag}");
        }
        let markdown = page.markdown();
        let outside_of_code: String = without_code(&markdown);
        for tag in ["<script", "<i>", "<b>"] {
            assert!(!outside_of_code.replace("\\<", "").contains(tag), "{tag}");
        }
        assert_eq!(markdown.matches("\n# ").count(), 0, "one title alone");
        for line in markdown.lines().filter(|line| line.starts_with("| ")) {
            let cells = line.replace("\\|", "").matches('|').count() - 1;
            assert!((2..=3).contains(&cells), "{line}");
        }
    }
}

/// Every tag is closed in its order, and no `<` or `>` stands elsewhere.
fn assert_balanced(html: &str) {
    let mut open: Vec<&str> = Vec::new();
    let (_, body) = html.split_once("<style>").unwrap();
    let (head, _) = html.split_once("<style>").unwrap();
    let (_, body) = body.split_once("</style>").unwrap();
    for piece in [head, body] {
        let mut pieces = piece.split('<');
        assert!(!pieces.next().unwrap().contains('>'));
        for piece in pieces {
            let (tag, text) = piece.split_once('>').expect("a tag ends");
            assert!(!text.contains('>'), "{text}");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            let name = tag.split(' ').next().unwrap();
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name)),
                None if ["!DOCTYPE", "meta"].contains(&name) => {}
                None => open.push(name),
            }
        }
    }
    assert_eq!(open, [""; 0]);
}

/// The answer as the page writes it. The length of the body is added by the server.
async fn as_sent(response: Response<Body>) -> String {
    let (parts, body) = response.into_parts();
    let reason = parts.status.canonical_reason().unwrap();
    let mut text = format!("HTTP/1.1 {} {reason}\n", parts.status.as_u16());
    for (name, value) in &parts.headers {
        if name != "content-length" {
            text += &format!("{name}: {}\n", value.to_str().unwrap());
        }
    }
    let body = body.collect().await.unwrap().to_bytes();
    text + "\n" + std::str::from_utf8(&body).unwrap()
}

/// The order of header lines does not count.
fn sorted(answer: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = answer.lines().collect();
    lines[1..].sort_unstable();
    lines
}

fn text_of_html(html: &str) -> String {
    let (_, body) = html.split_once("<body>").unwrap();
    let pieces = body.split('<').map(|piece| piece.split_once('>'));
    let texts = pieces.map(|piece| piece.map_or("", |(_, text)| text).trim_matches('\n'));
    unescaped(&texts.collect::<String>())
}

fn unescaped(html: &str) -> String {
    let html = html.replace("&lt;", "<").replace("&gt;", ">");
    let html = html.replace("&quot;", "\"").replace("&#39;", "'");
    html.replace("&amp;", "&")
}

/// What a reader sees of the Markdown that the page uses.
fn text_of_markdown(markdown: &str) -> String {
    let mut text = String::new();
    let mut in_code = false;
    for line in markdown.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
        } else if in_code {
            text += line;
        } else {
            text += &text_of_line(line);
        }
        text.push('\n');
    }
    text
}

fn text_of_line(line: &str) -> String {
    let line = match line.strip_prefix("| ") {
        Some(cells) => cells.trim_end_matches(" |").replace(" | ", ""),
        None => line.to_owned(),
    };
    let (mut text, mut chars, mut in_code) = (String::new(), line.chars(), false);
    while let Some(c) = chars.next() {
        match c {
            '\\' if !in_code => text.extend(chars.next()),
            '`' => in_code = !in_code,
            '[' if !in_code => {
                let rest: String = chars.by_ref().take_while(|c| *c != ']').collect();
                text += &rest.replace('\\', "");
                chars.by_ref().find(|c| *c == ')');
            }
            c => text.push(c),
        }
    }
    text
}

fn without_code(markdown: &str) -> String {
    let outside = markdown.split("\n```").step_by(2).collect::<String>();
    outside.split('`').step_by(2).collect()
}
