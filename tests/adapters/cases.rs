//! Every way to present a key, and the answer to it: one table for all adapters.
//!
//! In headers and queries, `{name}` stands for the text of a key of that name, and `{name:basic}` for
//! the same as basic credentials: see `world.rs`.

use keygate::audit::AuditAction;

/// One request, and what must come of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) query: Option<&'static str>,
    /// What stands in the path of a route that has a place for it.
    pub(crate) in_path: &'static str,
    pub(crate) setup: Setup,
    pub(crate) route: Route,
    pub(crate) store: Store,
    pub(crate) expect: Expect,
    /// The field that tells when what was sent ends, and what it says.
    pub(crate) told: Option<(&'static str, &'static str)>,
    /// The scope of a rule that only reports which the key lacks.
    pub(crate) lacked: Option<&'static str>,
    /// The key of which is told that it was exposed on its way, and how.
    pub(crate) exposed: Option<(&'static str, AuditAction)>,
}

/// Where the gate takes keys from, and the client's address: from the peer, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    /// Where it does unless said otherwise.
    Usual,
    /// From `Authorization: Basic` too.
    Basic,
    /// From a field of its own alone.
    OwnField,
    /// From `Authorization` and `X-API-Key`, and the address through proxies by `X-Forwarded-For`.
    Proxied,
    /// As `Proxied`, by `Forwarded`.
    ProxiedForwarded,
    /// As `Proxied`, and keys that were exposed on their way are refused.
    Refusing,
    /// No address at all.
    Addressless,
}

impl Setup {
    pub(crate) const ALL: [Self; 7] = [
        Self::Usual,
        Self::Basic,
        Self::OwnField,
        Self::Proxied,
        Self::ProxiedForwarded,
        Self::Refusing,
        Self::Addressless,
    ];

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Usual => "/usual",
            Self::Basic => "/basic",
            Self::OwnField => "/own",
            Self::Proxied => "/proxied",
            Self::ProxiedForwarded => "/forwarded",
            Self::Refusing => "/refusing",
            Self::Addressless => "/addressless",
        }
    }

    /// The fields that responses vary by.
    pub(crate) const fn vary(self) -> &'static str {
        match self {
            Self::OwnField => "X-Acme-Key",
            _ => "Authorization, X-API-Key",
        }
    }

    /// The scheme of challenges.
    pub(crate) const fn scheme(self) -> &'static str {
        match self {
            Self::OwnField => "ApiKey",
            _ => "Bearer",
        }
    }
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Behind `require("orders:read")`.
    Orders,
    /// Behind `authenticate()`, by an extractor that asks for `orders:read`.
    Extracted,
    /// Behind `authenticate_optional()`.
    Optional,
    /// Behind `authenticate_optional()`, by an extractor that needs somebody to be calling.
    Insistent,
    /// Behind `authenticate()`, and within that `require("orders:read")`.
    Nested,
    /// Behind `require("orders:read")`, by a handler that tells itself when the key ends.
    Telling,
    /// Behind a rule that only reports, for `orders:write`.
    Reported,
    /// Behind `require("orders:read")`, and within that a rule that only reports, for `orders:write`.
    Tightened,
    /// Behind a rule that only reports, by an extractor, both for `orders:read`.
    Strict,
    /// Behind `require("orders:read")` with a charge of 5 of a quota.
    Metered,
    /// Behind `authenticate()`, and within that the same.
    MeteredWithin,
    /// Behind `require("orders:read")`, by a handler that charges 5 of the same quota.
    Charging,
    /// Behind `require("orders:read")`, with a place in the path that takes anything.
    Named,
    /// Behind no guard, by an extractor that asks who is calling.
    Unguarded,
}

impl Route {
    pub(crate) const ALL: [Self; 14] = [
        Self::Orders,
        Self::Extracted,
        Self::Optional,
        Self::Insistent,
        Self::Nested,
        Self::Telling,
        Self::Reported,
        Self::Tightened,
        Self::Strict,
        Self::Metered,
        Self::MeteredWithin,
        Self::Charging,
        Self::Named,
        Self::Unguarded,
    ];

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Orders => "/orders",
            Self::Extracted => "/extracted",
            Self::Optional => "/optional",
            Self::Insistent => "/insistent",
            Self::Nested => "/nested",
            Self::Telling => "/telling",
            Self::Reported => "/reported",
            Self::Tightened => "/tightened",
            Self::Strict => "/strict",
            Self::Metered => "/metered",
            Self::MeteredWithin => "/within",
            Self::Charging => "/charging",
            Self::Named => "/named/{name}",
            Self::Unguarded => "/unguarded",
        }
    }

    /// Whether a request for `path` is for it.
    pub(crate) fn serves(self, path: &str) -> bool {
        match self.path().strip_suffix("{name}") {
            None => path.ends_with(self.path()),
            Some(before) => path.contains(before),
        }
    }
}

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Works,
    Fails,
    Hangs,
    Damaged,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// In the name of this owner, or of nobody.
    Accepted(&'static str),
    Refused(Refused),
}

/// A line of the error catalogue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    pub(crate) code: &'static str,
    pub(crate) status: u16,
    /// What the challenge adds to scheme and realm; `None`: there is no challenge.
    pub(crate) challenge: Option<&'static str>,
    pub(crate) retry_after: Option<u64>,
    pub(crate) grpc: i32,
    pub(crate) missing: Option<&'static str>,
}

const fn refused(
    code: &'static str,
    status: u16,
    challenge: Option<&'static str>,
    grpc: i32,
) -> Refused {
    Refused {
        code,
        status,
        challenge,
        retry_after: None,
        grpc,
        missing: None,
    }
}

const REQUEST: Option<&str> = Some(r#", error="invalid_request""#);
const TOKEN: Option<&str> = Some(r#", error="invalid_token""#);

const MISSING: Expect = Expect::Refused(refused("key_missing", 401, Some(""), 16));
const MALFORMED: Expect = Expect::Refused(refused("request_malformed", 400, REQUEST, 16));
const DUPLICATED: Expect = Expect::Refused(refused("key_duplicated", 400, REQUEST, 16));
const IN_URL: Expect = Expect::Refused(refused("key_in_url", 400, REQUEST, 16));
const INVALID: Expect = Expect::Refused(refused("key_invalid", 401, TOKEN, 16));
const ELSEWHERE: Expect = Expect::Refused(refused(
    "wrong_environment",
    401,
    Some(r#", error="invalid_token", error_description="The key belongs to another environment""#),
    16,
));
const EXPOSED: Expect = Expect::Refused(refused("key_exposed", 400, REQUEST, 16));
const EXPIRED: Expect = Expect::Refused(refused("key_expired", 401, TOKEN, 16));
const REVOKED: Expect = Expect::Refused(refused("key_revoked", 401, TOKEN, 16));
const DISABLED: Expect = Expect::Refused(refused("key_disabled", 401, TOKEN, 16));
const LACKING: Expect = Expect::Refused(Refused {
    missing: Some("orders:read"),
    ..refused(
        "scope_insufficient",
        403,
        Some(r#", error="insufficient_scope", scope="orders:read""#),
        7,
    )
});
const ADDRESS: Expect = Expect::Refused(refused("ip_denied", 403, None, 7));
const UNAVAILABLE: Expect = Expect::Refused(Refused {
    retry_after: Some(1),
    ..refused("store_unavailable", 503, None, 14)
});
const INTERNAL: Expect = Expect::Refused(refused("internal", 500, None, 13));
const ACCEPTED: Expect = Expect::Accepted("org_42");

const ORDERS: Case = Case {
    name: "",
    headers: &[],
    query: None,
    in_path: "",
    setup: Setup::Usual,
    route: Route::Orders,
    store: Store::Works,
    expect: ACCEPTED,
    told: None,
    lacked: None,
    exposed: None,
};

/// What the handler that tells itself says of the key's end.
pub(crate) const OWN_WORDS: &str = "ask us";

const EXPIRES: &str = "x-api-key-expires";
const ROTATE_BY: &str = "x-api-key-rotate-by";

/// Three days after the keys were issued, and so on.
const IN_3_DAYS: Option<(&str, &str)> = Some((EXPIRES, "2026-11-25T05:34:28.000Z"));
const IN_A_WEEK: Option<(&str, &str)> = Some((EXPIRES, "2026-11-29T06:34:28.000Z"));
const SECRET_IN_A_DAY: Option<(&str, &str)> = Some((ROTATE_BY, "2026-11-23T05:34:28.000Z"));

const LACKS_WRITE: Option<&str> = Some("orders:write");
const LACKS_READ: Option<&str> = Some("orders:read");

const GOOD: &[(&str, &str)] = &[("authorization", "Bearer {good}")];

macro_rules! bearer {
    ($key:literal) => {
        &[("authorization", concat!("Bearer ", $key))]
    };
}

const BY_BROWSER: AuditAction = AuditAction::SentByBrowser;
const IN_PLAINTEXT: AuditAction = AuditAction::SentInPlaintext;

/// A key, and other header lines.
macro_rules! with {
    ($key:literal, $($name:literal: $value:literal),+) => {
        &[("authorization", concat!("Bearer ", $key)), $(($name, $value)),+]
    };
}

/// A key that is bound to 10.0.0.0/8, and other header lines.
macro_rules! bound {
    ($($name:literal: $value:literal),+) => {
        &[("authorization", "Bearer {bound}"), $(($name, $value)),+]
    };
}

#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
    // Where a key may stand.
    Case { name: "bearer", headers: GOOD, ..ORDERS },
    Case { name: "the scheme in another case, and more spaces", headers: &[("authorization", "bEARER   {good}")], ..ORDERS },
    Case { name: "a field of its own", headers: &[("x-api-key", "{good}")], ..ORDERS },
    Case { name: "its own field beside another scheme", headers: &[("authorization", "Basic YTpi"), ("x-api-key", "{good}")], ..ORDERS },
    Case { name: "a harmless query", headers: GOOD, query: Some("page=2&q=%FF%"), ..ORDERS },

    // What is not exactly one credential.
    Case { name: "nothing", expect: MISSING, ..ORDERS },
    Case { name: "another scheme", headers: &[("authorization", "Basic YTpi")], expect: MISSING, ..ORDERS },
    Case { name: "a scheme that begins like ours", headers: &[("authorization", "Bearerish {good}")], expect: MISSING, ..ORDERS },
    Case { name: "a key for a proxy", headers: &[("proxy-authorization", "Bearer {good}")], expect: MISSING, ..ORDERS },
    Case { name: "a field with underscores", headers: &[("x_api_key", "{good}")], expect: MISSING, ..ORDERS },
    Case { name: "a cookie", headers: &[("cookie", "key={good}")], expect: MISSING, ..ORDERS },
    Case { name: "no token", headers: &[("authorization", "Bearer")], expect: MALFORMED, ..ORDERS },
    Case { name: "two tokens", headers: bearer!("{good} b"), expect: MALFORMED, ..ORDERS },
    Case { name: "a list of tokens", headers: bearer!("{good},b"), expect: MALFORMED, ..ORDERS },
    Case { name: "a token in quotes", headers: bearer!("\"{good}\""), expect: MALFORMED, ..ORDERS },
    Case { name: "bytes beyond ASCII", headers: bearer!("{good}\u{e9}"), expect: MALFORMED, ..ORDERS },
    Case { name: "an empty field of its own", headers: &[("x-api-key", "")], expect: MALFORMED, ..ORDERS },
    Case { name: "two fields", headers: &[("authorization", "Bearer {good}"), ("x-api-key", "{good}")], expect: DUPLICATED, ..ORDERS },
    Case { name: "two lines", headers: &[("authorization", "Bearer {good}"), ("authorization", "Bearer {good}")], expect: DUPLICATED, ..ORDERS },
    Case { name: "two lines, one of another scheme", headers: &[("authorization", "Basic YTpi"), ("authorization", "Bearer {good}")], expect: DUPLICATED, ..ORDERS },
    Case { name: "two lines of its own field", headers: &[("x-api-key", "{good}"), ("x-api-key", "{other}")], expect: DUPLICATED, ..ORDERS },
    Case { name: "a key in the query", query: Some("key={leaked}"), expect: IN_URL, ..ORDERS },
    Case { name: "a key in the query beside a good header", headers: GOOD, query: Some("a=1&token={leaked}"), expect: IN_URL, ..ORDERS },
    Case { name: "a key in the query that opens nothing", headers: GOOD, query: Some("key={wrong_secret}"), expect: IN_URL, ..ORDERS },
    Case { name: "a canary in the query", headers: GOOD, query: Some("{canary}"), expect: IN_URL, ..ORDERS },
    Case { name: "a key in the path", headers: GOOD, in_path: "{leaked_in_path}", route: Route::Named, expect: IN_URL, ..ORDERS },
    Case { name: "a key in the path that opens nothing", headers: GOOD, in_path: "{wrong_secret}", route: Route::Named, expect: IN_URL, ..ORDERS },
    Case { name: "something else in the path", headers: GOOD, in_path: "orders_of_42", route: Route::Named, ..ORDERS },

    // Where keys are taken from is the service's choice.
    Case { name: "basic, switched on", headers: &[("authorization", "Basic {good:basic}")], setup: Setup::Basic, ..ORDERS },
    Case { name: "bearer beside basic", headers: GOOD, setup: Setup::Basic, ..ORDERS },
    Case { name: "basic without a colon", headers: &[("authorization", "Basic YQ==")], setup: Setup::Basic, expect: MALFORMED, ..ORDERS },
    Case { name: "basic that is no base64", headers: &[("authorization", "Basic !")], setup: Setup::Basic, expect: MALFORMED, ..ORDERS },
    Case { name: "basic of a revoked key", headers: &[("authorization", "Basic {revoked:basic}")], setup: Setup::Basic, expect: REVOKED, ..ORDERS },
    Case { name: "basic and another field", headers: &[("authorization", "Basic {good:basic}"), ("x-api-key", "{good}")], setup: Setup::Basic, expect: DUPLICATED, ..ORDERS },
    Case { name: "basic, switched off", headers: &[("authorization", "Basic {good:basic}")], expect: MISSING, ..ORDERS },
    Case { name: "a field of its own choice", headers: &[("x-acme-key", "{good}")], setup: Setup::OwnField, ..ORDERS },
    Case { name: "a field of its own choice, with a bad key", headers: &[("x-acme-key", "{expired}")], setup: Setup::OwnField, expect: EXPIRED, ..ORDERS },
    Case { name: "a field of its own choice, without the scope", headers: &[("x-acme-key", "{weak}")], setup: Setup::OwnField, route: Route::Extracted, expect: LACKING, ..ORDERS },
    Case { name: "bearer, switched off", headers: GOOD, setup: Setup::OwnField, expect: MISSING, ..ORDERS },
    Case { name: "the usual field, switched off", headers: &[("x-api-key", "{good}")], setup: Setup::OwnField, expect: MISSING, ..ORDERS },
    Case { name: "a field of its own choice beside bearer", headers: &[("authorization", "Bearer {good}"), ("x-acme-key", "{good}")], setup: Setup::OwnField, ..ORDERS },

    // What is no key of ours: one answer for all.
    Case { name: "junk", headers: bearer!("nonsense"), expect: INVALID, ..ORDERS },
    Case { name: "a token that is too long", headers: bearer!("{good}{good}"), expect: INVALID, ..ORDERS },
    Case { name: "a wrong checksum", headers: bearer!("{bad_checksum}"), expect: INVALID, ..ORDERS },
    Case { name: "an unknown id", headers: bearer!("{unknown}"), expect: INVALID, ..ORDERS },
    Case { name: "a wrong secret", headers: bearer!("{wrong_secret}"), expect: INVALID, ..ORDERS },
    Case { name: "a foreign prefix", headers: bearer!("{foreign}"), expect: INVALID, ..ORDERS },
    Case { name: "another prefix of ours around a good secret", headers: bearer!("{swapped}"), expect: INVALID, ..ORDERS },
    Case { name: "a wrong secret of a revoked key", headers: bearer!("{revoked_wrong_secret}"), expect: INVALID, ..ORDERS },
    Case { name: "another environment", headers: bearer!("{declined}"), expect: ELSEWHERE, ..ORDERS },

    // What is wrong with a key that is ours.
    Case { name: "expired", headers: bearer!("{expired}"), expect: EXPIRED, ..ORDERS },
    Case { name: "the old secret after its overlap", headers: bearer!("{superseded}"), expect: EXPIRED, ..ORDERS },
    Case { name: "the old secret during its overlap", headers: bearer!("{overlapping}"), told: SECRET_IN_A_DAY, ..ORDERS },
    Case { name: "revoked", headers: bearer!("{revoked}"), expect: REVOKED, ..ORDERS },
    Case { name: "a canary", headers: bearer!("{canary}"), expect: REVOKED, ..ORDERS },
    Case { name: "disabled", headers: bearer!("{disabled}"), expect: DISABLED, ..ORDERS },
    Case { name: "another network's", headers: bearer!("{bound}"), expect: ADDRESS, ..ORDERS },
    Case { name: "another network's, with a forged address", headers: &[("authorization", "Bearer {bound}"), ("x-forwarded-for", "10.0.0.1"), ("forwarded", "for=10.0.0.1")], expect: ADDRESS, ..ORDERS },
    Case { name: "this network's", headers: bearer!("{local}"), ..ORDERS },
    Case { name: "this network's, and no address is known", headers: bearer!("{local}"), setup: Setup::Addressless, expect: ADDRESS, ..ORDERS },
    Case { name: "bound to no network, and no address is known", headers: GOOD, setup: Setup::Addressless, ..ORDERS },

    // The address behind proxies, of which the peer is one.
    Case { name: "proxied", headers: bound!("x-forwarded-for": "10.0.0.1"), setup: Setup::Proxied, ..ORDERS },
    Case { name: "proxied, with a port", headers: bound!("x-forwarded-for": "10.0.0.1:4711"), setup: Setup::Proxied, ..ORDERS },
    Case { name: "proxied, as IPv4 within IPv6", headers: bound!("x-forwarded-for": "[::ffff:10.0.0.1]:4711"), setup: Setup::Proxied, ..ORDERS },
    Case { name: "proxied twice", headers: bound!("x-forwarded-for": "10.0.0.1, 192.0.2.7"), setup: Setup::Proxied, ..ORDERS },
    Case { name: "proxied twice, in two lines", headers: bound!("x-forwarded-for": "10.0.0.1", "x-forwarded-for": "192.0.2.7"), setup: Setup::Proxied, ..ORDERS },
    Case { name: "proxied, with more that was forged", headers: bound!("x-forwarded-for": "nonsense,, 10.0.0.1"), setup: Setup::Proxied, ..ORDERS },
    Case { name: "proxied, from elsewhere", headers: bound!("x-forwarded-for": "198.51.100.7"), setup: Setup::Proxied, expect: ADDRESS, ..ORDERS },
    Case { name: "proxied, from elsewhere, with a forged address", headers: bound!("x-forwarded-for": "10.0.0.1, 198.51.100.7"), setup: Setup::Proxied, expect: ADDRESS, ..ORDERS },
    Case { name: "proxied, from elsewhere, with a forged line", headers: bound!("x-forwarded-for": "10.0.0.1", "x-forwarded-for": "198.51.100.7"), setup: Setup::Proxied, expect: ADDRESS, ..ORDERS },
    Case { name: "proxied, from elsewhere, with forged proxies", headers: bound!("x-forwarded-for": "10.0.0.1, 127.0.0.1, 198.51.100.7, 192.0.2.7"), setup: Setup::Proxied, expect: ADDRESS, ..ORDERS },
    Case { name: "proxied, from elsewhere, with another field", headers: bound!("x-forwarded-for": "198.51.100.7", "forwarded": "for=10.0.0.1"), setup: Setup::Proxied, expect: ADDRESS, ..ORDERS },
    Case { name: "proxied, by the other field alone", headers: bound!("forwarded": "for=10.0.0.1"), setup: Setup::Proxied, expect: ADDRESS, ..ORDERS },
    Case { name: "proxied, with underscores", headers: bound!("x_forwarded_for": "10.0.0.1"), setup: Setup::Proxied, expect: ADDRESS, ..ORDERS },
    Case { name: "proxied, and nothing that can be read", headers: bound!("x-forwarded-for": "10.0.0.1, unknown"), setup: Setup::Proxied, expect: ADDRESS, ..ORDERS },
    Case { name: "proxied, and empty", headers: bound!("x-forwarded-for": ""), setup: Setup::Proxied, expect: ADDRESS, ..ORDERS },
    Case { name: "proxied, and nothing said", headers: bearer!("{bound}"), setup: Setup::Proxied, expect: ADDRESS, ..ORDERS },
    Case { name: "the proxy itself", headers: bearer!("{local}"), setup: Setup::Proxied, ..ORDERS },
    Case { name: "proxied, and bound to the proxy's network", headers: &[("authorization", "Bearer {local}"), ("x-forwarded-for", "198.51.100.7")], setup: Setup::Proxied, expect: ADDRESS, ..ORDERS },
    Case { name: "proxied, and nothing that can be read, bound to no network", headers: &[("authorization", "Bearer {good}"), ("x-forwarded-for", "unknown")], setup: Setup::Proxied, ..ORDERS },
    Case { name: "forwarded", headers: bound!("forwarded": "for=10.0.0.1;proto=https;by=192.0.2.7"), setup: Setup::ProxiedForwarded, ..ORDERS },
    Case { name: "forwarded, quoted", headers: bound!("forwarded": "By=\"_a,b;c\\\"\"; FOR=\"[::ffff:10.0.0.1]:4711\""), setup: Setup::ProxiedForwarded, ..ORDERS },
    Case { name: "forwarded twice, in two lines", headers: bound!("forwarded": "for=10.0.0.1", "forwarded": "for=192.0.2.7"), setup: Setup::ProxiedForwarded, ..ORDERS },
    Case { name: "forwarded from elsewhere, with a forged address", headers: bound!("forwarded": "for=10.0.0.1, for=198.51.100.7"), setup: Setup::ProxiedForwarded, expect: ADDRESS, ..ORDERS },
    Case { name: "forwarded from elsewhere, behind an open quotation mark", headers: bound!("forwarded": "for=10.0.0.1;by=\", for=198.51.100.7"), setup: Setup::ProxiedForwarded, expect: ADDRESS, ..ORDERS },
    Case { name: "forwarded, and obfuscated", headers: bound!("forwarded": "for=10.0.0.1, for=_hidden"), setup: Setup::ProxiedForwarded, expect: ADDRESS, ..ORDERS },
    Case { name: "forwarded by the other field alone", headers: bound!("x-forwarded-for": "10.0.0.1"), setup: Setup::ProxiedForwarded, expect: ADDRESS, ..ORDERS },

    // Keys that were exposed on their way: told of, or refused too, once they prove right.
    Case { name: "by a browser", headers: with!("{good}", "origin": "https://app.example"), exposed: Some(("good", BY_BROWSER)), ..ORDERS },
    Case { name: "by a browser that tells no origin", headers: with!("{good}", "origin": "null"), exposed: Some(("good", BY_BROWSER)), ..ORDERS },
    Case { name: "by a browser, through two guards", headers: with!("{good}", "origin": "null"), route: Route::Nested, exposed: Some(("good", BY_BROWSER)), ..ORDERS },
    Case { name: "by a browser, with a wrong secret", headers: with!("{wrong_secret}", "origin": "null"), expect: INVALID, ..ORDERS },
    Case { name: "by a browser, without a key", headers: &[("origin", "null")], expect: MISSING, ..ORDERS },
    Case { name: "by a browser, in the query", headers: &[("origin", "null")], query: Some("key={leaked}"), expect: IN_URL, ..ORDERS },
    Case { name: "by what says as much as a browser", headers: with!("{good}", "sec-fetch-mode": "cors", "referer": "https://app.example/"), setup: Setup::Refusing, ..ORDERS },
    Case { name: "by a browser, refused", headers: with!("{good}", "origin": "https://app.example"), setup: Setup::Refusing, expect: EXPOSED, exposed: Some(("good", BY_BROWSER)), ..ORDERS },
    Case { name: "by a browser, refused also without the scope", headers: with!("{weak}", "origin": "null"), setup: Setup::Refusing, expect: EXPOSED, exposed: Some(("weak", BY_BROWSER)), ..ORDERS },
    Case { name: "by a browser, refused where a key is optional", headers: with!("{good}", "origin": "null"), setup: Setup::Refusing, route: Route::Optional, expect: EXPOSED, exposed: Some(("good", BY_BROWSER)), ..ORDERS },
    Case { name: "by a browser, refused where a key is optional, and without one", headers: &[("origin", "null")], setup: Setup::Refusing, route: Route::Optional, expect: Expect::Accepted("nobody"), ..ORDERS },
    Case { name: "by a browser, refused, and revoked", headers: with!("{revoked}", "origin": "null"), setup: Setup::Refusing, expect: REVOKED, exposed: Some(("revoked", BY_BROWSER)), ..ORDERS },
    Case { name: "by a browser, refused, with a wrong secret", headers: with!("{wrong_secret}", "origin": "null"), setup: Setup::Refusing, expect: INVALID, ..ORDERS },
    Case { name: "by a browser, refused, and the store fails", headers: with!("{good}", "origin": "null"), setup: Setup::Refusing, store: Store::Fails, expect: UNAVAILABLE, ..ORDERS },
    Case { name: "in plaintext", headers: with!("{good}", "x-forwarded-for": "198.51.100.7", "x-forwarded-proto": "http"), setup: Setup::Proxied, exposed: Some(("good", IN_PLAINTEXT)), ..ORDERS },
    Case { name: "in plaintext, forwarded", headers: with!("{good}", "forwarded": "for=198.51.100.7;proto=http"), setup: Setup::ProxiedForwarded, exposed: Some(("good", IN_PLAINTEXT)), ..ORDERS },
    Case { name: "in plaintext, by the other field alone", headers: with!("{good}", "forwarded": "for=198.51.100.7;proto=http"), setup: Setup::Refusing, ..ORDERS },
    Case { name: "in plaintext, and nobody is trusted to say so", headers: with!("{good}", "x-forwarded-proto": "http"), ..ORDERS },
    Case { name: "in plaintext, refused", headers: with!("{good}", "x-forwarded-for": "198.51.100.7", "x-forwarded-proto": "http"), setup: Setup::Refusing, expect: EXPOSED, exposed: Some(("good", IN_PLAINTEXT)), ..ORDERS },
    Case { name: "in plaintext, refused, from an address that cannot be read", headers: with!("{good}", "x-forwarded-for": "unknown", "x-forwarded-proto": "http"), setup: Setup::Refusing, expect: EXPOSED, exposed: Some(("good", IN_PLAINTEXT)), ..ORDERS },
    Case { name: "in plaintext, refused, from elsewhere", headers: bound!("x-forwarded-for": "198.51.100.7", "x-forwarded-proto": "http"), setup: Setup::Refusing, expect: ADDRESS, exposed: Some(("bound", IN_PLAINTEXT)), ..ORDERS },
    Case { name: "in plaintext, as was forged", headers: with!("{good}", "x-forwarded-for": "198.51.100.7", "x-forwarded-proto": "http, https"), setup: Setup::Refusing, ..ORDERS },
    Case { name: "in plaintext, as was forged in a line", headers: with!("{good}", "x-forwarded-proto": "http", "x-forwarded-proto": "https"), setup: Setup::Refusing, ..ORDERS },
    Case { name: "in plaintext between proxies", headers: with!("{good}", "x-forwarded-for": "198.51.100.7, 192.0.2.7", "x-forwarded-proto": "https, http"), setup: Setup::Refusing, ..ORDERS },
    Case { name: "encrypted", headers: with!("{good}", "x-forwarded-for": "198.51.100.7", "x-forwarded-proto": "https"), setup: Setup::Refusing, ..ORDERS },

    // What the route asks for.
    Case { name: "without the scope", headers: bearer!("{weak}"), expect: LACKING, ..ORDERS },
    Case { name: "with a wildcard for the scope", headers: bearer!("{wide}"), ..ORDERS },
    Case { name: "an extractor, with the scope", headers: GOOD, route: Route::Extracted, ..ORDERS },
    Case { name: "an extractor, without the scope", headers: bearer!("{weak}"), route: Route::Extracted, expect: LACKING, ..ORDERS },
    Case { name: "an extractor, without a key", route: Route::Extracted, expect: MISSING, ..ORDERS },
    Case { name: "an extractor behind no guard", headers: GOOD, route: Route::Unguarded, expect: INTERNAL, ..ORDERS },
    Case { name: "optional, with a key", headers: GOOD, route: Route::Optional, ..ORDERS },
    Case { name: "optional, without a key", route: Route::Optional, expect: Expect::Accepted("nobody"), ..ORDERS },
    Case { name: "optional, by an extractor, with a key", headers: GOOD, route: Route::Insistent, ..ORDERS },
    Case { name: "optional, by an extractor, without a key", route: Route::Insistent, expect: MISSING, ..ORDERS },
    Case { name: "optional, with a bad key", headers: bearer!("{revoked}"), route: Route::Optional, expect: REVOKED, ..ORDERS },
    Case { name: "optional, with two", headers: &[("x-api-key", "{good}"), ("x-api-key", "{good}")], route: Route::Optional, expect: DUPLICATED, ..ORDERS },

    // A rule that only reports: every key that opens is let through, and no other.
    Case { name: "reported, without the scope", headers: GOOD, route: Route::Reported, lacked: LACKS_WRITE, ..ORDERS },
    Case { name: "reported, without any scope", headers: bearer!("{weak}"), route: Route::Reported, lacked: LACKS_WRITE, ..ORDERS },
    Case { name: "reported, with the scope", headers: bearer!("{wide}"), route: Route::Reported, ..ORDERS },
    Case { name: "reported, without a key", route: Route::Reported, expect: MISSING, ..ORDERS },
    Case { name: "reported, with a wrong secret", headers: bearer!("{wrong_secret}"), route: Route::Reported, expect: INVALID, ..ORDERS },
    Case { name: "reported, with a revoked key", headers: bearer!("{revoked}"), route: Route::Reported, expect: REVOKED, ..ORDERS },
    Case { name: "reported, with another network's key", headers: bearer!("{bound}"), route: Route::Reported, expect: ADDRESS, ..ORDERS },
    Case { name: "reported, and the store fails", headers: GOOD, route: Route::Reported, store: Store::Fails, expect: UNAVAILABLE, ..ORDERS },
    Case { name: "reported within an enforced rule, without its scope", headers: GOOD, route: Route::Tightened, lacked: LACKS_WRITE, ..ORDERS },
    Case { name: "reported within an enforced rule, without that one's", headers: bearer!("{weak}"), route: Route::Tightened, expect: LACKING, ..ORDERS },
    Case { name: "reported, and enforced by an extractor", headers: bearer!("{weak}"), route: Route::Strict, expect: LACKING, lacked: LACKS_READ, ..ORDERS },
    Case { name: "reported, and enforced by an extractor, with the scope", headers: GOOD, route: Route::Strict, ..ORDERS },

    // Callers are told when what they sent ends, within a week.
    Case { name: "a key that ends", headers: bearer!("{ending}"), told: IN_3_DAYS, ..ORDERS },
    Case { name: "a key that ends in exactly a week", headers: bearer!("{ending_in_a_week}"), told: IN_A_WEEK, ..ORDERS },
    Case { name: "a key that ends a millisecond later", headers: bearer!("{ending_later}"), ..ORDERS },
    Case { name: "the old secret of a key that ends later", headers: bearer!("{ending_overlapping}"), told: SECRET_IN_A_DAY, ..ORDERS },
    Case { name: "the new secret of that key", headers: bearer!("{ending_rotated}"), told: IN_3_DAYS, ..ORDERS },
    Case { name: "the old secret of a key that ends with it", headers: bearer!("{ending_at_once}"), told: IN_3_DAYS, ..ORDERS },
    Case { name: "a secret that has to be replaced", headers: bearer!("{aged}"), told: SECRET_IN_A_DAY, ..ORDERS },
    Case { name: "a key that ends, by its own field", headers: &[("x-acme-key", "{ending}")], setup: Setup::OwnField, told: IN_3_DAYS, ..ORDERS },
    Case { name: "a key that ends, where callers are not told", headers: bearer!("{ending}"), setup: Setup::Basic, ..ORDERS },
    Case { name: "a key that ends, through two guards", headers: bearer!("{ending}"), route: Route::Nested, told: IN_3_DAYS, ..ORDERS },
    Case { name: "a key that ends, optional", headers: bearer!("{ending}"), route: Route::Optional, told: IN_3_DAYS, ..ORDERS },
    Case { name: "a key that ends, reported", headers: bearer!("{ending}"), route: Route::Reported, told: IN_3_DAYS, lacked: LACKS_WRITE, ..ORDERS },
    Case { name: "a key that ends, refused by an extractor", headers: bearer!("{ending_weak}"), route: Route::Extracted, expect: LACKING, told: IN_3_DAYS, ..ORDERS },
    Case { name: "a key that ends, refused by a guard", headers: bearer!("{ending_weak}"), expect: LACKING, ..ORDERS },
    Case { name: "a key that ends, refused by an inner guard", headers: bearer!("{ending_weak}"), route: Route::Nested, expect: LACKING, told: IN_3_DAYS, ..ORDERS },
    Case { name: "a handler that tells itself", headers: bearer!("{ending}"), route: Route::Telling, told: Some((EXPIRES, OWN_WORDS)), ..ORDERS },
    Case { name: "a handler that tells itself, of a key that goes on", headers: GOOD, route: Route::Telling, told: Some((EXPIRES, OWN_WORDS)), ..ORDERS },

    // Our own failures: never an "accepted", never a 401.
    Case { name: "the store fails", headers: GOOD, store: Store::Fails, expect: UNAVAILABLE, ..ORDERS },
    Case { name: "the store fails, for an unknown id", headers: bearer!("{unknown}"), store: Store::Fails, expect: UNAVAILABLE, ..ORDERS },
    Case { name: "the store hangs", headers: GOOD, store: Store::Hangs, expect: UNAVAILABLE, ..ORDERS },
    Case { name: "the record is damaged", headers: GOOD, store: Store::Damaged, expect: UNAVAILABLE, ..ORDERS },
    Case { name: "optional, and the store fails", headers: GOOD, route: Route::Optional, store: Store::Fails, expect: UNAVAILABLE, ..ORDERS },
    Case { name: "a limit that nobody can enforce", headers: bearer!("{unenforceable}"), expect: UNAVAILABLE, ..ORDERS },
    Case { name: "a pepper that is not here", headers: bearer!("{other_pepper}"), expect: UNAVAILABLE, ..ORDERS },
    Case { name: "junk while the store fails", headers: bearer!("nonsense"), store: Store::Fails, expect: INVALID, ..ORDERS },
];
