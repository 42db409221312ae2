//! Keys in every state, and requests with them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use keygate::audit::{AuditAction, AuditKind};
use keygate::store::AuditQuery;
use keygate::testing::Fault;
use keygate::{
    ClientAddress, Clock, Credentials, KeyId, KeyStatus, Keygate, MemoryStore, NewKey, OnExposure,
    OnLeak, OnOutage, PepperId, PepperRing, RateLimit, StoreErrorKind,
};

use crate::cases::{CASES, Case, Route, Setup, Store};
use crate::common::{
    self, DAY, DECLINED, HOUR, LIVE, SANDBOX, SECOND, World, fresh_pepper, millis, pepper,
};
use crate::limits::{self, Counted, Elsewhere};

/// Where the page for callers is said to stand.
pub(crate) const PAGE: &str = "/docs/keys";

keygate::scopes! {
    pub(crate) SCOPES {
        /// See orders.
        ORDERS_READ = "orders:read",
        /// Create orders.
        ORDERS_WRITE = "orders:write",
    }
}

/// A gate on a store that misbehaves on demand, and the texts of keys by their names.
pub(crate) struct Stage {
    pub(crate) world: World,
    gates: Gates,
    keys: HashMap<&'static str, String>,
    ids: HashMap<&'static str, KeyId>,
}

/// A gate for each setup, on one store.
#[derive(Clone)]
pub(crate) struct Gates(Vec<(Setup, Keygate)>);

impl Gates {
    pub(crate) fn of(&self, setup: Setup) -> &Keygate {
        let mut gates = self.0.iter();
        &gates.find(|(own, _)| *own == setup).unwrap().1
    }
}

/// A request as it is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) setup: Setup,
    pub(crate) route: Route,
    pub(crate) query: Option<String>,
    in_path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Sent {
    /// The path of what is called, such as `/usual/orders`, and the query.
    pub(crate) fn target(&self) -> String {
        let route = self.route.path().replace("{name}", &self.in_path);
        let path = [self.setup.path(), &route].concat();
        match &self.query {
            None => path,
            Some(query) => format!("{path}?{query}"),
        }
    }
}

impl Stage {
    /// `peer` says where the server keeps the peer, if nobody knows that.
    pub(crate) async fn new(
        counted: Counted,
        peer: impl Fn(ClientAddress) -> ClientAddress,
    ) -> Self {
        let world = World::new().await;
        let mut gates = Vec::new();
        for setup in Setup::ALL {
            let credentials = match setup {
                Setup::Basic => Credentials::new().accept_basic(),
                Setup::OwnField => Credentials::new().without_bearer().headers(["X-Acme-Key"]),
                _ => Credentials::new(),
            };
            let builder = common::builder(world.store.clone(), &world.clock)
                .scopes(SCOPES)
                .callers_page_url(PAGE)
                .on_leak(OnLeak::Revoke)
                .credentials(credentials);
            let builder = match setup {
                Setup::Basic => builder,
                _ => builder.tell_callers_of_end(7 * DAY),
            };
            let builder = match setup {
                Setup::Usual => builder.tell_rate_limits(),
                Setup::Refusing => builder
                    .keys_from_browsers(OnExposure::Refuse)
                    .keys_in_plaintext(OnExposure::Refuse),
                Setup::OwnField => builder.failed_attempts(RateLimit::per_minute(2)),
                _ => builder,
            };
            let builder = match counted {
                Counted::Here => builder,
                Counted::Elsewhere => {
                    let limiter = Elsewhere::new(world.clock.clone());
                    builder.shared_limiter(limiter, OnOutage::Refuse)
                }
            };
            let proxied = || ClientAddress::behind(["127.0.0.0/8", "192.0.2.7"]);
            let address = match setup {
                Setup::Addressless => None,
                Setup::Proxied | Setup::Refusing => Some(proxied()),
                Setup::ProxiedForwarded => Some(proxied().forwarded()),
                _ => Some(ClientAddress::peer()),
            };
            let builder = match address {
                Some(address) => builder.client_address(peer(address)),
                None => builder,
            };
            gates.push((setup, builder.build().await.unwrap()));
        }
        let manager = world.keys.manager();
        let mut keys = HashMap::new();
        let mut ids = HashMap::new();
        let plain = || NewKey::for_owner("org_42").scopes([ORDERS_READ]);
        let new = [
            ("good", plain()),
            ("other", plain()),
            ("weak", NewKey::for_owner("org_42")),
            ("wide", plain().scopes(["orders:*"])),
            ("expired", plain().expires_in(HOUR)),
            ("revoked", plain()),
            ("canary", plain().canary()),
            ("leaked", plain()),
            ("leaked_in_path", plain()),
            ("disabled", plain()),
            ("superseded", plain()),
            ("overlapping", plain()),
            ("bound", plain().allowed_ips(["10.0.0.0/8"])),
            ("local", plain().allowed_ips(["127.0.0.0/8"])),
            ("unenforceable", plain()),
            ("ending", plain().expires_in(3 * DAY)),
            ("ending_in_a_week", plain().expires_in(7 * DAY + HOUR)),
            (
                "ending_later",
                plain().expires_in(7 * DAY + HOUR + millis(1)),
            ),
            (
                "ending_weak",
                NewKey::for_owner("org_42").expires_in(3 * DAY),
            ),
            ("ending_overlapping", plain().expires_in(3 * DAY)),
            ("aged", plain()),
            ("ending_at_once", plain().expires_in(3 * DAY)),
        ];
        let two_a_minute = RateLimit::per_minute(2);
        let limited = limits::KEYS.map(|name| (name, plain().rate_limit(two_a_minute)));
        for (name, new) in new.into_iter().chain(limited) {
            let issued = manager.issue(new).await.unwrap();
            ids.insert(name, issued.info.key_id);
            keys.insert(name, issued.key.expose().to_owned());
        }
        manager.revoke(&ids["revoked"], "").await.unwrap();
        manager.disable(&ids["disabled"]).await.unwrap();
        let _ = manager
            .rotate_with_overlap(&ids["superseded"], HOUR)
            .await
            .unwrap();
        let _ = manager
            .rotate_with_overlap(&ids["overlapping"], DAY)
            .await
            .unwrap();
        let rotated = manager
            .rotate_with_overlap(&ids["ending_overlapping"], DAY)
            .await
            .unwrap();
        keys.insert("ending_rotated", rotated.key.expose().to_owned());
        let _ = manager
            .rotate_with_overlap(&ids["ending_at_once"], 3 * DAY)
            .await
            .unwrap();
        let secret_ends = world.clock.wall().checked_add(DAY);
        world
            .edit(&ids["aged"], |record| {
                record.secrets.current.not_after = secret_ends;
            })
            .await;
        let limit = RateLimit::per_minute(0);
        world
            .edit(&ids["unenforceable"], |record| {
                record.rate_limit = Some(limit);
            })
            .await;
        world.clock.advance(HOUR);

        keys.insert("unknown", foreign_key(LIVE).await);
        keys.insert("foreign", foreign_key("globex_live").await);
        keys.insert("declined", foreign_key(DECLINED).await);
        keys.insert("other_pepper", key_under_another_pepper(&world).await);
        let nearly = [
            ("wrong_secret", common::with_wrong_secret(&keys["good"])),
            (
                "revoked_wrong_secret",
                common::with_wrong_secret(&keys["revoked"]),
            ),
            ("swapped", common::with_prefix(&keys["good"], SANDBOX)),
            ("bad_checksum", with_bad_checksum(&keys["good"])),
        ];
        keys.extend(nearly);
        Self {
            ids,
            gates: Gates(gates),
            world,
            keys,
        }
    }

    pub(crate) fn gates(&self) -> &Gates {
        &self.gates
    }

    /// Brings the store into the state that the case wants, with nothing in caches.
    pub(crate) fn set(&self, store: Store) {
        let faulty = &self.world.store;
        faulty.gets.heal();
        let good = self.ids["good"];
        faulty.mend(good);
        match store {
            Store::Works => {}
            Store::Fails => faulty.gets.always(Fault::Fail(StoreErrorKind::Unavailable)),
            Store::Hangs => faulty.gets.always(Fault::Hang),
            Store::Damaged => faulty.corrupt(good),
        }
        self.world.clock.advance_monotonic(SECOND);
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.world.clock.advance_monotonic(time);
    }

    pub(crate) fn request(&self, case: &Case) -> Sent {
        let headers = case.headers.iter();
        Sent {
            setup: case.setup,
            route: case.route,
            query: case.query.map(|query| self.fill(query)),
            in_path: self.fill(case.in_path),
            headers: headers
                .map(|(name, value)| (*name, self.fill(value)))
                .collect(),
        }
    }

    /// A request with this key in a field of its own.
    pub(crate) fn bearing(
        &self,
        setup: Setup,
        route: Route,
        field: &'static str,
        key: &str,
    ) -> Sent {
        Sent {
            setup,
            route,
            query: None,
            in_path: String::new(),
            headers: vec![(field, self.keys[key].clone())],
        }
    }

    /// What keys lacked under rules that only report is counted, once for each request of the table,
    /// and nothing else is.
    pub(crate) async fn check_usage(&self) {
        self.set(Store::Works);
        for (_, keys) in &self.gates.0 {
            keys.shutdown().await;
        }
        let mut checked = 0;
        for (name, id) in &self.ids {
            let of_key = |case: &&Case| {
                let headers = case.headers.iter();
                let mut values = headers.map(|(_, value)| *value);
                values.any(|value| value.contains(&format!("{{{name}}}")))
            };
            let mut expected = BTreeMap::new();
            for lacked in CASES.iter().filter(of_key).filter_map(|case| case.lacked) {
                *expected.entry(lacked.to_owned()).or_insert(0) += 2;
            }
            let manager = self.world.keys.manager();
            let usage = manager.activity(id).await.unwrap().usage;
            let lacked = usage.into_iter().flat_map(|usage| usage.lacked);
            let lacked: BTreeMap<_, _> = lacked.map(|one| (one.scope, one.requests)).collect();
            checked += lacked.len();
            assert_eq!(lacked, expected, "{name}");
        }
        assert_eq!(checked, 4, "scopes of three keys");
    }

    /// Keys that stood in URLs are ended, and canaries told of who sent them.
    pub(crate) async fn check_leaks(&self) {
        let manager = self.world.keys.manager();
        for name in ["leaked", "leaked_in_path"] {
            let info = manager.inspect(&self.ids[name]).await.unwrap();
            assert_eq!(info.status, KeyStatus::Revoked, "{name}");
        }
        let query = AuditQuery {
            key_id: Some(self.ids["canary"]),
            kind: Some(AuditKind::Authentication),
            ..AuditQuery::new()
        };
        let events = manager.audit(&query).await.unwrap().events;
        let mut used = BTreeMap::new();
        for event in &events {
            assert_eq!(event.action, AuditAction::CanaryUsed);
            assert!(event.address.is_some());
            let requests = event.requests.as_ref().unwrap();
            let code = requests.code.as_deref().unwrap();
            *used.entry(code).or_insert(0) += requests.count;
        }
        let expected = BTreeMap::from([("key_in_url", 2), ("key_revoked", 2)]);
        assert_eq!(used, expected);
    }

    /// Of each exposed key it is told, once for each request of the table, and of nothing else.
    pub(crate) async fn check_exposures(&self) {
        let mut expected = BTreeMap::new();
        for (key, action) in CASES.iter().filter_map(|case| case.exposed) {
            *expected
                .entry((self.ids[key], action.as_str()))
                .or_insert(0) += 2;
        }
        let manager = self.world.keys.manager();
        let mut told = BTreeMap::new();
        for id in self.ids.values() {
            let query = AuditQuery {
                key_id: Some(*id),
                kind: Some(AuditKind::Authentication),
                ..AuditQuery::new()
            };
            let page = manager.audit(&query).await.unwrap();
            assert!(page.next.is_none());
            for event in page.events {
                let exposures = [AuditAction::SentByBrowser, AuditAction::SentInPlaintext];
                if exposures.contains(&event.action) {
                    let place = told.entry((*id, event.action.as_str())).or_insert(0);
                    *place += event.requests.unwrap().count;
                }
            }
        }
        assert_eq!(told, expected);
    }

    fn fill(&self, template: &str) -> String {
        let filled = self
            .keys
            .iter()
            .fold(template.to_owned(), |text, (name, key)| {
                let basic = BASE64_STANDARD.encode(format!("{key}:"));
                text.replace(&format!("{{{name}}}"), key)
                    .replace(&format!("{{{name}:basic}}"), &basic)
            });
        assert!(
            !filled.contains('{'),
            "{template} names a key that there is not"
        );
        filled
    }
}

async fn foreign_key(prefix: &str) -> String {
    let keys = Keygate::builder(prefix)
        .pepper(fresh_pepper())
        .store(MemoryStore::new());
    let issued = keys
        .build()
        .await
        .unwrap()
        .manager()
        .issue(NewKey::for_owner("a"))
        .await;
    issued.unwrap().key.expose().to_owned()
}

/// A key that a newer instance made under a pepper that is not known here yet.
async fn key_under_another_pepper(world: &World) -> String {
    let ring = PepperRing::new(PepperId(2), fresh_pepper());
    let ring = ring.verify_only(PepperId(1), pepper());
    let newer = common::builder(world.store.clone(), &world.clock).peppers(ring.unwrap());
    let new = NewKey::for_owner("org_42")
        .scopes([ORDERS_READ])
        .expires_in(Duration::from_secs(86_400));
    let issued = newer.build().await.unwrap().manager().issue(new).await;
    issued.unwrap().key.expose().to_owned()
}

fn with_bad_checksum(text: &str) -> String {
    let (rest, last) = text.split_at(text.len() - 1);
    format!("{rest}{}", if last == "0" { '1' } else { '0' })
}
