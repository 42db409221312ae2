use std::path::Path;

use keygate::{Keygate, NewKey, Pepper, SqliteStore};

use crate::support::{PEPPER, Service, command};

/// A key of the service's file that works from 10.0.0.0/8 only.
async fn bound_key(directory: &Path) -> String {
    let store = SqliteStore::open(directory.join("keygate.db")).await;
    let keys = Keygate::builder("acme_live")
        .pepper(Pepper::from_base64(PEPPER).unwrap())
        .store(store.unwrap())
        .build_manager();
    let new = NewKey::for_owner("org_42").allowed_ips(["10.0.0.0/8"]);
    let issued = keys.await.unwrap().issue(new).await.unwrap();
    issued.key.expose().to_owned()
}

/// The status of a request from this machine that says it is forwarded for `list`, by `scheme`.
fn whoami(service: &Service, key: &str, list: &str, scheme: &str) -> u16 {
    let agent = ureq::Agent::config_builder().http_status_as_error(false);
    let agent: ureq::Agent = agent.build().into();
    let request = agent
        .get(format!("{}/v1/whoami", service.base))
        .header("x-api-key", key)
        .header("x-forwarded-for", list)
        .header("x-forwarded-proto", scheme);
    request.call().unwrap().status().as_u16()
}

#[tokio::test]
async fn the_caller_is_the_peer_unless_proxies_are_trusted_to_name_another_and_is_refused_in_plaintext()
 {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    drop(Service::start(path));
    let key = bound_key(path).await;
    let cases = [
        (None, "10.0.0.1", "http", 403),
        (Some(""), "10.0.0.1", "http", 403),
        (Some("192.0.2.0/24"), "10.0.0.1", "http", 403),
        (Some("192.0.2.0/24, 127.0.0.0/8"), "10.0.0.1", "https", 200),
        (Some("127.0.0.0/8"), "10.0.0.1, 198.51.100.7", "http", 403),
        (Some("127.0.0.0/8"), "10.0.0.1", "http", 400),
    ];
    for (proxies, list, scheme, expected) in cases {
        let mut command = command(path);
        command.env("KEYGATE_PEPPER", PEPPER);
        if let Some(proxies) = proxies {
            command.env("KEYGATE_TRUSTED_PROXIES", proxies);
        }
        let service = Service::spawn(&mut command);
        assert_eq!(
            whoami(&service, &key, list, scheme),
            expected,
            "{proxies:?}: {list} by {scheme}"
        );
    }
}
