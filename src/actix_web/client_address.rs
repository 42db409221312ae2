use std::net::IpAddr;
use std::sync::Arc;

use ::actix_web::dev::ServiceRequest;

type Source = dyn Fn(&ServiceRequest) -> Option<IpAddr> + Send + Sync;

/// Where the address of a request's client is read from; by default nowhere.
#[derive(Clone, Default)]
pub(crate) struct ClientAddress(Option<Arc<Source>>);

impl ClientAddress {
    pub(crate) fn new<F>(source: F) -> Self
    where
        F: Fn(&ServiceRequest) -> Option<IpAddr> + Send + Sync + 'static,
    {
        Self(Some(Arc::new(source)))
    }

    pub(super) fn of(&self, request: &ServiceRequest) -> Option<IpAddr> {
        self.0.as_ref()?(request)
    }
}
