//! Where requests come from: the peer of the connection, or what trusted proxies say of their peers.

mod field;
#[cfg(any(feature = "tower", feature = "actix-web"))]
mod peer;
mod scheme;

use std::fmt;
use std::net::IpAddr;
#[cfg(any(feature = "tower", feature = "actix-web"))]
use std::sync::Arc;

use ipnet::IpNet;

use crate::record::parse_network;
use field::{Field, Hop, Walked};
use scheme::Schemes;

/// How the address of a request's client is learned: from the [peer](Self::peer) of the connection, or
/// from what [proxies](Self::behind) in front of the service write into a header field.
///
/// Keys that are [bound to networks](crate::NewKey::allowed_ips) work only where it is set, and failed
/// attempts are counted by it. Guards use it where it is given to the builder; other middleware calls
/// [`resolve`](Self::resolve).
///
/// ```
/// use keygate::ClientAddress;
///
/// let proxied = ClientAddress::behind(["10.0.0.0/8"]);
/// let lines = [("X-Forwarded-For", &b"192.0.2.1, 198.51.100.7"[..])];
///
/// let proxy = "10.0.0.2".parse().ok();
/// assert_eq!(proxied.resolve(proxy, lines), "198.51.100.7".parse().ok());
///
/// let stranger = "203.0.113.9".parse().ok();
/// assert_eq!(proxied.resolve(stranger, lines), stranger);
/// ```
///
/// # How the address is found
/// 1. The peer is the client, unless it is a trusted proxy. Header fields of others are not looked at.
/// 2. All lines of the field, in their order, are walked from the right, which is the end that the
///    nearest proxy writes. The first address that is no trusted proxy is the client.
/// 3. Where all are trusted, the leftmost is the client; without the field, the peer is.
/// 4. What is met on the way and is no address ends the walk: an empty element, `unknown`, an obfuscated
///    name, a zone, a bad port. The client is then unknown, and nothing is guessed. Keys bound to
///    networks are refused.
///
/// IPv4 within IPv6, such as `::ffff:10.0.0.1`, is IPv4 everywhere.
///
/// # How plaintext is found
/// Trusted proxies also say whether they were sent a request in plaintext: beside `X-Forwarded-For` by
/// `X-Forwarded-Proto`, and in `Forwarded` by `proto`. See
/// [`sent_in_plaintext`](Self::sent_in_plaintext), and
/// [`keys_in_plaintext`](crate::Builder::keys_in_plaintext) for what comes of it.
/// 1. The peer must be a trusted proxy, as above.
/// 2. What counts is said by the proxy that names the client: of the elements of `X-Forwarded-Proto`, the
///    one that stands as far from the right as the client does in `X-Forwarded-For`. Where there are
///    fewer, as most proxies hand on what the outermost has set, it is the leftmost. `Forwarded` has both in
///    one element.
/// 3. `http` and `ws` are plaintext, in any case. What is missing, or cannot be read, is not; an address
///    that cannot be read hides nothing.
///
/// # Deployment caveat
/// - Each trusted proxy must append its peer to the field, or set it. nginx does so by
///   `proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`. A trusted proxy that hands on what
///   it was sent lets every client choose its address.
/// - Of `X-Forwarded-Proto`, the outermost must set it, and the others hand it on; or all must append to it.
///   In nginx it is `proxy_set_header X-Forwarded-Proto $scheme;`. Where none writes it, a client can say
///   what it likes about its own request.
/// - Trust the networks of your proxies alone. From within them, whatever can reach the service can
///   forge addresses.
/// - [`peer`](Self::peer) behind a proxy is the proxy, for all callers: a key that is bound to the
///   proxy's network opens for everybody.
/// - Unix sockets have no peer. Say which proxy is at their other end by `peer_from` or
///   `actix_peer_from`, such as `127.0.0.1`, and trust that.
#[derive(Clone)]
#[must_use]
pub struct ClientAddress {
    proxies: Result<Vec<IpNet>, ClientAddressError>,
    field: Field,
    #[cfg(feature = "tower")]
    http_peer: Option<Arc<HttpPeer>>,
    #[cfg(feature = "actix-web")]
    actix_peer: Option<Arc<ActixPeer>>,
}

#[cfg(feature = "tower")]
type HttpPeer = dyn Fn(&::http::Extensions) -> Option<IpAddr> + Send + Sync;

#[cfg(feature = "actix-web")]
type ActixPeer = dyn Fn(&::actix_web::dev::ServiceRequest) -> Option<IpAddr> + Send + Sync;

/// Why proxies cannot be trusted as configured.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientAddressError {
    /// Everybody would be trusted.
    #[error(
        "the proxies {0:?} of client_address are everybody, who could then forge any address: name the networks that your proxies are in"
    )]
    Everybody(String),
    /// Nobody is trusted.
    #[error(
        "client_address is behind no proxies: name their networks, or use ClientAddress::peer() where there are none"
    )]
    Nobody,
    /// A proxy is no network.
    #[error(
        "the proxy {0:?} of client_address is not a network: write 10.0.0.0/8, 2001:db8::/32 or a single address"
    )]
    NotANetwork(String),
}

impl ClientAddress {
    /// The client is the peer of the connection, and header fields count for nothing.
    ///
    /// Guards know the peer by themselves from axum's `ConnectInfo<SocketAddr>`, so serve with
    /// `into_make_service_with_connect_info`; from tonic's `TcpConnectInfo`; from a bare
    /// [`SocketAddr`](std::net::SocketAddr) in the extensions of a request; and from actix-web. For
    /// other servers see `peer_from` and `actix_peer_from`.
    pub fn peer() -> Self {
        Self {
            proxies: Ok(Vec::new()),
            field: Field::XForwardedFor,
            #[cfg(feature = "tower")]
            http_peer: None,
            #[cfg(feature = "actix-web")]
            actix_peer: None,
        }
    }

    /// The client is what these trusted proxies say by `X-Forwarded-For`: networks like `10.0.0.0/8`, or
    /// single addresses. What is wrong with them is said when the gate is built, and by
    /// [`check`](Self::check); until then no address is known.
    pub fn behind<I>(proxies: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let proxies = proxies.into_iter().map(|text| parse_proxy(text.as_ref()));
        let proxies = match proxies.collect::<Result<Vec<_>, _>>() {
            Ok(proxies) if proxies.is_empty() => Err(ClientAddressError::Nobody),
            proxies => proxies,
        };
        Self {
            proxies,
            ..Self::peer()
        }
    }

    /// The proxies write `Forwarded` (RFC 7239), and `X-Forwarded-For` counts for nothing. Only one of
    /// the two is ever looked at: a proxy hands on the one that it does not write as a client sent it.
    pub fn forwarded(mut self) -> Self {
        self.field = Field::Forwarded;
        self
    }

    /// Where the server keeps the peer of the connection, if that is no place that
    /// [`peer`](Self::peer) knows. Those are not looked at then.
    ///
    /// ```
    /// # use keygate::ClientAddress;
    /// # use std::net::SocketAddr;
    /// # #[derive(Clone)]
    /// # struct Connection { remote: SocketAddr }
    /// let source = ClientAddress::peer().peer_from(|extensions| {
    ///     Some(extensions.get::<Connection>()?.remote.ip())
    /// });
    /// ```
    #[cfg(feature = "tower")]
    pub fn peer_from<F>(mut self, source: F) -> Self
    where
        F: Fn(&::http::Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    {
        self.http_peer = Some(Arc::new(source));
        self
    }

    /// Where the peer of a request of actix-web is read from, if not from its `peer_addr`.
    ///
    /// ```
    /// # use keygate::ClientAddress;
    /// // The server listens on a Unix socket, and nginx on the same machine is what connects to it.
    /// let local = "127.0.0.1".parse().ok();
    /// let source = ClientAddress::behind(["127.0.0.1"]).actix_peer_from(move |_| local);
    /// ```
    #[cfg(feature = "actix-web")]
    pub fn actix_peer_from<F>(mut self, source: F) -> Self
    where
        F: Fn(&::actix_web::dev::ServiceRequest) -> Option<IpAddr> + Send + Sync + 'static,
    {
        self.actix_peer = Some(Arc::new(source));
        self
    }

    /// Whether the proxies are networks that can be trusted.
    ///
    /// # Errors
    /// Says which is not, and what to write instead.
    pub fn check(&self) -> Result<(), ClientAddressError> {
        self.proxies.as_ref().map(drop).map_err(Clone::clone)
    }

    /// The address of the client of a request that came from `peer`; `None`: it is not known.
    ///
    /// `headers` are all header lines in their order, names in any case. It takes a time linear in their
    /// length, and allocates nothing.
    pub fn resolve<'a>(
        &self,
        peer: Option<IpAddr>,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Option<IpAddr> {
        self.arrival(peer, headers).address
    }

    /// Whether the client sent a request in plaintext, as a trusted proxy says. For that, it is an
    /// [`Attempt::sent_in_plaintext`](crate::Attempt::sent_in_plaintext). The arguments are those of
    /// [`resolve`](Self::resolve).
    ///
    /// ```
    /// use keygate::ClientAddress;
    ///
    /// let proxied = ClientAddress::behind(["10.0.0.0/8"]);
    /// let lines = [("X-Forwarded-Proto", &b"http"[..])];
    ///
    /// let proxy = "10.0.0.2".parse().ok();
    /// assert!(proxied.sent_in_plaintext(proxy, lines));
    ///
    /// let stranger = "203.0.113.9".parse().ok();
    /// assert!(!proxied.sent_in_plaintext(stranger, lines));
    /// ```
    pub fn sent_in_plaintext<'a>(
        &self,
        peer: Option<IpAddr>,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> bool {
        self.arrival(peer, headers).in_plaintext
    }

    /// Both in one go.
    pub(crate) fn arrival<'a>(
        &self,
        peer: Option<IpAddr>,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Arrival {
        let (Ok(proxies), Some(peer)) = (&self.proxies, peer) else {
            return Arrival::UNKNOWN;
        };
        let peer = peer.to_canonical();
        let is_trusted = |address: IpAddr| proxies.iter().any(|proxy| proxy.contains(&address));
        let itself = Hop {
            address: Some(peer),
            is_plaintext: false,
        };
        let (mut walked, mut schemes) = (Walked::Through(0, None), Schemes::default());
        if is_trusted(peer) {
            for (name, line) in headers {
                if name.eq_ignore_ascii_case(self.field.name()) {
                    walked = walked.with_right(self.field.walk(line, is_trusted));
                } else if self.field.is_schemes(name) {
                    schemes.add(line);
                }
            }
        }
        let (to_the_right, client) = walked.client();
        let client = client.unwrap_or(itself);
        Arrival {
            address: client.address,
            in_plaintext: client.is_plaintext || schemes.is_plaintext(to_the_right),
        }
    }
}

/// How a request came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// From where; `None`: that is not known.
    pub(crate) address: Option<IpAddr>,
    /// Whether it is known that its client sent it in plaintext.
    pub(crate) in_plaintext: bool,
}

impl Arrival {
    pub(crate) const UNKNOWN: Self = Self {
        address: None,
        in_plaintext: false,
    };
}

/// A trusted network in the one form that addresses are compared in.
fn parse_proxy(text: &str) -> Result<IpNet, ClientAddressError> {
    let shown = || text.chars().take(64).collect();
    match parse_network(text) {
        None => Err(ClientAddressError::NotANetwork(shown())),
        Some(network) if network.prefix_len() == 0 => Err(ClientAddressError::Everybody(shown())),
        Some(network) => Ok(network),
    }
}

impl fmt::Debug for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAddress")
            .field("proxies", &self.proxies)
            .field("field", &self.field.name())
            .finish_non_exhaustive()
    }
}
