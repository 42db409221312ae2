-- How keys are used, apart from their rows: to count changes no key, and no process is told of it.
-- Counts stop at the largest integer. Keys that nobody used for 90 days, and how often each scope of
-- a key was needed:
--   SELECT id, name, owner FROM keygate_keys WHERE id NOT IN
--     (SELECT key_id FROM keygate_usage WHERE last_used_at > (unixepoch() - 90 * 86400) * 1000);
--   SELECT scope, requests, datetime(last_at / 1000, 'unixepoch') FROM keygate_usage_scopes
--   WHERE key_id = '4KX9vQ2mB7tZ' AND NOT lacked;

-- Over all days.
CREATE TABLE keygate_usage (
    key_id TEXT NOT NULL PRIMARY KEY,
    requests INTEGER NOT NULL CHECK (requests >= 0),
    last_used_at INTEGER NOT NULL CHECK (last_used_at BETWEEN 0 AND 253402300799999),
    -- NULL: from where is not known.
    last_used_from TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE keygate_usage_scopes (
    key_id TEXT NOT NULL,
    -- Whether the key did not have it, where a rule only reports that.
    lacked INTEGER NOT NULL CHECK (lacked IN (0, 1)),
    scope TEXT NOT NULL,
    requests INTEGER NOT NULL CHECK (requests >= 0),
    last_at INTEGER NOT NULL CHECK (last_at BETWEEN 0 AND 253402300799999),
    PRIMARY KEY (key_id, lacked, scope)
) STRICT, WITHOUT ROWID;

-- The moment at which a secret was made tells it from the others of its key.
CREATE TABLE keygate_usage_secrets (
    key_id TEXT NOT NULL,
    created_at INTEGER NOT NULL CHECK (created_at BETWEEN 0 AND 253402300799999),
    requests INTEGER NOT NULL CHECK (requests >= 0),
    last_used_at INTEGER NOT NULL CHECK (last_used_at BETWEEN 0 AND 253402300799999),
    PRIMARY KEY (key_id, created_at)
) STRICT, WITHOUT ROWID;

-- Days are in UTC, as in 2026-11-25. The day comes first: what is written now lies close together.
CREATE TABLE keygate_usage_days (
    day TEXT NOT NULL CHECK (day GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    key_id TEXT NOT NULL,
    requests INTEGER NOT NULL CHECK (requests >= 0),
    PRIMARY KEY (day, key_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX keygate_usage_days_of_key ON keygate_usage_days (key_id, day);

CREATE TABLE keygate_usage_owners (
    day TEXT NOT NULL CHECK (day GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    owner TEXT NOT NULL,
    requests INTEGER NOT NULL CHECK (requests >= 0),
    PRIMARY KEY (day, owner)
) STRICT, WITHOUT ROWID;

CREATE INDEX keygate_usage_owners_of_owner ON keygate_usage_owners (owner, day);

-- The last batch of each process, so that one whose answer was lost is not counted twice. A row is
-- deleted a month after its last batch.
CREATE TABLE keygate_usage_batches (
    instance TEXT NOT NULL PRIMARY KEY
        CHECK (length(instance) = 32 AND instance NOT GLOB '*[^0-9a-f]*'),
    sequence INTEGER NOT NULL CHECK (sequence >= 0),
    added_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
