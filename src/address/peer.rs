//! Where servers keep the peer of a connection.

use std::net::IpAddr;

use super::ClientAddress;

impl ClientAddress {
    /// The peer that sent a request with these extensions.
    #[cfg(feature = "tower")]
    pub(crate) fn http_peer(&self, extensions: &::http::Extensions) -> Option<IpAddr> {
        match &self.http_peer {
            Some(source) => source(extensions),
            None => known_peer(extensions),
        }
    }

    /// The peer that sent a request of actix-web.
    #[cfg(feature = "actix-web")]
    pub(crate) fn actix_peer(&self, request: &::actix_web::dev::ServiceRequest) -> Option<IpAddr> {
        match &self.actix_peer {
            Some(source) => source(request),
            None => Some(request.peer_addr()?.ip()),
        }
    }
}

#[cfg(feature = "tower")]
fn known_peer(extensions: &::http::Extensions) -> Option<IpAddr> {
    use std::net::SocketAddr;

    #[cfg(feature = "axum")]
    {
        use ::axum::extract::ConnectInfo;
        use ::axum::extract::connect_info::MockConnectInfo;

        if let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<SocketAddr>>() {
            return Some(peer.ip());
        }
        // What tests of a host have in its place.
        if let Some(MockConnectInfo(peer)) = extensions.get::<MockConnectInfo<SocketAddr>>() {
            return Some(peer.ip());
        }
    }
    #[cfg(feature = "tonic")]
    if let Some(info) = extensions.get::<::tonic::transport::server::TcpConnectInfo>() {
        return Some(info.remote_addr()?.ip());
    }
    Some(extensions.get::<SocketAddr>()?.ip())
}
