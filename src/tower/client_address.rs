use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ::http::Extensions;

type Source = dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync;

/// Where the address of a request's client is read from; by default nowhere.
#[derive(Clone, Default)]
pub(crate) struct ClientAddress(Option<Arc<Source>>);

impl ClientAddress {
    pub(crate) fn new<F>(source: F) -> Self
    where
        F: Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    {
        Self(Some(Arc::new(source)))
    }

    pub(super) fn of(&self, request: &Extensions) -> Option<IpAddr> {
        self.0.as_ref()?(request)
    }
}

impl fmt::Debug for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "ClientAddress(set)"
        } else {
            "ClientAddress(none)"
        })
    }
}
