//! What the cases write: a plain record, and some that are hard to keep, with each field at its
//! bounds or holding what databases stumble over.

use std::collections::BTreeMap;

use super::subject::Setback;
use crate::audit::{Actor, AuditAction, AuditEvent, FieldChange};
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::mac::{Mac, PepperId};
use crate::record::{KeyRecord, RateLimit, Revocation, SecretSlot, Secrets};
use crate::scope::ScopeSet;

/// Quotes, escapes, wildcards and parameters of query languages, and text from everywhere.
pub(super) const HARD_TEXT: &str =
    r#" it's "so" \ /* -- */ ; 50% _off_ $1 ?1 :x {} <b>&amp;</b> Zoë 鍵 🔑 مفتاح null "#;

/// Owners that a comparison other than byte for byte takes for each other, or for patterns. The
/// last two look alike: one `é` is a single character, the other an `e` with an accent.
pub(super) const OWNERS: [&str; 15] = [
    "org_42",
    "Org_42",
    "ORG_42",
    "org_42 ",
    " org_42",
    "org-42",
    "org_4",
    "org_422",
    "org%",
    "%",
    "______",
    "042",
    "42",
    "caf\u{e9}",
    "cafe\u{301}",
];

/// Ids in ascending byte order: digits, capitals, small letters. Some look like numbers, and some
/// differ in case alone.
pub(super) const IDS: [&str; 10] = [
    "000000000009",
    "000000000010",
    "0000000001e5",
    "900000000000",
    "AAAAAAAAAAAA",
    "AAAAAAAAAAAa",
    "ZAAAAAAAAAAA",
    "aAAAAAAAAAAA",
    "aaaaaaaaaaaa",
    "zzzzzzzzzzzz",
];

/// The largest version that an `i64` holds.
pub(super) const LARGEST_VERSION: u64 = i64::MAX as u64;

pub(super) fn id(text: &str) -> Result<KeyId, Setback> {
    Ok(text.parse()?)
}

pub(super) fn at(millis: i64) -> Result<Timestamp, Setback> {
    Ok(Timestamp::from_unix_millis(millis)?)
}

/// Nothing about it is hard to keep, so that what becomes of it says something else of a store.
pub(super) fn plain(id: &str) -> Result<KeyRecord, Setback> {
    let created_at = at(1_795_325_668_000)?;
    Ok(KeyRecord {
        id: id.parse()?,
        prefix: "acme_live".parse()?,
        name: "plain".into(),
        owner: "org_1".into(),
        scopes: ScopeSet::parse(["orders:read"])?,
        metadata: BTreeMap::new(),
        created_at,
        expires_at: None,
        disabled_at: None,
        revocation: None,
        allowed_ips: Vec::new(),
        rate_limit: None,
        secrets: Secrets {
            current: SecretSlot {
                mac: Mac::from_bytes([1; 32]),
                pepper: PepperId(1),
                created_at,
                not_after: None,
            },
            previous: None,
        },
        version: 1,
    })
}

/// The same key after a change, in another version.
pub(super) fn changed(id: &str, version: u64) -> Result<KeyRecord, Setback> {
    Ok(KeyRecord {
        name: "changed".into(),
        owner: "org_2".into(),
        scopes: ScopeSet::parse(["orders:write"])?,
        version,
        ..plain(id)?
    })
}

/// The same key after a rotation: a new secret, told from others by `byte`, and the one from before
/// until its end.
pub(super) fn rotated(before: &KeyRecord, byte: u8) -> Result<KeyRecord, Setback> {
    let version = before.version + 1;
    let created_at = at(1_795_325_668_000 + version as i64)?;
    Ok(KeyRecord {
        secrets: Secrets {
            current: SecretSlot {
                mac: Mac::from_bytes([byte.wrapping_add(version as u8 * 16); 32]),
                created_at,
                ..before.secrets.current.clone()
            },
            previous: Some(SecretSlot {
                not_after: Some(created_at),
                ..before.secrets.current.clone()
            }),
        },
        version,
        ..before.clone()
    })
}

pub(super) fn owned(id: &str, owner: &str) -> Result<KeyRecord, Setback> {
    Ok(KeyRecord {
        owner: owner.into(),
        ..plain(id)?
    })
}

pub(super) fn revoked(id: &str) -> Result<KeyRecord, Setback> {
    Ok(KeyRecord {
        revocation: Some(Revocation {
            at: at(1_795_325_700_000)?,
            reason: "found in a public repository".into(),
        }),
        ..plain(id)?
    })
}

/// Nothing that can be absent or empty is there.
pub(super) fn bare(id: &str) -> Result<KeyRecord, Setback> {
    Ok(KeyRecord {
        prefix: "a".parse()?,
        name: String::new(),
        owner: "o".into(),
        scopes: ScopeSet::default(),
        created_at: Timestamp::MIN,
        secrets: Secrets {
            current: SecretSlot {
                mac: Mac::from_bytes([0; 32]),
                pepper: PepperId(0),
                created_at: Timestamp::MIN,
                not_after: None,
            },
            previous: None,
        },
        ..plain(id)?
    })
}

/// Every field is set but the revocation, after which little could be done with it.
pub(super) fn full(id: &str) -> Result<KeyRecord, Setback> {
    let metadata = [
        ("plan", "gold"),
        ("Plan", ""),
        ("a.b", "$c"),
        ("$set", HARD_TEXT),
        ("鍵 ", "007"),
    ];
    Ok(KeyRecord {
        id: id.parse()?,
        prefix: "acme_live".parse()?,
        name: HARD_TEXT.into(),
        owner: HARD_TEXT.into(),
        scopes: ScopeSet::parse([
            "orders:read,write",
            "invoices:**",
            "*:export",
            "it's:a#%_[1]",
        ])?,
        metadata: metadata.map(|(k, v)| (k.into(), v.into())).into(),
        created_at: at(1_795_325_668_123)?,
        expires_at: Some(at(1_803_101_668_999)?),
        disabled_at: Some(at(1_795_325_670_001)?),
        revocation: None,
        // In their own order, which is not that of their text.
        allowed_ips: vec![
            "9.0.0.0/8".parse()?,
            "10.0.0.0/8".parse()?,
            "203.0.113.7/32".parse()?,
            "::1/128".parse()?,
            "2001:db8::/32".parse()?,
        ],
        rate_limit: Some(RateLimit {
            requests: 600,
            per_seconds: 60,
            burst: 20,
        }),
        secrets: Secrets {
            current: SecretSlot {
                mac: Mac::from_bytes(std::array::from_fn(|n| n as u8 * 8)),
                pepper: PepperId(7),
                created_at: at(1_795_325_669_500)?,
                not_after: Some(at(1_803_101_668_998)?),
            },
            previous: Some(SecretSlot {
                mac: Mac::from_bytes(std::array::from_fn(|n| 255 - n as u8 * 8)),
                pepper: PepperId(3),
                created_at: at(1_795_325_668_123)?,
                not_after: Some(at(1_795_412_069_500)?),
            }),
        },
        version: 1,
    })
}

/// Every field is as long, or as large, as keygate lets it be.
pub(super) fn largest(id: &str) -> Result<KeyRecord, Setback> {
    let scope = |n| {
        let end = match n % 3 {
            0 => "**",
            1 => "*",
            _ => "x",
        };
        format!("{n:03}:{}:{end}", "s".repeat(123 - end.len()))
    };
    let entry = |n| (format!("{n:02}{}", "鍵".repeat(62)), "🔑".repeat(512));
    let slot = |byte| SecretSlot {
        mac: Mac::from_bytes([byte; 32]),
        pepper: PepperId(u32::MAX),
        created_at: Timestamp::MAX,
        not_after: Some(Timestamp::MAX),
    };
    let networks = |n| format!("2001:db8:ffff:ffff:ffff:ffff:ffff:ff{n:02}/128").parse();
    Ok(KeyRecord {
        id: id.parse()?,
        prefix: "abcdefghijklmno_0123456789_large".parse()?,
        name: "🔑".repeat(128),
        owner: "鍵".repeat(128),
        scopes: ScopeSet::parse((0..ScopeSet::MAX_SCOPES).map(scope))?,
        metadata: (0..32).map(entry).collect(),
        created_at: Timestamp::MAX,
        expires_at: Some(Timestamp::MAX),
        disabled_at: Some(Timestamp::MAX),
        revocation: Some(Revocation {
            at: Timestamp::MAX,
            reason: "🔑".repeat(512),
        }),
        allowed_ips: (10..74).map(networks).collect::<Result<_, _>>()?,
        rate_limit: Some(RateLimit {
            requests: u32::MAX,
            per_seconds: u32::MAX,
            burst: u32::MAX,
        }),
        secrets: Secrets {
            current: slot(0xff),
            previous: Some(slot(0x80)),
        },
        version: LARGEST_VERSION,
    })
}

/// An event of a key, told from others by its moment.
pub(super) fn event(record: &KeyRecord, millis: i64) -> Result<AuditEvent, Setback> {
    Ok(AuditEvent {
        at: at(millis)?,
        action: AuditAction::Changed,
        key_id: Some(record.id),
        owner: Some(record.owner.clone()),
        actor: Actor::Host,
        address: None,
        changes: vec![FieldChange {
            field: "name".into(),
            before: None,
            after: Some(record.name.clone()),
        }],
        requests: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{check_metadata, check_name, check_owner, check_reason};

    #[test]
    fn every_record_is_one_that_keygate_could_write() {
        for record in [
            plain(IDS[0]),
            bare(IDS[0]),
            full(IDS[0]),
            largest(IDS[0]),
            revoked(IDS[0]),
        ] {
            let record = record.unwrap();
            check_name(&record.name).unwrap();
            check_owner(&record.owner).unwrap();
            check_metadata(&record.metadata).unwrap();
            check_reason(record.revocation.as_ref().map_or("", |r| &r.reason)).unwrap();
            assert!(record.allowed_ips.is_sorted());
            assert_eq!(KeyRecord::from_bytes(&record.to_bytes()), Ok(record));
        }
    }

    #[test]
    fn the_largest_record_leaves_no_room() {
        let record = largest(IDS[0]).unwrap();
        assert_eq!(record.prefix.as_str().len(), 32);
        assert_eq!(record.scopes.iter().count(), 128);
        assert!(record.scopes.iter().all(|scope| scope.len() == 128));
        assert_eq!(record.allowed_ips.len(), 64);
    }

    #[test]
    fn the_ids_ascend_and_so_does_no_other_order() {
        assert!(IDS.is_sorted());
        assert!(!IDS.is_sorted_by_key(|id| id.to_lowercase()));
    }
}
