use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Where the address of a request's client is read from, for each kind of request.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientAddresses {
    #[cfg(feature = "tower")]
    pub(crate) http: ClientAddress<::http::Extensions>,
    #[cfg(feature = "actix-web")]
    pub(crate) actix: ClientAddress<actix_web::dev::ServiceRequest>,
}

/// How the address of a request's client is read; by default it is not known.
pub(crate) struct ClientAddress<R>(Option<Arc<Source<R>>>);

type Source<R> = dyn Fn(&R) -> Option<IpAddr> + Send + Sync;

impl<R> ClientAddress<R> {
    pub(crate) fn new<F>(source: F) -> Self
    where
        F: Fn(&R) -> Option<IpAddr> + Send + Sync + 'static,
    {
        Self(Some(Arc::new(source)))
    }

    pub(crate) fn of(&self, request: &R) -> Option<IpAddr> {
        self.0.as_ref()?(request)
    }
}

impl<R> Clone for ClientAddress<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R> Default for ClientAddress<R> {
    fn default() -> Self {
        Self(None)
    }
}

impl<R> fmt::Debug for ClientAddress<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "ClientAddress(set)"
        } else {
            "ClientAddress(none)"
        })
    }
}
