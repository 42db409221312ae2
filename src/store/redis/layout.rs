//! The names of the keys that a namespace has in Redis.

use super::error::RedisOpenError;
use crate::audit::AuditKind;

const MAX_NAMESPACE_CHARS: usize = 64;

/// The keys of one namespace. All carry the hash tag `{namespace}`, so a cluster keeps them on one
/// node, where one script can reach them all.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    namespace: String,
}

impl Layout {
    pub(super) fn new(namespace: &str) -> Result<Self, RedisOpenError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if namespace.is_empty()
            || namespace.len() > MAX_NAMESPACE_CHARS
            || !namespace.chars().all(allowed)
        {
            return Err(RedisOpenError::InvalidNamespace {
                namespace: namespace.into(),
            });
        }
        Ok(Self {
            namespace: namespace.into(),
        })
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A HASH for each record, named by its id.
    pub(super) fn record(&self, id: &str) -> String {
        format!("{}{id}", self.records())
    }

    /// What the key of every record begins with.
    pub(super) fn records(&self) -> String {
        self.key("key:")
    }

    /// A ZSET of all ids, with equal scores.
    pub(super) fn ids(&self) -> String {
        self.key("ids")
    }

    /// A ZSET of `owner NUL id`, with equal scores.
    pub(super) fn owners(&self) -> String {
        self.key("owners")
    }

    /// A HASH of settings.
    pub(super) fn settings(&self) -> String {
        self.key("settings")
    }

    /// A STRING for each key that has rate limits, named by its id.
    pub(super) fn limits(&self, id: &str) -> String {
        self.key(&format!("limit:{id}"))
    }

    /// A STREAM of audit events.
    pub(super) fn audit(&self) -> String {
        self.key("audit")
    }

    /// A ZSET of `k`, `o` or `a` with key id, owner or action, NUL, and the sequence of the event.
    pub(super) fn audit_index(&self) -> String {
        self.key("audit:index")
    }

    /// A ZSET of the sequences of the events of a kind, by their times.
    pub(super) fn audit_times(&self, kind: AuditKind) -> String {
        self.key(&format!("audit:{}", kind.as_str()))
    }

    /// What the name of every key of usage begins with. It lies outside of what the feed tracks.
    pub(super) fn usage(&self) -> String {
        self.key("usage:")
    }

    /// A HASH for each key, named by its id.
    pub(super) fn usage_of_keys(&self) -> String {
        self.key("usage:key:")
    }

    /// A ZSET of the dates that have counts, by days since 1970.
    pub(super) fn usage_days(&self) -> String {
        self.key("usage:days")
    }

    /// What the names of the counts of a date begin with, before the date.
    pub(super) fn usage_of_days(&self) -> String {
        self.key("usage:day:")
    }

    /// A STRING with the sequence of the last batch of an instance.
    pub(super) fn usage_instance(&self, instance: u128) -> String {
        self.key(&format!("usage:instance:{instance:032x}"))
    }

    /// What the beats of one follower begin with. Redis tells of the prefixes that a connection
    /// tracks in byte order, and the tilde is greater than every letter: when a beat comes in, the
    /// changes of the same moment have come before it.
    pub(super) fn beats(&self, follower: &str) -> String {
        self.key(&format!("~beat:{follower}:"))
    }

    fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_the_hash_tag_of_its_namespace() {
        let layout = Layout::new("team-7.keys").unwrap();
        for key in [
            layout.record("4KX9vQ2mB7tZ"),
            layout.ids(),
            layout.owners(),
            layout.settings(),
            layout.limits("4KX9vQ2mB7tZ"),
            layout.audit(),
            layout.audit_index(),
            layout.audit_times(AuditKind::Lifecycle),
            layout.audit_times(AuditKind::Authentication),
            layout.usage(),
            layout.usage_of_keys(),
            layout.usage_days(),
            layout.usage_of_days(),
            layout.usage_instance(7),
            layout.beats("4KX9vQ2mB7tZ"),
        ] {
            assert!(key.starts_with("{team-7.keys}:"), "{key}");
        }
        assert_eq!(
            layout.record("4KX9vQ2mB7tZ"),
            "{team-7.keys}:key:4KX9vQ2mB7tZ"
        );
    }

    #[test]
    fn a_beat_sorts_after_every_record() {
        let layout = Layout::new("keygate").unwrap();
        assert!(layout.beats("0") > layout.record("zzzzzzzzzzzz"));
    }

    /// Else every batch would cost every instance a part of its cache.
    #[test]
    fn nothing_of_usage_is_tracked_by_the_feed() {
        let layout = Layout::new("keygate").unwrap();
        for tracked in [layout.records(), layout.beats("0")] {
            assert!(!layout.usage().starts_with(&tracked));
            assert!(!tracked.starts_with(&layout.usage()));
        }
        for key in [
            layout.usage_of_keys(),
            layout.usage_days(),
            layout.usage_of_days(),
            layout.usage_instance(u128::MAX),
        ] {
            assert!(key.starts_with(&layout.usage()), "{key}");
        }
    }

    /// Else every request of a key with a limit would drop it from every cache.
    #[test]
    fn nothing_of_rate_limits_is_tracked_by_the_feed() {
        let layout = Layout::new("keygate").unwrap();
        for tracked in [layout.records(), layout.beats("0")] {
            assert!(!layout.limits("4KX9vQ2mB7tZ").starts_with(&tracked));
        }
    }

    #[test]
    fn a_namespace_that_would_break_the_hash_tag_is_refused() {
        for namespace in ["", "a}b", "{a", "a b", "a:b", "é", &"a".repeat(65)] {
            assert!(Layout::new(namespace).is_err(), "{namespace}");
        }
    }
}
