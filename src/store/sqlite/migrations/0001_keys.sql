-- Times are Unix milliseconds. Lists are separated by single spaces.
--
-- Rows may be changed by hand: the version rises by itself, and every process sees the change
-- within a second. To end a key for good:
--   UPDATE keygate_keys SET revoked_at = unixepoch() * 1000, revocation_reason = 'leaked'
--   WHERE id = '4KX9vQ2mB7tZ';

CREATE TABLE keygate_keys (
    id TEXT NOT NULL PRIMARY KEY
        CHECK (length(id) = 12 AND id NOT GLOB '*[^0-9A-Za-z]*'),
    -- A row of a format that the code does not know is neither used nor overwritten.
    format INTEGER NOT NULL CHECK (format >= 1),
    version INTEGER NOT NULL CHECK (version >= 0),
    prefix TEXT NOT NULL CHECK (length(prefix) BETWEEN 1 AND 32),
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    scopes TEXT NOT NULL,
    metadata TEXT NOT NULL CHECK (json_valid(metadata) AND json_type(metadata) = 'object'),
    created_at INTEGER NOT NULL CHECK (created_at BETWEEN 0 AND 253402300799999),
    expires_at INTEGER CHECK (expires_at BETWEEN 0 AND 253402300799999),
    disabled_at INTEGER CHECK (disabled_at BETWEEN 0 AND 253402300799999),
    revoked_at INTEGER CHECK (revoked_at BETWEEN 0 AND 253402300799999),
    revocation_reason TEXT NOT NULL DEFAULT '',
    -- Empty: from everywhere.
    allowed_ips TEXT NOT NULL,
    rate_requests INTEGER CHECK (rate_requests BETWEEN 0 AND 4294967295),
    rate_per_seconds INTEGER CHECK (rate_per_seconds BETWEEN 0 AND 4294967295),
    rate_burst INTEGER CHECK (rate_burst BETWEEN 0 AND 4294967295),
    current_mac BLOB NOT NULL CHECK (length(current_mac) = 32),
    current_pepper INTEGER NOT NULL CHECK (current_pepper BETWEEN 0 AND 4294967295),
    current_created_at INTEGER NOT NULL CHECK (current_created_at BETWEEN 0 AND 253402300799999),
    current_not_after INTEGER CHECK (current_not_after BETWEEN 0 AND 253402300799999),
    previous_mac BLOB CHECK (length(previous_mac) = 32),
    previous_pepper INTEGER CHECK (previous_pepper BETWEEN 0 AND 4294967295),
    previous_created_at INTEGER CHECK (previous_created_at BETWEEN 0 AND 253402300799999),
    previous_not_after INTEGER CHECK (previous_not_after BETWEEN 0 AND 253402300799999),

    CHECK (revoked_at IS NOT NULL OR revocation_reason = ''),
    CHECK ((rate_requests IS NULL) = (rate_per_seconds IS NULL)
        AND (rate_requests IS NULL) = (rate_burst IS NULL)),
    CHECK ((previous_mac IS NULL) = (previous_pepper IS NULL)
        AND (previous_mac IS NULL) = (previous_created_at IS NULL)
        AND (previous_mac IS NOT NULL OR previous_not_after IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX keygate_keys_of_owner ON keygate_keys (owner, id);

CREATE TRIGGER keygate_keys_version_rises
AFTER UPDATE ON keygate_keys
WHEN NEW.version <= OLD.version
BEGIN
    UPDATE keygate_keys SET version = OLD.version + 1 WHERE id = NEW.id;
END;

CREATE TRIGGER keygate_keys_revocation_is_final
BEFORE UPDATE ON keygate_keys
WHEN OLD.revoked_at IS NOT NULL
    AND (NEW.revoked_at IS NOT OLD.revoked_at
        OR NEW.revocation_reason IS NOT OLD.revocation_reason)
BEGIN
    SELECT RAISE(ABORT, 'a revocation is final: issue a new key instead');
END;

CREATE TRIGGER keygate_keys_id_is_final
BEFORE UPDATE ON keygate_keys
WHEN NEW.id IS NOT OLD.id
BEGIN
    SELECT RAISE(ABORT, 'the id of a key is final: its MACs are bound to it');
END;

-- REPLACE deletes the row that is in its way and fires no trigger on it.
CREATE TRIGGER keygate_keys_are_not_replaced
BEFORE INSERT ON keygate_keys
WHEN EXISTS (SELECT 1 FROM keygate_keys WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'this key exists already: use UPDATE');
END;

CREATE TABLE keygate_audit (
    -- Never used twice, so that a cursor stays where it is when old events are deleted.
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL CHECK (at BETWEEN 0 AND 253402300799999),
    action TEXT NOT NULL,
    key_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    -- The key on whose behalf it was done; NULL: the service itself.
    actor_key_id TEXT,
    address TEXT,
    changes TEXT NOT NULL CHECK (json_valid(changes) AND json_type(changes) = 'array')
) STRICT;

CREATE INDEX keygate_audit_of_key ON keygate_audit (key_id, sequence);
CREATE INDEX keygate_audit_of_owner ON keygate_audit (owner, sequence);
CREATE INDEX keygate_audit_of_action ON keygate_audit (action, sequence);

CREATE TABLE keygate_settings (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
