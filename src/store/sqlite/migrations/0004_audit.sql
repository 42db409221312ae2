-- Requests that were accepted or refused are events too: some are of no key that was proved. Which
-- keys were refused most often in the last day, and why:
--   SELECT key_id, code, sum(requests) FROM keygate_audit
--   WHERE kind = 'authentication' AND action = 'refused' AND at > (unixepoch() - 86400) * 1000
--   GROUP BY key_id, code ORDER BY sum(requests) DESC;

CREATE TABLE keygate_audit_of_all (
    -- Never used twice, so that a cursor stays where it is when old events are deleted.
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Of requests, when the first of them came.
    at INTEGER NOT NULL CHECK (at BETWEEN 0 AND 253402300799999),
    action TEXT NOT NULL,
    -- Whether it was a change of a key, or requests.
    kind TEXT NOT NULL DEFAULT 'lifecycle' CHECK (kind IN ('lifecycle', 'authentication')),
    key_id TEXT,
    owner TEXT,
    -- The key on whose behalf it was done, or the person; neither, and not unknown: the service itself.
    actor_key_id TEXT,
    actor_user TEXT,
    actor_unknown INTEGER NOT NULL DEFAULT 0 CHECK (actor_unknown IN (0, 1)),
    address TEXT,
    changes TEXT NOT NULL CHECK (json_valid(changes) AND json_type(changes) = 'array'),
    -- How many requests, when the last of them came, and why they were refused.
    requests INTEGER CHECK (requests >= 0),
    last_at INTEGER CHECK (last_at BETWEEN 0 AND 253402300799999),
    code TEXT,

    CHECK ((actor_key_id IS NOT NULL) + (actor_user IS NOT NULL) + actor_unknown <= 1),
    CHECK ((requests IS NULL) = (last_at IS NULL) AND (requests IS NOT NULL OR code IS NULL))
) STRICT;

INSERT INTO keygate_audit_of_all
    (sequence, at, action, key_id, owner, actor_key_id, address, changes)
SELECT sequence, at, action, key_id, owner, actor_key_id, address, changes
FROM keygate_audit ORDER BY sequence;

-- The last number that was used may be of an event that is deleted.
DELETE FROM sqlite_sequence WHERE name = 'keygate_audit_of_all';
INSERT INTO sqlite_sequence (name, seq)
SELECT 'keygate_audit_of_all', seq FROM sqlite_sequence WHERE name = 'keygate_audit';

DROP TABLE keygate_audit;
ALTER TABLE keygate_audit_of_all RENAME TO keygate_audit;

CREATE INDEX keygate_audit_of_key ON keygate_audit (key_id, sequence);
CREATE INDEX keygate_audit_of_owner ON keygate_audit (owner, sequence);
CREATE INDEX keygate_audit_of_action ON keygate_audit (action, sequence);
CREATE INDEX keygate_audit_of_kind ON keygate_audit (kind, sequence);
-- The oldest are forgotten first.
CREATE INDEX keygate_audit_at ON keygate_audit (kind, at);
