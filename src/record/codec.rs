//! The opaque form of a record: JSON under a format number.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{KeyRecord, RateLimit, Revocation, SecretSlot, Secrets};
use crate::clock::Timestamp;
use crate::key::{KeyId, Prefix};
use crate::mac::{Mac, PepperId};
use crate::scope::ScopeSet;

/// Records of a higher format may carry restrictions that this code cannot read.
pub(crate) const FORMAT: u16 = 1;

impl KeyRecord {
    /// The record as bytes, for stores that keep it whole.
    ///
    /// Only [`from_bytes`](Self::from_bytes) reads them: their layout is not part of the API.
    pub fn to_bytes(&self) -> Vec<u8> {
        let record = self.clone();
        let body = Body {
            format: FORMAT,
            id: record.id,
            prefix: record.prefix,
            name: record.name,
            owner: record.owner,
            scopes: record.scopes,
            metadata: record.metadata,
            created_at: record.created_at,
            expires_at: record.expires_at,
            disabled_at: record.disabled_at,
            revocation: record.revocation,
            allowed_ips: record.allowed_ips,
            rate_limit: record.rate_limit,
            current: record.secrets.current.into(),
            previous: record.secrets.previous.map(Into::into),
            version: record.version,
        };
        // Every field is a string, a number or a map with string keys: JSON can hold them all.
        serde_json::to_vec(&body).unwrap_or_default()
    }

    /// The record that [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// Bytes that are damaged, or of a newer format: an old node must not act on a record whose
    /// restrictions it cannot read.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let damaged = |error: serde_json::Error| RecordError::Damaged(error.to_string());
        let Numbered { format } = serde_json::from_slice(bytes).map_err(damaged)?;
        RecordError::check_format(format.into())?;
        let body: Body = serde_json::from_slice(bytes).map_err(damaged)?;
        Ok(Self {
            id: body.id,
            prefix: body.prefix,
            name: body.name,
            owner: body.owner,
            scopes: body.scopes,
            metadata: body.metadata,
            created_at: body.created_at,
            expires_at: body.expires_at,
            disabled_at: body.disabled_at,
            revocation: body.revocation,
            allowed_ips: body.allowed_ips,
            rate_limit: body.rate_limit,
            secrets: Secrets {
                current: body.current.into(),
                previous: body.previous.map(Into::into),
            },
            version: body.version,
        })
    }
}

/// Why stored data is not a record that this code can act on. A store reports it as
/// [`StoreErrorKind::Corrupt`](crate::StoreErrorKind::Corrupt).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A field is missing, unknown, or holds what it cannot hold.
    #[error("the stored record is damaged: {0}")]
    Damaged(String),
    /// Written by newer code.
    #[error(
        "the record has format {0} and this version of keygate knows up to {FORMAT}: upgrade it"
    )]
    Newer(i64),
}

impl RecordError {
    pub(crate) fn check_format(format: i64) -> Result<(), Self> {
        match format {
            1.. if format > FORMAT.into() => Err(Self::Newer(format)),
            1.. => Ok(()),
            _ => Err(Self::Damaged(format!("there is no format {format}"))),
        }
    }
}

#[derive(Deserialize)]
struct Numbered {
    format: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    format: u16,
    id: KeyId,
    prefix: Prefix,
    name: String,
    owner: String,
    scopes: ScopeSet,
    metadata: BTreeMap<String, String>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    disabled_at: Option<Timestamp>,
    revocation: Option<Revocation>,
    allowed_ips: Vec<IpNet>,
    rate_limit: Option<RateLimit>,
    current: Slot,
    previous: Option<Slot>,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Slot {
    #[serde(with = "mac_as_base64")]
    mac: Mac,
    pepper: PepperId,
    created_at: Timestamp,
    not_after: Option<Timestamp>,
}

/// Only stores see MACs: the type itself does not serialise.
mod mac_as_base64 {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::mac::Mac;

    pub(super) fn serialize<S: Serializer>(mac: &Mac, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(mac.as_bytes()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mac, D::Error> {
        BASE64_STANDARD
            .decode(String::deserialize(deserializer)?)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Mac::from_bytes)
            .ok_or_else(|| de::Error::custom("a MAC is 32 bytes in base64"))
    }
}

impl From<SecretSlot> for Slot {
    fn from(slot: SecretSlot) -> Self {
        let SecretSlot {
            mac,
            pepper,
            created_at,
            not_after,
        } = slot;
        Self {
            mac,
            pepper,
            created_at,
            not_after,
        }
    }
}

impl From<Slot> for SecretSlot {
    fn from(slot: Slot) -> Self {
        let Slot {
            mac,
            pepper,
            created_at,
            not_after,
        } = slot;
        Self {
            mac,
            pepper,
            created_at,
            not_after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full_record() -> KeyRecord {
        let at = |millis| Timestamp::from_unix_millis(millis).unwrap();
        let slot = |byte, not_after| SecretSlot {
            mac: Mac::from_bytes([byte; 32]),
            pepper: PepperId(3),
            created_at: at(5),
            not_after,
        };
        KeyRecord {
            id: "4KX9vQ2mB7tZ".parse().unwrap(),
            prefix: "acme_live".parse().unwrap(),
            name: "CI \"quoted\" \\ é".into(),
            owner: "org_42".into(),
            scopes: ScopeSet::parse(["a:read,write", "b:**"]).unwrap(),
            metadata: BTreeMap::from([("plan".into(), "gold".into())]),
            created_at: at(1_700_000_000_001),
            expires_at: Some(Timestamp::MAX),
            disabled_at: Some(at(7)),
            revocation: Some(Revocation {
                at: at(8),
                reason: "leaked".into(),
            }),
            allowed_ips: vec![
                "10.0.0.0/8".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ],
            rate_limit: Some(RateLimit {
                requests: 5,
                per_seconds: 60,
                burst: 5,
            }),
            secrets: Secrets {
                current: slot(1, None),
                previous: Some(slot(2, Some(at(9)))),
            },
            version: u64::MAX,
        }
    }

    #[test]
    fn a_record_with_every_field_set_round_trips() {
        let record = full_record();
        assert_eq!(KeyRecord::from_bytes(&record.to_bytes()), Ok(record));
    }

    #[test]
    fn a_newer_format_is_refused_whatever_else_it_holds() {
        assert_eq!(
            KeyRecord::from_bytes(br#"{"format": 2, "geofence": "EU"}"#),
            Err(RecordError::Newer(2))
        );
    }

    #[test]
    fn an_unknown_or_missing_field_is_damage_and_not_ignored() {
        let good = String::from_utf8(full_record().to_bytes()).unwrap();
        for bad in [
            good.replacen('{', r#"{"only_from":"mars","#, 1),
            good.replace(r#""current":{"#, r#""current":{"only_from":"mars","#),
            good.replace(r#""previous":{"#, r#""previous":{"only_from":"mars","#),
            good.replace(r#""revocation":{"#, r#""revocation":{"only_from":"mars","#),
            good.replace(r#""rate_limit":{"#, r#""rate_limit":{"per_day":9,"#),
            good.replace(r#""allowed_ips":["10.0.0.0/8","2001:db8::/32"],"#, ""),
            good.replace("10.0.0.0/8", "10.0.0.0/99"),
            good.replace("\"format\":1", "\"format\":0"),
            good[..good.len() - 1].to_owned(),
            String::new(),
        ] {
            assert_ne!(bad, good);
            assert!(
                matches!(
                    KeyRecord::from_bytes(bad.as_bytes()),
                    Err(RecordError::Damaged(_))
                ),
                "{bad}"
            );
        }
    }
}
