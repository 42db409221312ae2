use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::address::{Arrival, ClientAddress};
use crate::authenticate::within;
use crate::refusal::{Refusal, Rejection};
use crate::store::{KeyStore, Page};
use crate::telemetry;

/// At the start so many keys are looked at, for so long: it is a hint, and not worth waiting for.
const LOOKED_AT: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(1);

/// How a gate learns where requests come from. All of its guards share it.
#[derive(Debug)]
pub(crate) struct Origins {
    source: Option<ClientAddress>,
    told_of_no_source: AtomicBool,
    told_of_no_peer: AtomicBool,
}

impl Origins {
    pub(crate) const fn new(source: Option<ClientAddress>) -> Self {
        Self {
            source,
            told_of_no_source: AtomicBool::new(false),
            told_of_no_peer: AtomicBool::new(false),
        }
    }

    /// Where no source is configured, says at the start that keys will be refused for want of one.
    pub(crate) async fn tell_of_bound_keys(&self, store: &dyn KeyStore, realm: &str) {
        if self.source.is_some() {
            return;
        }
        let page = Page {
            owner: None,
            after: None,
            limit: LOOKED_AT,
        };
        // A store that fails says so when it is asked for something that matters.
        if let Ok(Ok(listed)) = within(PATIENCE, store.list(&page)).await {
            let records = listed.records.iter();
            let bound = records.filter(|record| !record.allowed_ips.is_empty());
            match bound.count() {
                0 => {}
                keys => telemetry::bound_keys_without_source(realm, keys),
            }
        }
    }

    /// How a request came, where a source is configured.
    pub(crate) fn arrival<'a, H>(
        &self,
        peer: impl FnOnce(&ClientAddress) -> Option<IpAddr>,
        headers: H,
    ) -> Arrival
    where
        H: IntoIterator<Item = (&'a str, &'a [u8])>,
    {
        let Some(source) = &self.source else {
            return Arrival::UNKNOWN;
        };
        let peer = peer(source);
        if peer.is_none() && is_first(&self.told_of_no_peer) {
            telemetry::no_peer();
        }
        source.arrival(peer, headers)
    }

    /// A request was refused. If that is for want of a source, it is told, once.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        if matches!(refusal, Refusal::Rejected(Rejection::IpDenied))
            && self.source.is_none()
            && is_first(&self.told_of_no_source)
        {
            telemetry::no_source();
        }
    }
}

/// Whether it is said for the first time. What comes with each request is not to fill the log.
fn is_first(told: &AtomicBool) -> bool {
    !told.load(Ordering::Relaxed) && !told.swap(true, Ordering::Relaxed)
}
