//! Counts that were changed by hand into what are none.

use keygate::StoreErrorKind;

use super::*;
use crate::support::*;

/// The last batch of instance 7.
const INSTANCE: &str = "{keygate}:usage:instance:00000000000000000000000000000007";

/// Sets a value with a space in it, written without one.
const SPACED: &str = "EVAL return(redis.call('HSET',KEYS[1],'secret:5','x3\\0327')) 1 KEY:ID";

/// A script is not rolled back.
#[tokio::test]
async fn what_is_in_the_way_of_a_batch_is_named_and_stops_it_before_it_begins() {
    let server = server!();
    let store = open(&server).await;
    let id = record().id;
    let batch_of = |sequence| {
        let first = "000000000000".parse().unwrap();
        let entries = [
            entry(&first, "org_1", today(), everything_used()),
            entry(&id, "org_42", today(), everything_used()),
        ];
        batch(7, sequence, entries.into())
    };
    let of_key = |field: &str| format!("field {field} of KEY:{id}");
    for (command, told) in [
        ("HSET KEY:ID requests many", of_key("requests")),
        ("HSET KEY:ID requests -1", of_key("requests")),
        ("HSET KEY:ID requests 1e3", of_key("requests")),
        (
            "HSET KEY:ID requests 184467440737095516150",
            of_key("requests"),
        ),
        ("HSET KEY:ID last_used_at today", of_key("last_used_at")),
        (
            "HSET KEY:ID scope:orders:read 3",
            of_key("scope:orders:read"),
        ),
        (
            "HSET KEY:ID lacked:orders:write 3-7",
            of_key("lacked:orders:write"),
        ),
        ("HSET KEY:ID secret:5 x", of_key("secret:5")),
        (SPACED, of_key("secret:5")),
        ("HSET DAY:keys ID many", format!("field {id} of DAY:keys")),
        (
            "HSET DAY:owners org_42 many",
            "field org_42 of DAY:owners".into(),
        ),
        ("SET INSTANCE last", "INSTANCE in Redis holds no".into()),
        ("XADD KEY:ID * a b", format!("KEY:{id}: WRONGTYPE")),
        ("XADD DAYS * a b", "DAYS: WRONGTYPE".into()),
        ("XADD DAY:keys * a b", "DAY:keys: WRONGTYPE".into()),
        ("XADD DAY:owners * a b", "DAY:owners: WRONGTYPE".into()),
        (
            "XADD DAY:owners:index * a b",
            "DAY:owners:index: WRONGTYPE".into(),
        ),
        ("XADD INSTANCE * a b", "INSTANCE: WRONGTYPE".into()),
    ] {
        let spelt_out = |text: &str| {
            text.replace("INSTANCE", INSTANCE)
                .replace("KEY:", "{keygate}:usage:key:")
                .replace("DAYS", "{keygate}:usage:days")
                .replace("DAY:", "{keygate}:usage:day:2026-11-25:")
                .replace(":ID", &format!(":{id}"))
                .replace(" ID ", &format!(" {id} "))
        };
        type_in(&server, "FLUSHALL").await;
        add(&store, &batch_of(1)).await;
        let command = spelt_out(command);
        if command.starts_with("XADD") {
            let key = command.split(' ').nth(1).unwrap();
            type_in(&server, &format!("UNLINK {key}")).await;
        }
        type_in(&server, &command).await;
        let before = everything(&server).await;
        let refused = usage_of(&store).add(&batch_of(2)).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Unavailable, "{command}");
        let explained = explain(&refused);
        assert!(
            explained.contains(&spelt_out(&told)),
            "{command}: {explained}"
        );
        assert_eq!(everything(&server).await, before, "{command}");
    }
}

#[tokio::test]
async fn usage_that_cannot_be_read_is_named() {
    let server = server!();
    let store = open(&server).await;
    let id = record().id;
    for (command, told) in [
        ("HSET KEY requests many", "field requests"),
        ("HDEL KEY requests", "field requests"),
        ("HSET KEY requests 18446744073709551616", "field requests"),
        ("HSET KEY last_used_at today", "field last_used_at"),
        (
            "HSET KEY last_used_at 253402300800000",
            "field last_used_at",
        ),
        ("HDEL KEY last_used_at", "field last_used_at"),
        ("HSET KEY last_used_from home", "field last_used_from"),
        ("HSET KEY scope:orders:read 3", "field scope:orders:read"),
        (
            "HSET KEY lacked:orders:write 3-7",
            "field lacked:orders:write",
        ),
        ("HSET KEY secret:5 x", "field secret:5"),
        ("HSET KEY secret:first 3", "field secret:first"),
        ("SET KEY text", "usage:key:"),
        (
            "HSET DAY ID many",
            "field ID of {keygate}:usage:day:2026-11-25:keys",
        ),
        ("SET DAY text", "WRONGTYPE"),
    ] {
        type_in(&server, "FLUSHALL").await;
        let entries = vec![entry(&id, "org_42", today(), everything_used())];
        add(&store, &batch(7, 1, entries)).await;
        let command = command
            .replace("ID", id.as_str())
            .replace("KEY", &format!("{{keygate}}:usage:key:{id}"))
            .replace("DAY", "{keygate}:usage:day:2026-11-25:keys");
        type_in(&server, &command).await;
        let refused = match command.contains(":day:") {
            true => usage_of(&store)
                .days_of_key(&id, today()..=today())
                .await
                .err(),
            false => usage_of(&store).of_keys(&[id]).await.err(),
        };
        let explained = explain(&refused.expect(&command));
        let told = told.replace("ID", id.as_str());
        assert!(explained.contains(&told), "{command}: {explained}");
    }
}
