//! Servers that are refused, and what is said of them.

use keygate::{KeyStore, RedisOpenError, RedisStore, StoreErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::servers::free_port;
use crate::support::*;

const PASSWORD: &str = "correct-horse-battery";

async fn refusal(url: &str) -> RedisOpenError {
    RedisStore::connect(url).await.unwrap_err()
}

#[tokio::test]
async fn a_server_that_could_lose_a_revocation_is_refused_and_the_setting_named() {
    let server = server!();
    for (setting, careless, needed) in [
        ("appendonly", "no", "yes"),
        ("appendfsync", "everysec", "always"),
        ("appendfsync", "no", "always"),
        ("no-appendfsync-on-rewrite", "yes", "no"),
        ("maxmemory-policy", "allkeys-lru", "noeviction"),
        ("maxmemory-policy", "volatile-ttl", "noeviction"),
    ] {
        type_in(&server, &format!("CONFIG SET {setting} {careless}")).await;
        let error = refusal(&server.url()).await;
        let told = error.to_string();
        assert!(matches!(error, RedisOpenError::NotDurable { .. }), "{told}");
        let port = server.port().to_string();
        for part in [setting, careless, needed, &port] {
            assert!(told.contains(part), "{told}");
        }
        let waived = RedisStore::builder(&server.url()).assume_durable();
        let store = waived.connect().await.unwrap();
        assert!(store.get(&record().id).await.unwrap().is_none());
        type_in(&server, &format!("CONFIG SET {setting} {needed}")).await;
        open(&server).await;
    }
}

#[tokio::test]
async fn a_replica_is_refused_and_read_from_only_by_a_waiver() {
    let server = server!();
    let store = open(&server).await;
    let record = record();
    insert(&store, &record).await.unwrap();
    let replica = server.start_replica();
    let error = refusal(&replica.url()).await;
    assert!(matches!(error, RedisOpenError::NotMaster { .. }), "{error}");
    let waived = RedisStore::builder(&replica.url()).assume_master();
    let store = waived.connect().await.unwrap();
    assert_eq!(store.get(&record.id).await.unwrap(), Some(record.clone()));
    let refused = insert(&store, &crate::support::record()).await;
    assert_eq!(kind(refused), StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn a_server_that_does_not_let_itself_be_checked_names_the_waiver() {
    let server = server!();
    type_in(
        &server,
        &format!("ACL SETUSER app on >{PASSWORD} ~{{keygate}}:* +@all -config -role"),
    )
    .await;
    let url = format!("redis://app:{PASSWORD}@127.0.0.1:{}", server.port());
    let told = refusal(&url).await.to_string();
    assert!(
        told.contains("ROLE") && told.contains("assume_master()"),
        "{told}"
    );
    let waived = RedisStore::builder(&url).assume_master();
    let told = waived.clone().connect().await.unwrap_err().to_string();
    assert!(
        told.contains("CONFIG GET") && told.contains("assume_durable()"),
        "{told}"
    );
    let store = waived.assume_durable().connect().await.unwrap();
    let record = record();
    insert(&store, &record).await.unwrap();
    assert_eq!(store.get(&record.id).await.unwrap(), Some(record));
}

/// What the documentation asks for is enough.
#[tokio::test]
async fn a_user_with_the_documented_rights_can_do_everything() {
    let server = server!();
    let rights = "~{keygate}:* +@read +@write +@scripting +@connection +role +config|get";
    type_in(&server, &format!("ACL SETUSER app on >{PASSWORD} {rights}")).await;
    let url = format!("redis://app:{PASSWORD}@127.0.0.1:{}", server.port());
    let store = RedisStore::connect(&url).await.unwrap();
    let record = record();
    insert(&store, &record).await.unwrap();
    update(&store, &revoked(&record)).await.unwrap();
    assert_eq!(events(&store).await.len(), 2);
    assert_eq!(
        listed(&store, Some("org_42")).await.records,
        [revoked(&record)]
    );
    let settings = store.abilities().settings.unwrap();
    settings.compare_and_set("a", None, b"1").await.unwrap();
    assert_eq!(settings.read("a").await.unwrap(), Some(b"1".into()));
    crate::usage::use_everything(&store).await;
    let (ear, _following) = crate::feed::follow(&store).await;
    ear.next_beat().await;
}

#[tokio::test]
async fn no_password_is_shown_whatever_goes_wrong() {
    let server = server!("--requirepass", "another");
    let port = server.port();
    let nobody = free_port();
    for url in [
        format!("redis://:{PASSWORD}@127.0.0.1:{port}"),
        format!("redis://app:{PASSWORD}@127.0.0.1:{port}"),
        format!("redis://app:{PASSWORD}@127.0.0.1:{nobody}"),
        format!("redis://app:{PASSWORD}@127.0.0.1:{port}/no-number"),
        format!("http://app:{PASSWORD}@127.0.0.1:{port}"),
        format!("rediss://app:{PASSWORD}@127.0.0.1:{port}"),
        PASSWORD.to_owned(),
    ] {
        let error = refusal(&url).await;
        let told = format!("{} {error:?}", explain(&error));
        assert!(!told.contains(PASSWORD), "{told}");
        let builder = RedisStore::builder(&url);
        assert!(!format!("{builder:?}").contains(PASSWORD));
    }
    let url = format!("redis://:another@127.0.0.1:{port}");
    let store = RedisStore::connect(&url);
    let shown = format!("{:?}", store.await.unwrap());
    assert!(!shown.contains("another"), "{shown}");
    assert!(shown.contains(&port.to_string()), "{shown}");
}

/// An old server repeats in its error what it did not understand.
#[tokio::test]
async fn no_password_is_shown_by_a_server_that_repeats_it() {
    for (complaint, is_old) in [
        ("unknown command `HELLO`, with args beginning with:", true),
        ("no thank you:", false),
    ] {
        let port = complainer(format!(
            "-ERR {complaint} `3` `AUTH` `app` `{PASSWORD}`\r\n"
        ))
        .await;
        let error = refusal(&format!("redis://app:{PASSWORD}@127.0.0.1:{port}")).await;
        let told = format!("{} {error:?}", explain(&error));
        assert!(!told.contains(PASSWORD), "{told}");
        assert_eq!(
            matches!(error, RedisOpenError::TooOld { .. }),
            is_old,
            "{told}"
        );
    }
}

/// A server that answers everything with one error.
async fn complainer(error: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = vec![0; 4096];
            let _ = stream.read(&mut heard).await;
            let _ = stream.write_all(error.repeat(3).as_bytes()).await;
            let _ = stream.read(&mut heard).await;
        }
    });
    port
}

#[tokio::test]
async fn a_wrong_password_and_an_address_of_nobody_are_told_apart() {
    let server = server!("--requirepass", PASSWORD);
    let wrong = refusal(&format!("redis://:wrong@127.0.0.1:{}", server.port())).await;
    assert!(matches!(wrong, RedisOpenError::Refused { .. }), "{wrong:?}");
    let none = refusal(&server.url()).await;
    assert!(matches!(none, RedisOpenError::Refused { .. }), "{none:?}");
    let nobody = refusal(&format!("redis://127.0.0.1:{}", free_port())).await;
    assert!(
        matches!(nobody, RedisOpenError::Failed { .. }),
        "{nobody:?}"
    );
    let no_address = refusal("127.0.0.1:6379").await;
    assert!(
        matches!(no_address, RedisOpenError::InvalidAddress),
        "{no_address:?}"
    );
}

#[tokio::test]
async fn a_namespace_that_breaks_the_hash_tag_is_refused() {
    for namespace in ["", "a}b", "{a}", "two words"] {
        let builder = RedisStore::builder("redis://127.0.0.1:1").namespace(namespace);
        let error = builder.connect().await.unwrap_err();
        assert!(
            matches!(error, RedisOpenError::InvalidNamespace { .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn one_node_of_a_cluster_holds_everything_and_another_names_it() {
    let (one, other) = (
        server!("--cluster-enabled", "yes"),
        server!("--cluster-enabled", "yes"),
    );
    type_in(&one, "CONFIG SET cluster-require-full-coverage no").await;
    type_in(&other, "CONFIG SET cluster-require-full-coverage no").await;
    let slot = type_in(&one, "CLUSTER KEYSLOT {keygate}").await;
    let slot: u16 = ::redis::from_redis_value(slot).unwrap();
    type_in(&one, &format!("CLUSTER ADDSLOTS {slot}")).await;
    type_in(&other, &format!("CLUSTER MEET 127.0.0.1 {}", one.port())).await;
    let store = eventually_open(&one).await;
    let record = record();
    insert(&store, &record).await.unwrap();
    update(&store, &revoked(&record)).await.unwrap();
    assert_eq!(listed(&store, None).await.records, [revoked(&record)]);
    assert_eq!(events(&store).await.len(), 2);
    crate::usage::use_everything(&store).await;
    let (ear, _following) = crate::feed::follow(&store).await;
    ear.next_beat().await;

    let node = format!("127.0.0.1:{}", one.port());
    let knows = async || match RedisStore::connect(&other.url()).await {
        Err(RedisOpenError::WrongNode { node, .. }) => Ok(node),
        outcome => Err(keygate::StoreError::new(
            StoreErrorKind::Unavailable,
            format!("{outcome:?}"),
        )),
    };
    assert_eq!(eventually_ok("the nodes have met", knows).await, node);
}

/// A cluster takes a moment to agree that it is one.
async fn eventually_open(server: &RedisServer) -> RedisStore {
    let connect = async || {
        let store = RedisStore::connect(&server.url()).await;
        store.map_err(|error| keygate::StoreError::new(StoreErrorKind::Unavailable, error))
    };
    eventually_ok("the cluster is up", connect).await
}
