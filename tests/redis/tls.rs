//! Servers that are reached by TLS, under an authority of the test's own.

use std::path::Path;
use std::process::Command;

use keygate::{KeyStore, RedisOpenError, RedisStore};

use crate::servers::{free_port, program};
use crate::support::*;

/// Makes an authority, and a certificate of it for the loopback address; false without openssl.
fn certify(directory: &Path) -> bool {
    let Some(openssl) = program("openssl", &[]) else {
        return false;
    };
    std::fs::write(directory.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    for line in [
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 2",
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem \
         -days 2 -extfile names",
    ] {
        let mut command = Command::new(&openssl);
        let output = command
            .args(line.split_whitespace())
            .current_dir(directory)
            .output();
        assert!(output.unwrap().status.success(), "{line}");
    }
    true
}

#[tokio::test]
async fn a_server_is_believed_only_under_the_authority_that_was_named() {
    let directory = tempfile::tempdir().unwrap();
    if !certify(directory.path()) {
        return;
    }
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let port = free_port();
    let server = server!(
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &path("server.pem"),
        "--tls-key-file",
        &path("server.key"),
        "--tls-ca-cert-file",
        &path("ca.pem"),
        "--tls-auth-clients",
        "no"
    );
    let url = format!("rediss://127.0.0.1:{port}");
    let pem = std::fs::read(path("ca.pem")).unwrap();

    let builder = RedisStore::builder(&url).root_certificate(pem.clone());
    let store = builder.connect().await.unwrap();
    let record = record();
    insert(&store, &record).await.unwrap();
    assert_eq!(store.get(&record.id).await.unwrap(), Some(record));
    let (ear, _following) = crate::feed::follow(&store).await;
    ear.next_beat().await;

    let unknown = RedisStore::connect(&url).await.unwrap_err();
    let told = explain(&unknown);
    assert!(told.contains("certificate"), "{told}");

    let plain = RedisStore::builder(&server.url()).root_certificate(pem);
    let refused = plain.connect().await.unwrap_err();
    assert!(
        matches!(refused, RedisOpenError::NotTls { .. }),
        "{refused:?}"
    );
    let bad_pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
    for no_certificate in ["", "certificate", bad_pem] {
        let builder = RedisStore::builder(&url).root_certificate(no_certificate);
        let refused = builder.connect().await.unwrap_err();
        assert!(
            matches!(refused, RedisOpenError::InvalidCertificate),
            "{refused:?}"
        );
    }
}
