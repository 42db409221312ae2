use crate::store::postgres::link::Sql;
use crate::store::postgres::names::Names;
use crate::store::postgres::statements::DURABLE;

pub(in crate::store::postgres) struct UsageStatements {
    /// With the values of a batch.
    pub(super) add: Sql,
    pub(super) of_keys: Sql,
    /// Of whom, and from which day to which.
    pub(super) days_of_key: Sql,
    pub(super) days_of_owner: Sql,
    pub(super) owners_on: Sql,
    /// Which day, and how many rows at most.
    pub(super) forget_before: Sql,
}

/// What is kept when `excluded` is added, as far as a bigint goes.
const SUM: &str =
    "LEAST(kept.requests, 9223372036854775807 - excluded.requests) + excluded.requests";

/// As a bigint, which a sum of them may not be.
const TOTAL: &str = "LEAST(sum(requests), 9223372036854775807)::bigint AS requests";

impl UsageStatements {
    pub(in crate::store::postgres) fn new(names: &Names) -> Self {
        let days = names.usage_days();
        Self {
            add: add(names).into(),
            of_keys: of_keys(names).into(),
            days_of_key: days_of(&days, "key_id").into(),
            days_of_owner: days_of(&days, "owner").into(),
            owners_on: format!(
                "SELECT owner, {TOTAL} FROM {days} AS days
                 WHERE day = {day} AND owner >= coalesce($2::text, '')
                    AND owner IS DISTINCT FROM $2::text
                 GROUP BY owner HAVING sum(requests) > 0 ORDER BY owner LIMIT $3::bigint",
                day = day(1),
            )
            .into(),
            // In the order in which days are added to.
            forget_before: format!(
                "WITH {DURABLE}, old AS (
                    SELECT key_id, day FROM {days} AS days WHERE day < {day}
                    ORDER BY day, owner, key_id LIMIT $2::bigint FOR UPDATE),
                 forgotten AS (
                    DELETE FROM {days} AS days USING old
                    WHERE days.key_id = old.key_id AND days.day = old.day RETURNING days.day)
                 SELECT (SELECT count(*) FROM forgotten) AS forgotten FROM durable",
                day = day(1),
            )
            .into(),
        }
    }
}

/// The parameter with this number, which is a number of days, as a date.
fn day(parameter: usize) -> String {
    format!("(date '1970-01-01' + ${parameter}::integer)")
}

/// Adds a batch that is newer than the last of its instance; answers whether it was.
///
/// The rows of keys are taken first, in the order of their ids. Whoever holds them adds to the rest
/// alone, so batches on the same keys wait for each other, and never in a circle.
fn add(names: &Names) -> String {
    format!(
        "WITH {DURABLE}, batch AS (
            INSERT INTO {batches} AS kept (instance, sequence, added_at)
            VALUES ($1::text::uuid, $2::bigint, now())
            ON CONFLICT (instance) DO UPDATE
            SET sequence = excluded.sequence, added_at = excluded.added_at
            WHERE kept.sequence < excluded.sequence RETURNING instance),
         keys AS (
            INSERT INTO {keys} AS kept (key_id, requests, last_used_at, last_used_from)
            SELECT key_id, requests, last_at, address::inet
            FROM unnest($3::text[], $4::bigint[], $5::timestamptz[], $6::text[])
                AS counted (key_id, requests, last_at, address)
            WHERE EXISTS (SELECT FROM batch) ORDER BY key_id COLLATE \"C\"
            ON CONFLICT (key_id) DO UPDATE SET requests = {SUM},
                last_used_at = GREATEST(kept.last_used_at, excluded.last_used_at),
                last_used_from = CASE WHEN excluded.last_used_at >= kept.last_used_at
                    THEN excluded.last_used_from ELSE kept.last_used_from END
            RETURNING key_id),
         days AS (
            INSERT INTO {days} AS kept (key_id, day, owner, requests)
            SELECT key_id, date '1970-01-01' + day, owner, requests
            FROM unnest($7::text[], $8::integer[], $9::text[], $10::bigint[])
                AS counted (key_id, day, owner, requests)
            WHERE {all_taken} ORDER BY day, owner COLLATE \"C\", key_id COLLATE \"C\"
            ON CONFLICT (key_id, day) DO UPDATE SET requests = {SUM}),
         scopes AS (
            INSERT INTO {scopes} AS kept (key_id, scope, lacked, requests, last_at)
            SELECT * FROM unnest($11::text[], $12::text[], $13::boolean[], $14::bigint[],
                $15::timestamptz[])
            WHERE {all_taken}
            ON CONFLICT (key_id, scope, lacked) DO UPDATE SET requests = {SUM},
                last_at = GREATEST(kept.last_at, excluded.last_at)),
         secrets AS (
            INSERT INTO {secrets} AS kept (key_id, created_at, requests, last_used_at)
            SELECT * FROM unnest($16::text[], $17::timestamptz[], $18::bigint[], $19::timestamptz[])
            WHERE {all_taken}
            ON CONFLICT (key_id, created_at) DO UPDATE SET requests = {SUM},
                last_used_at = GREATEST(kept.last_used_at, excluded.last_used_at)),
         past AS (
            SELECT instance FROM {batches} AS batches
            WHERE added_at < now() - interval '32 days' AND instance <> $1::text::uuid
            LIMIT 100 FOR UPDATE SKIP LOCKED),
         pruned AS (
            DELETE FROM {batches} AS batches USING past WHERE batches.instance = past.instance)
         SELECT (SELECT count(*) FROM batch) AS written FROM durable",
        batches = names.usage_batches(),
        keys = names.usage(),
        days = names.usage_days(),
        scopes = names.usage_scopes(),
        secrets = names.usage_secrets(),
        all_taken = "(SELECT count(*) FROM keys) > 0",
    )
}

/// Of each key the whole, and then its scopes and secrets.
fn of_keys(names: &Names) -> String {
    format!(
        "SELECT key_id, 'key' AS part, requests, last_used_at AS last_at,
            host(last_used_from) AS address, NULL::text AS scope, NULL::timestamptz AS created_at
         FROM {keys} AS keys WHERE key_id = ANY($1::text[])
         UNION ALL
         SELECT key_id, CASE WHEN lacked THEN 'lacked' ELSE 'scope' END, requests, last_at, NULL,
            scope, NULL
         FROM {scopes} AS scopes WHERE key_id = ANY($1::text[])
         UNION ALL
         SELECT key_id, 'secret', requests, last_used_at, NULL, NULL, created_at
         FROM {secrets} AS secrets WHERE key_id = ANY($1::text[])
         ORDER BY part, scope, created_at",
        keys = names.usage(),
        scopes = names.usage_scopes(),
        secrets = names.usage_secrets(),
    )
}

fn days_of(days: &str, whose: &str) -> String {
    format!(
        "SELECT (day - date '1970-01-01')::bigint AS day, {TOTAL} FROM {days} AS days
         WHERE {whose} = $1::text AND day BETWEEN {first} AND {last}
         GROUP BY days.day HAVING sum(requests) > 0 ORDER BY days.day",
        first = day(2),
        last = day(3),
    )
}
