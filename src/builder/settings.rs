//! What can be chosen.

use std::sync::Arc;
use std::time::Duration;

use super::Builder;
#[cfg(any(feature = "tower", feature = "actix-web"))]
use crate::address::ClientAddress;
use crate::audit::AuditSender;
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::expiry::ExpiryNotifier;
use crate::exposure::OnExposure;
use crate::foreign::ForeignFormat;
use crate::limit::{OnOutage, SharedLimiter};
use crate::mac::{Pepper, PepperId, PepperRing};
use crate::manage::{OnLeak, Policy};
use crate::peppers::{PepperProvider, PepperSource};
use crate::record::RateLimit;
use crate::scope::Catalogue;
use crate::store::KeyStore;

impl Builder {
    /// The pepper of all MACs, known to the store as pepper 1. For several, see
    /// [`peppers`](Self::peppers).
    pub fn pepper(self, pepper: Pepper) -> Self {
        self.peppers(PepperRing::new(PepperId(1), pepper))
    }

    /// The peppers, of which one is active. What is given last counts, here and by
    /// [`pepper_provider`](Self::pepper_provider).
    pub fn peppers(mut self, peppers: PepperRing) -> Self {
        self.peppers = Some(PepperSource::Given(peppers));
        self
    }

    /// Where the peppers come from: they are read when the gate is built, and then every minute and soon
    /// after a record was met whose pepper is missing, so that a pepper is added or made active without
    /// a restart. [`Keygate::reload_peppers`](crate::Keygate::reload_peppers) reads them at once.
    ///
    /// Peppers that cannot be used never replace those that are in use: see
    /// [`PeppersError`](crate::PeppersError), which is logged then.
    ///
    /// ```
    /// # fn run(builder: keygate::Builder) -> keygate::Builder {
    /// use keygate::PepperFile;
    ///
    /// builder.pepper_provider(PepperFile::new("/run/secrets/peppers"))
    /// # }
    /// ```
    pub fn pepper_provider(mut self, provider: impl PepperProvider) -> Self {
        self.peppers = Some(PepperSource::Provider(Arc::new(provider)));
        self
    }

    /// How often the [provider](Self::pepper_provider) of the peppers is asked, every minute unless set.
    pub fn pepper_reload_interval(mut self, interval: Duration) -> Self {
        self.pepper_reload_interval = interval;
        self
    }

    /// Where the records are kept.
    pub fn store(mut self, store: impl KeyStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Refuses a store that no gate was ever built on
    /// ([`BuildError::StoreNotInUse`](crate::BuildError::StoreNotInUse)): for tools, which by a wrong address
    /// would find no keys, and leave their peppers there. A store without settings cannot tell, and is taken.
    ///
    /// For the same reason [`build_manager`](Self::build_manager) then refuses an active pepper that was never
    /// seen there while one that keys need is missing ([`BuildError::MissingPepper`](crate::BuildError::MissingPepper)):
    /// instances, which need all that is noted there, would not start again.
    pub fn only_in_use(mut self) -> Self {
        self.only_in_use = true;
        self
    }

    /// Builds for a tool beside the service, which does one thing and ends, and is no instance of it. No
    /// background work is spawned: it would forget by the tool's own [`audit_retention`](Self::audit_retention)
    /// what the service keeps. What the tool verifies is not counted as use of keys, it does not vouch that
    /// the instances of the service count, and it promises nothing of revocations: it has no
    /// [outage grace](Self::outage_grace).
    ///
    /// ```
    /// # use keygate::*;
    /// # async fn open(ring: PepperRing, store: MemoryStore) -> Result<KeyManager, BuildError> {
    /// let builder = Keygate::builder("acme_live").peppers(ring).store(store);
    /// let manager = builder.as_tool().only_in_use().build_manager().await?;
    /// # Ok(manager)
    /// # }
    /// ```
    pub fn as_tool(mut self) -> Self {
        self.is_tool = true;
        self
    }

    /// Serves keys with this prefix too. The caller's [`environment`](crate::Principal::environment)
    /// tells which it is.
    pub fn accept_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.accepted.push(prefix.into());
        self
    }

    /// Names a prefix of another environment, such as `acme_test` for a live service: its keys are
    /// told that they belong elsewhere, and not that they are invalid.
    pub fn decline_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.declined.push(prefix.into());
        self
    }

    /// Accepts keys that another system has made, once they are [imported](crate::KeyManager::import):
    /// with the texts that their bearers have. A text must not be a key of two formats, nor of one and of
    /// this service.
    ///
    /// All instances have to accept the format before its first key is imported: one that does not
    /// answers those keys as no keys of this service. From that import on, an instance without it does not start, until it
    /// is [retired](crate::KeyManager::retire_foreign_format), where the store keeps settings.
    ///
    /// ```
    /// # use keygate::{Alphabet, Builder, ForeignFormat, Hashing};
    /// # fn set(builder: Builder) -> Builder {
    /// let old = ForeignFormat::new("acme-v1", Hashing::sha256(), Alphabet::HEX, 64..=64).prefix("acme1-");
    /// builder.accept_foreign(old)
    /// # }
    /// ```
    pub fn accept_foreign(mut self, format: ForeignFormat) -> Self {
        self.foreign.push(format);
        self
    }

    /// How long keys and the overlaps of rotations last.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Where in a request keys are accepted.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// What challenges call this service (RFC 9110, section 11.5); without it, the prefix.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = Some(realm.into());
        self
    }

    /// The scopes of the service, declared by [`scopes!`](crate::scopes): keys are then issued with
    /// these alone, and guards ask for no others.
    pub fn scopes(mut self, catalogue: Catalogue) -> Self {
        self.catalogue = Some(catalogue);
        self
    }

    /// Tells the host of keys that end soon, and of secrets that have to be rotated.
    pub fn expiry_notifier(mut self, notifier: ExpiryNotifier) -> Self {
        self.notifier = Some(notifier);
        self
    }

    /// Where the service shows the page for its callers: a URL, or a path such as `/docs/keys`. The
    /// types of problems are then its sections (RFC 9457, section 3.1.1). The page itself is made by
    /// [`Keygate::callers_page`](crate::Keygate::callers_page); with guards of gRPC methods, call its
    /// [`grpc`](crate::CallersPage::grpc), so that it has all sections.
    pub fn callers_page_url(mut self, url: impl Into<String>) -> Self {
        self.page = Some(url.into());
        self
    }

    /// Tells callers when what they present ends, so that they replace it on a schedule and not after
    /// a 401: responses to accepted requests get one of two header fields, or metadata over gRPC,
    /// from so long before the end on. Without it, none does.
    ///
    /// | field | what ends | what its caller needs |
    /// |---|---|---|
    /// | `X-API-Key-Expires` | the key | another key, or a later end |
    /// | `X-API-Key-Rotate-By` | the secret that was presented, before its key | the newer secret, or a rotation |
    ///
    /// Their value is a moment as in RFC 3339, such as `2026-11-22T05:34:28.000Z`. A field of that name
    /// that a handler set itself stays.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn run(builder: keygate::Builder) -> keygate::Builder {
    /// builder.tell_callers_of_end(Duration::from_secs(14 * 24 * 60 * 60))
    /// # }
    /// ```
    ///
    /// Scripts in browsers read them only where CORS lists them in `Access-Control-Expose-Headers`. A
    /// handler that lets shared caches keep its responses shows them to others, too: they say when a
    /// key ends, and not whose it is.
    pub fn tell_callers_of_end(mut self, within: Duration) -> Self {
        self.end_notice = Some(within);
        self
    }

    /// How many keys are kept in memory, 100,000 unless set.
    pub fn cache_capacity(mut self, keys: usize) -> Self {
        self.bounds.known = keys;
        self
    }

    /// How many different keys may be looked up in the store or wait for that, 4096 unless set.
    /// Requests beyond are told to come back. Half of the places are kept for keys that were seen
    /// before. Of the others, the addresses that requests come from get equal shares.
    pub fn max_lookups(mut self, lookups: usize) -> Self {
        self.bounds.lookups = lookups;
        self
    }

    /// How many keys are looked up in the store at one moment, 64 unless set. The others wait for
    /// their turn, for up to a second. Stores with a pool of connections have a bound of their own.
    pub fn max_store_reads(mut self, reads: usize) -> Self {
        self.bounds.reads = reads;
        self
    }

    /// While the store does not answer, keys that were verified before go on for so much longer.
    /// Without it, which is how it is unless set, they are answered as an outage after a second.
    ///
    /// That is also by how much longer a revocation may take to be honoured, on every instance: the
    /// bound that [`revoke`](crate::KeyManager::revoke) returns is kept beside the keys, and an instance
    /// that goes beyond it refuses to start. It is raised by
    /// [`set_revocation_bound`](crate::KeyManager::set_revocation_bound).
    pub fn outage_grace(mut self, grace: Duration) -> Self {
        self.outage_grace = grace;
        self
    }

    /// Whether it is counted how keys are used, where the store keeps that: requests, the last of them
    /// and its address, and the scopes that were needed. It is, unless this says no. Where one instance
    /// does not count, no key is [safe to revoke](crate::KeyActivity::safe_to_revoke) on the evidence of
    /// the others.
    pub fn record_usage(mut self, records: bool) -> Self {
        self.records_usage = records;
        self
    }

    /// How often what was counted is handed to the store, every 5 seconds unless set. A process that is
    /// killed loses what it has counted since: an interval, and the time in which the store took nothing.
    /// [`shutdown`](crate::Keygate::shutdown) hands on the rest.
    pub fn usage_interval(mut self, interval: Duration) -> Self {
        self.usage.interval = interval;
        self
    }

    /// How much usage is kept in memory at most until the store has taken it, 200,000 unless set: one for
    /// each key that was used, or more where it met several rules, and about 200 bytes. What comes beyond is served and not counted, which is
    /// logged, and counted by the metric `keygate_usage_uncounted_total`.
    pub fn usage_capacity(mut self, rows: usize) -> Self {
        self.usage.rows = rows;
        self
    }

    /// How many attempts with what is no key may come from one address (of IPv6: from one network of 64
    /// bits), 100 per minute unless set; `None`: any number. They are counted where an address source is
    /// configured, and where an [`Attempt`](crate::Attempt) has an address.
    ///
    /// Beyond that, what comes from there is answered 429 before the store is asked: other text that is no
    /// key, and keys that this process has not seen. Keys that it has seen go on, also from there. So
    /// nobody who guesses locks out the neighbours behind one address but for keys that are new to this
    /// process: after a restart, all of them until they have been let in once.
    ///
    /// The addresses of the last 65,536 networks that failed are kept, in about 3 MB once the first has.
    pub fn failed_attempts(mut self, limit: impl Into<Option<RateLimit>>) -> Self {
        self.failed_attempts = limit.into();
        self
    }

    /// Counts the rate limits of keys for all instances together, as `RedisLimiter`
    /// (feature `redis`) does. Without it each instance counts for itself, so that a
    /// key may be used as often as its limit says on each of them.
    ///
    /// Requests of keys that have a limit then ask it, after their key was verified; all others do not. It
    /// has 250 ms to answer. When it does not, `on_outage` says what becomes of them, and it is asked
    /// again a second later.
    pub fn shared_limiter(mut self, limiter: impl SharedLimiter, on_outage: OnOutage) -> Self {
        self.limiter = Some((Arc::new(limiter), on_outage));
        self
    }

    /// Tells callers that were let in, or are over a limit, how the limits of their key stand: by the
    /// fields `RateLimit-Policy` and `RateLimit` of the
    /// [draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/) of the IETF.
    pub fn tell_rate_limits(mut self) -> Self {
        self.tells_limits = true;
        self
    }

    /// What becomes of requests with a key that a browser sent, [`OnExposure::Tell`] unless set: those with a
    /// header field `Origin`, whatever it holds, `null` too. Whoever uses a browser can read what it sends.
    ///
    /// Browsers add `Origin` to requests to other sites, to all that change something, and to WebSockets.
    /// To a `GET` of the page's own site they do not, so that it is not seen. `Sec-Fetch-Mode` is not
    /// looked at, because clients on servers send it too. Preflights of CORS carry no key, and are answered
    /// as requests without one. A few clients that are no browsers send `Origin` for a WebSocket.
    ///
    /// A service whose keys are made for browsers says [`OnExposure::Ignore`].
    pub fn keys_from_browsers(mut self, on_exposure: OnExposure) -> Self {
        self.exposure.by_browser = on_exposure;
        self
    }

    /// What becomes of requests with a key that came in plaintext, [`OnExposure::Tell`] unless set, where a
    /// trusted proxy says that they did: see
    /// [`ClientAddress`](crate::ClientAddress#how-plaintext-is-found).
    ///
    /// A service that listens without TLS, and has no proxy, does not know how its callers reach it, and
    /// nothing is told. A refusal tells the caller; the key was read on its way all the same, so close the
    /// port, or redirect it where no key is sent along.
    pub fn keys_in_plaintext(mut self, on_exposure: OnExposure) -> Self {
        self.exposure.in_plaintext = on_exposure;
        self
    }

    /// Also notes each accepted request for the [audit log](crate::KeyManager::audit) of the store, and sends it
    /// to the [channel](Self::audit_channel). Refused requests, keys in URLs and exposed keys are noted and sent in
    /// any case; accepted ones are not unless this says so, as each is work where none else is done.
    ///
    /// Those that are alike are one row within five seconds. At most 2,000 rows wait for the store, of
    /// which requests without a proved key take half at most, and accepted ones three quarters; what comes
    /// beyond is served and missing from the log, which is logged, and counted by the metric
    /// `keygate_audit_dropped_total`.
    pub fn audit_accepted(mut self) -> Self {
        self.audits_accepted = true;
        self
    }

    /// How long the store's audit log keeps what happened to requests, 90 days unless set. The changes of
    /// keys are kept until [`KeyManager::forget_audit`](crate::KeyManager::forget_audit) is called.
    ///
    /// The [background work](crate::Keygate::run) forgets what is older once an hour, by the clock of this
    /// process: where that is ahead, requests are forgotten early, and changes are not.
    pub fn audit_retention(mut self, retention: Duration) -> Self {
        self.audit_retention = retention;
        self
    }

    /// Sends what happens to the host, by a [`channel`](crate::audit::channel) of it: changes of keys after
    /// they were committed, refused requests, keys in URLs, exposed keys, and also accepted requests where
    /// [`audit_accepted`](Self::audit_accepted) says so. Each is sent at most once, and none waits for the
    /// host: what the channel has no place for is dropped, and counted.
    ///
    /// Where the store has no [audit log](crate::store::Abilities::audit_log), this and the log are all
    /// there is: a process that ends between a commit and what follows it loses the event.
    pub fn audit_channel(mut self, sender: AuditSender) -> Self {
        self.audit_channel = Some(sender);
        self
    }

    /// What is done about keys that have leaked, beside telling of it: those that stand in the URL of a
    /// request to a guard, and those that are [reported](crate::KeyManager::report_leak). Without it,
    /// nothing. Only the right secret does it, and it does not matter whether the key opens at the moment.
    ///
    /// The request with the URL is refused as it is in any case, and waits for nothing: the
    /// [background work](crate::Keygate::run) ends the key, also where its sender has hung up, and tries
    /// again for up to an hour while the store is away. Up to 1,000 keys wait for that, in memory: a process
    /// that is killed loses them. What is given up is logged as an error.
    ///
    /// Consider that a link which somebody was sent may hold a key, and that whoever follows it then ends
    /// that key. It has leaked by that all the same.
    ///
    /// ```
    /// # use keygate::{Builder, OnLeak};
    /// # fn run(builder: Builder) -> Builder {
    /// builder.on_leak(OnLeak::Revoke)
    /// # }
    /// ```
    pub fn on_leak(mut self, policy: OnLeak) -> Self {
        self.on_leak = policy;
        self
    }

    /// Another clock than the operating system's, for tests.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How guards learn the address of a request's client: from the peer of its connection, or through
    /// trusted proxies. Without it no address is known: keys that are bound to networks are refused, and
    /// attempts that fail are not counted by where they come from.
    ///
    /// ```
    /// # fn run(builder: keygate::Builder) -> keygate::Builder {
    /// use keygate::ClientAddress;
    ///
    /// builder.client_address(ClientAddress::behind(["10.0.0.0/8", "::1"]))
    /// # }
    /// ```
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub fn client_address(mut self, source: ClientAddress) -> Self {
        self.client_address = Some(source);
        self
    }
}
