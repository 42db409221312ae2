-- After 0002_usage.sql, by hand, into the schema that it was run in:
--   psql --single-transaction --set ON_ERROR_STOP=1 \
--     --command 'SET search_path = auth' --file 0003_audit.sql
-- For another table prefix, replace keygate_ throughout.

INSERT INTO keygate_migrations (number) VALUES (3);

-- Requests that were accepted or refused are events too: some are of no key that was proved. What has
-- a default, services of before leave out.

ALTER TABLE keygate_audit
    ALTER COLUMN key_id DROP NOT NULL,
    ALTER COLUMN owner DROP NOT NULL,
    ADD COLUMN kind text COLLATE "C" NOT NULL DEFAULT 'lifecycle'
        CHECK (kind IN ('lifecycle', 'authentication')),
    ADD COLUMN actor_user text COLLATE "C",
    ADD COLUMN actor_unknown boolean NOT NULL DEFAULT false,
    ADD COLUMN requests bigint CHECK (requests >= 0),
    ADD COLUMN last_at timestamptz(3)
        CHECK (last_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999+00'),
    ADD COLUMN code text COLLATE "C",
    ADD CHECK (num_nonnulls(actor_key_id, actor_user, nullif(actor_unknown, false)) <= 1),
    ADD CHECK (num_nulls(requests, last_at) IN (0, 2) AND (requests IS NOT NULL OR code IS NULL));

CREATE INDEX keygate_audit_of_kind ON keygate_audit (kind, sequence);
CREATE INDEX keygate_audit_oldest ON keygate_audit (kind, at);

COMMENT ON TABLE keygate_audit IS
    'Who changed which key, when and from where, written together with the change; and which requests '
    'were accepted and refused. Events of long ago are removed by the running services, or by hand.';
COMMENT ON COLUMN keygate_audit.at IS 'When it happened; of requests, when the first of them came.';
COMMENT ON COLUMN keygate_audit.key_id IS 'NULL: requests were refused that proved to be of no key.';
COMMENT ON COLUMN keygate_audit.kind IS
    'lifecycle: a change of a key; authentication: requests.';
COMMENT ON COLUMN keygate_audit.actor_key_id IS
    'The key on whose behalf it was done; NULL, as actor_user, and not unknown: the service itself.';
COMMENT ON COLUMN keygate_audit.actor_user IS 'The person who did it, as the service names them.';
COMMENT ON COLUMN keygate_audit.actor_unknown IS 'true: nobody knows who sent these requests.';
COMMENT ON COLUMN keygate_audit.requests IS 'How many requests this event stands for.';
COMMENT ON COLUMN keygate_audit.last_at IS 'When the last of them came.';
COMMENT ON COLUMN keygate_audit.code IS 'Why they were refused.';
