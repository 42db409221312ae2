//! Keys that other systems made, with the hashes that they stored: `tests/data/imports`.

use keygate::{Builder, ForeignFormat, KeyId, NewKey, Rejection, StoredHash};
use serde::Deserialize;
use serde_json::Value;

use crate::common::*;

const FILES: [&str; 5] = [
    include_str!("../data/imports/better-auth.json"),
    include_str!("../data/imports/djangorestframework-api-key.json"),
    include_str!("../data/imports/laravel-sanctum.json"),
    include_str!("../data/imports/prefixed-api-key.json"),
    include_str!("../data/imports/unkey.json"),
];

#[derive(Deserialize)]
struct System {
    system: String,
    variants: Vec<Variant>,
}

/// Keys that one format describes.
#[derive(Deserialize)]
struct Variant {
    prefix: String,
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    text: String,
    stored: String,
    columns: Value,
}

/// A key, and the format that it is imported by.
struct Foreign {
    system: String,
    format: String,
    key: Key,
}

impl Foreign {
    fn hash(&self) -> StoredHash {
        let stored = &self.key.stored;
        let column = |name: &str| match &self.key.columns[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let hash = match self.system.as_str() {
            "better-auth" | "Unkey" => StoredHash::from_base64(stored),
            "djangorestframework-api-key" => StoredHash::from_django(stored),
            "Laravel Sanctum" => {
                StoredHash::from_hex(stored).map(|hash| hash.labelled(column("id")))
            }
            _ => StoredHash::from_hex(stored).map(|hash| hash.labelled(column("shortToken"))),
        };
        hash.unwrap()
    }
}

fn recipe(system: &str, name: &str, prefix: &str) -> ForeignFormat {
    match system {
        "better-auth" => ForeignFormat::better_auth(name).prefix(prefix),
        "djangorestframework-api-key" => ForeignFormat::djangorestframework_api_key(name),
        "Laravel Sanctum" => ForeignFormat::laravel_sanctum(name).secret_prefix(prefix),
        "prefixed-api-key" => ForeignFormat::prefixed_api_key(name, prefix),
        _ if prefix.is_empty() => ForeignFormat::unkey(name),
        _ => ForeignFormat::unkey(name).prefix(format!("{prefix}_")),
    }
}

/// All of them, and a gate that accepts their formats. Variants of one system and prefix are one format.
async fn world() -> (World, Vec<Foreign>) {
    let mut all = Vec::new();
    let mut formats: Vec<(String, ForeignFormat)> = Vec::new();
    for file in FILES {
        let System { system, variants } = serde_json::from_str(file).unwrap();
        for Variant { prefix, keys } in variants {
            let name = format!("{system} {prefix}").to_lowercase();
            let name = name
                .replace([' ', '_'], "-")
                .trim_end_matches('-')
                .to_owned();
            if formats.iter().all(|(known, _)| *known != name) {
                formats.push((name.clone(), recipe(&system, &name, &prefix)));
            }
            all.extend(keys.into_iter().map(|key| Foreign {
                system: system.clone(),
                format: name.clone(),
                key,
            }));
        }
    }
    let accept = |builder: Builder| {
        let formats = formats.into_iter().map(|(_, format)| format);
        formats.fold(builder, Builder::accept_foreign)
    };
    (World::with(accept).await, all)
}

async fn import(world: &World, foreign: &Foreign, owner: &str) -> KeyId {
    let new = NewKey::for_owner(owner).scopes(["orders:read"]);
    let (manager, hash) = (world.keys.manager(), foreign.hash());
    let imported = manager.import(&foreign.format, &hash, new).await.unwrap();
    assert!(imported.is_new);
    imported.info.key_id
}

/// Lets the caller in, and waits until what is kept of the key is of its text and not of its hash.
async fn renewed(world: &World, id: &KeyId, text: &str) {
    let imported = world.record(id).await.secrets.current.mac;
    for _ in 0..6_000 {
        present(&world.keys, text).await.unwrap();
        if world.record(id).await.secrets.current.mac != imported {
            return;
        }
        tokio::time::sleep(millis(10)).await;
    }
    panic!("the MAC of {text} was not renewed");
}

#[tokio::test]
async fn every_key_of_another_system_opens_once_its_hash_is_imported_and_not_before() {
    let (world, all) = world().await;
    assert!(all.len() >= 80, "{}", all.len());
    for (n, foreign) in all.iter().enumerate() {
        let text = &foreign.key.text;
        let before = present(&world.keys, text).await;
        assert_eq!(rejection(before), Rejection::KeyInvalid, "{text}");
        let owner = format!("org_{n}");
        import(&world, foreign, &owner).await;
        for _ in 0..2 {
            let caller = present(&world.keys, text).await.unwrap();
            assert_eq!(caller.owner(), owner, "{text}");
        }
    }
}

#[tokio::test]
async fn what_another_system_stored_is_no_key() {
    let (world, all) = world().await;
    for foreign in &all {
        import(&world, foreign, "org_42").await;
    }
    for foreign in &all {
        let stored = foreign.key.stored.as_str();
        let bare = stored.trim_start_matches("sha512$$").trim_end_matches('=');
        let before_it = foreign
            .key
            .text
            .trim_end_matches(|c: char| c.is_ascii_alphanumeric());
        for text in [
            stored,
            bare,
            &format!("{before_it}{bare}"),
            &format!("1|{bare}"),
        ] {
            let outcome = present(&world.keys, text).await;
            assert_eq!(rejection(outcome), Rejection::KeyInvalid, "{text}");
        }
    }
}

/// The first of each, since every character of each is tried.
#[tokio::test]
async fn a_key_of_another_system_with_one_character_changed_opens_nothing() {
    let (world, mut all) = world().await;
    all.dedup_by(|a, b| a.format == b.format);
    tokio::spawn(world.keys.run());
    for foreign in &all {
        let text = &foreign.key.text;
        let id = import(&world, foreign, "org_42").await;
        for is_renewed in [false, true] {
            if is_renewed {
                renewed(&world, &id, text).await;
            }
            for (place, character) in text.char_indices() {
                let other = match character {
                    '0'..='8' | 'a'..='g' | 'A'..='G' => char::from(character as u8 + 1),
                    'h'..='z' => 'b',
                    'H'..='Z' => 'B',
                    '9' => '2',
                    _ => '-',
                };
                let mut changed = text.clone();
                changed.replace_range(place..=place, other.encode_utf8(&mut [0; 4]));
                let outcome = present(&world.keys, &changed).await;
                assert_eq!(rejection(outcome), Rejection::KeyInvalid, "{changed}");
            }
        }
        present(&world.keys, text).await.unwrap();
    }
}
