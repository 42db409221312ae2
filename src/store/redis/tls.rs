//! What TLS needs before the first connection.

use ::redis::{Client, ConnectionAddr, ConnectionInfo, TlsCertificates};
use rustls::crypto::{CryptoProvider, ring};

use super::error::RedisOpenError;

/// The way to a server whose certificate goes back to `root_certificate`, or without it to one of
/// those that browsers trust.
pub(super) fn prepare(
    info: ConnectionInfo,
    root_certificate: Option<Vec<u8>>,
) -> Result<ConnectionInfo, RedisOpenError> {
    let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    if is_tls {
        choose_cryptography();
    }
    let Some(root_certificate) = root_certificate else {
        return Ok(info);
    };
    let address = info.addr().to_string();
    if !is_tls {
        return Err(RedisOpenError::NotTls { address });
    }
    // A text without any would make a list that trusts nobody.
    let marker = b"-----BEGIN CERTIFICATE-----";
    if !root_certificate
        .windows(marker.len())
        .any(|part| part == marker)
    {
        return Err(RedisOpenError::InvalidCertificate);
    }
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(root_certificate),
    };
    let client = Client::build_with_tls(info, certificates);
    let client = client.map_err(|_| RedisOpenError::InvalidCertificate)?;
    Ok(client.get_connection_info().clone())
}

/// A process has one choice of cryptography for rustls. One that was made is left as it is.
fn choose_cryptography() {
    if CryptoProvider::get_default().is_none() {
        // Somebody else may have made the choice just now.
        let _ = ring::default_provider().install_default();
    }
}
