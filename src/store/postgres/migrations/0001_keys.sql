-- By hand, into the schema of your choice, which must exist:
--   psql --single-transaction --set ON_ERROR_STOP=1 \
--     --command 'SET search_path = auth' --file 0001_keys.sql
-- For another table prefix, replace keygate_ throughout.

CREATE TABLE keygate_migrations (
    number integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE keygate_migrations IS 'The steps of the schema of keygate that were taken.';
INSERT INTO keygate_migrations (number) VALUES (1);

CREATE TABLE keygate_keys (
    id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[0-9A-Za-z]{12}$'),
    format integer NOT NULL CHECK (format >= 1),
    version bigint NOT NULL CHECK (version >= 0),
    prefix text COLLATE "C" NOT NULL CHECK (length(prefix) BETWEEN 1 AND 32),
    name text NOT NULL,
    owner text COLLATE "C" NOT NULL,
    scopes text[] NOT NULL CHECK (array_position(scopes, NULL) IS NULL),
    metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    created_at timestamptz(3) NOT NULL
        CHECK (created_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999+00'),
    expires_at timestamptz(3)
        CHECK (expires_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999+00'),
    disabled_at timestamptz(3)
        CHECK (disabled_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999+00'),
    revoked_at timestamptz(3)
        CHECK (revoked_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999+00'),
    revocation_reason text NOT NULL DEFAULT '',
    allowed_ips cidr[] NOT NULL DEFAULT '{}' CHECK (array_position(allowed_ips, NULL) IS NULL),
    rate_requests bigint CHECK (rate_requests BETWEEN 0 AND 4294967295),
    rate_per_seconds bigint CHECK (rate_per_seconds BETWEEN 0 AND 4294967295),
    rate_burst bigint CHECK (rate_burst BETWEEN 0 AND 4294967295),
    current_mac bytea NOT NULL CHECK (octet_length(current_mac) = 32),
    current_pepper bigint NOT NULL CHECK (current_pepper BETWEEN 0 AND 4294967295),
    current_created_at timestamptz(3) NOT NULL
        CHECK (current_created_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999+00'),
    current_not_after timestamptz(3)
        CHECK (current_not_after BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999+00'),
    previous_mac bytea CHECK (octet_length(previous_mac) = 32),
    previous_pepper bigint CHECK (previous_pepper BETWEEN 0 AND 4294967295),
    previous_created_at timestamptz(3)
        CHECK (previous_created_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999+00'),
    previous_not_after timestamptz(3)
        CHECK (previous_not_after BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999+00'),

    CHECK (revoked_at IS NOT NULL OR revocation_reason = ''),
    CHECK (num_nulls(rate_requests, rate_per_seconds, rate_burst) IN (0, 3)),
    CHECK (num_nulls(previous_mac, previous_pepper, previous_created_at) IN (0, 3)
        AND (previous_mac IS NOT NULL OR previous_not_after IS NULL))
);
CREATE INDEX keygate_keys_of_owner ON keygate_keys (owner, id);

COMMENT ON TABLE keygate_keys IS 'API keys, without their secrets. Rows may be changed by hand: '
    'every running service sees it within a second. To end a key for good, set revoked_at to now() '
    'and revocation_reason to why.';
COMMENT ON COLUMN keygate_keys.id IS 'The public part of the key text, final.';
COMMENT ON COLUMN keygate_keys.format IS
    'A row of a format that the code does not know is neither used nor overwritten.';
COMMENT ON COLUMN keygate_keys.version IS 'Raised by every UPDATE, by itself.';
COMMENT ON COLUMN keygate_keys.prefix IS 'Under another prefix the key does not exist.';
COMMENT ON COLUMN keygate_keys.name IS 'For people.';
COMMENT ON COLUMN keygate_keys.owner IS 'Whom the key acts for.';
COMMENT ON COLUMN keygate_keys.scopes IS 'What it may do; empty: nothing.';
COMMENT ON COLUMN keygate_keys.metadata IS 'Notes of the service: an object of strings.';
COMMENT ON COLUMN keygate_keys.created_at IS 'When it was issued.';
COMMENT ON COLUMN keygate_keys.expires_at IS 'From then on it is expired; NULL: never.';
COMMENT ON COLUMN keygate_keys.disabled_at IS 'Since when it is paused; set to NULL to go on.';
COMMENT ON COLUMN keygate_keys.revoked_at IS 'Since when it is ended, final.';
COMMENT ON COLUMN keygate_keys.revocation_reason IS 'Why it was ended, final.';
COMMENT ON COLUMN keygate_keys.allowed_ips IS 'Networks that it works from; empty: everywhere.';
COMMENT ON COLUMN keygate_keys.rate_requests IS
    'Requests per window; NULL in all three columns: without limit.';
COMMENT ON COLUMN keygate_keys.rate_per_seconds IS 'Length of the window.';
COMMENT ON COLUMN keygate_keys.rate_burst IS 'Requests at once.';
COMMENT ON COLUMN keygate_keys.current_mac IS 'Keyed MAC of id and newest secret.';
COMMENT ON COLUMN keygate_keys.current_pepper IS 'Number of the pepper it was made with.';
COMMENT ON COLUMN keygate_keys.current_created_at IS 'When the newest secret was made.';
COMMENT ON COLUMN keygate_keys.current_not_after IS
    'From then on the newest secret opens nothing; NULL: as long as the key.';
COMMENT ON COLUMN keygate_keys.previous_mac IS 'The same of the secret before it, if any.';
COMMENT ON COLUMN keygate_keys.previous_pepper IS 'See current_pepper.';
COMMENT ON COLUMN keygate_keys.previous_created_at IS 'See current_created_at.';
COMMENT ON COLUMN keygate_keys.previous_not_after IS 'See current_not_after.';

CREATE FUNCTION keygate_guard_key() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.id IS DISTINCT FROM OLD.id THEN
        RAISE EXCEPTION 'the id of a key is final: its MACs are bound to it'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.revoked_at IS NOT NULL
        AND (NEW.revoked_at IS DISTINCT FROM OLD.revoked_at
            OR NEW.revocation_reason IS DISTINCT FROM OLD.revocation_reason)
    THEN
        RAISE EXCEPTION 'a revocation is final: issue a new key instead'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.version <= OLD.version THEN
        NEW.version := OLD.version + 1;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION keygate_guard_key() IS
    'Raises the version, and keeps what is final about a key.';

CREATE FUNCTION keygate_tell_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed text := 'all';
BEGIN
    IF TG_OP = 'DELETE' THEN
        changed := OLD.id;
    ELSIF TG_OP <> 'TRUNCATE' THEN
        changed := NEW.id;
    END IF;
    PERFORM pg_notify('keygate_' || TG_RELID, changed);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION keygate_tell_change() IS
    'Tells running services which key was changed, on a channel that is named after the table''s OID.';

CREATE TRIGGER keygate_guard BEFORE UPDATE ON keygate_keys
    FOR EACH ROW EXECUTE FUNCTION keygate_guard_key();
CREATE TRIGGER keygate_tell_row AFTER INSERT OR UPDATE OR DELETE ON keygate_keys
    FOR EACH ROW EXECUTE FUNCTION keygate_tell_change();
CREATE TRIGGER keygate_tell_truncate AFTER TRUNCATE ON keygate_keys
    FOR EACH STATEMENT EXECUTE FUNCTION keygate_tell_change();
-- Also while a replication or a restore applies rows.
ALTER TABLE keygate_keys
    ENABLE ALWAYS TRIGGER keygate_guard,
    ENABLE ALWAYS TRIGGER keygate_tell_row,
    ENABLE ALWAYS TRIGGER keygate_tell_truncate;

CREATE TABLE keygate_audit (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz(3) NOT NULL
        CHECK (at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999+00'),
    action text COLLATE "C" NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    actor_key_id text COLLATE "C",
    address inet,
    changes jsonb NOT NULL CHECK (jsonb_typeof(changes) = 'array')
);
CREATE INDEX keygate_audit_of_key ON keygate_audit (key_id, sequence);
CREATE INDEX keygate_audit_of_owner ON keygate_audit (owner, sequence);
CREATE INDEX keygate_audit_of_action ON keygate_audit (action, sequence);
CREATE INDEX keygate_audit_at ON keygate_audit USING brin (at);

COMMENT ON TABLE keygate_audit IS
    'Who changed which key, when and from where, written together with the change.';
COMMENT ON COLUMN keygate_audit.actor_key_id IS
    'The key on whose behalf it was done; NULL: the service itself.';
COMMENT ON COLUMN keygate_audit.changes IS 'The fields that were changed, before and after.';

CREATE TABLE keygate_settings (
    name text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);
COMMENT ON TABLE keygate_settings IS
    'What all services on these keys must agree on, such as the check values of peppers.';
