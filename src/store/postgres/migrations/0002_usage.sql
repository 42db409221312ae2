-- After 0001_keys.sql, by hand, into the schema that it was run in:
--   psql --single-transaction --set ON_ERROR_STOP=1 \
--     --command 'SET search_path = auth' --file 0002_usage.sql
-- For another table prefix, replace keygate_ throughout.

INSERT INTO keygate_migrations (number) VALUES (2);

-- Usage lies apart from the keys, and refers to them by nothing but their id: adding to it takes no
-- lock on a key, raises no version and tells no service of a change.
-- Rows are updated over and over, which is cheap while their page has room.

CREATE TABLE keygate_usage (
    key_id text COLLATE "C" PRIMARY KEY CHECK (key_id ~ '^[0-9A-Za-z]{12}$'),
    requests bigint NOT NULL CHECK (requests >= 0),
    last_used_at timestamptz(3) NOT NULL
        CHECK (last_used_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999+00'),
    last_used_from inet
) WITH (fillfactor = 70);

COMMENT ON TABLE keygate_usage IS 'How each key was used, over all days. Running services add to it '
    'every few seconds. A key without a row was never used since they count.';
COMMENT ON COLUMN keygate_usage.requests IS 'Accepted requests.';
COMMENT ON COLUMN keygate_usage.last_used_at IS 'The last of them.';
COMMENT ON COLUMN keygate_usage.last_used_from IS 'Where that one came from; NULL: not known.';

CREATE TABLE keygate_usage_days (
    key_id text COLLATE "C" NOT NULL CHECK (key_id ~ '^[0-9A-Za-z]{12}$'),
    day date NOT NULL CHECK (day BETWEEN '1970-01-01' AND '9999-12-31'),
    owner text COLLATE "C" NOT NULL,
    requests bigint NOT NULL CHECK (requests >= 0),
    PRIMARY KEY (key_id, day)
) WITH (fillfactor = 70);
CREATE INDEX keygate_usage_of_owner ON keygate_usage_days (owner, day);
CREATE INDEX keygate_usage_on_day ON keygate_usage_days (day, owner, key_id);

COMMENT ON TABLE keygate_usage_days IS 'Accepted requests of each key on each day, in UTC. Days of '
    'long ago are removed by the running services, or by hand.';
COMMENT ON COLUMN keygate_usage_days.owner IS 'Whom the key acted for.';

CREATE TABLE keygate_usage_scopes (
    key_id text COLLATE "C" NOT NULL CHECK (key_id ~ '^[0-9A-Za-z]{12}$'),
    scope text COLLATE "C" NOT NULL,
    lacked boolean NOT NULL,
    requests bigint NOT NULL CHECK (requests >= 0),
    last_at timestamptz(3) NOT NULL
        CHECK (last_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999+00'),
    PRIMARY KEY (key_id, scope, lacked)
) WITH (fillfactor = 70);

COMMENT ON TABLE keygate_usage_scopes IS
    'Which scopes were asked of each key, how often and when last.';
COMMENT ON COLUMN keygate_usage_scopes.lacked IS
    'true: the key lacked it, and was let through by a rule that only reports.';

CREATE TABLE keygate_usage_secrets (
    key_id text COLLATE "C" NOT NULL CHECK (key_id ~ '^[0-9A-Za-z]{12}$'),
    created_at timestamptz(3) NOT NULL
        CHECK (created_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999+00'),
    requests bigint NOT NULL CHECK (requests >= 0),
    last_used_at timestamptz(3) NOT NULL
        CHECK (last_used_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999+00'),
    PRIMARY KEY (key_id, created_at)
) WITH (fillfactor = 70);

COMMENT ON TABLE keygate_usage_secrets IS
    'How each secret of a key was used, which tells when callers have moved to a new one.';
COMMENT ON COLUMN keygate_usage_secrets.created_at IS
    'When the secret was made: current_created_at or previous_created_at of the key.';

CREATE TABLE keygate_usage_batches (
    instance uuid PRIMARY KEY,
    sequence bigint NOT NULL CHECK (sequence >= 0),
    added_at timestamptz NOT NULL
);
CREATE INDEX keygate_usage_batches_at ON keygate_usage_batches (added_at);

COMMENT ON TABLE keygate_usage_batches IS 'The last batch that each service process has added, so '
    'that one whose answer was lost counts once. Rows go when they are more than a month old.';
COMMENT ON COLUMN keygate_usage_batches.instance IS 'The process, by a number of each start.';
