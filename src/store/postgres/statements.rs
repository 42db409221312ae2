//! What is asked of the database. Everything that is done is one statement each.

use super::link::{ANSWERED_BY, Sql};
use super::names::Names;
use super::rows::{COLUMNS, parameter, selected};
use super::usage::UsageStatements;
use crate::record::FORMAT;

pub(super) struct Statements {
    pub(super) find: Sql,
    pub(super) list: Sql,
    pub(super) list_of_owner: Sql,
    /// With the values of a record, and its audit events.
    pub(super) insert: Sql,
    /// With the same, and the version that is expected.
    pub(super) update: Sql,
    pub(super) setting: Sql,
    pub(super) make_setting: Sql,
    pub(super) change_setting: Sql,
    /// Without conditions.
    pub(super) events: Sql,
    /// With events that come with no record.
    pub(super) record_events: Sql,
    /// With a kind, a moment, and how many at most.
    pub(super) forget_events: Sql,
    pub(super) usage: UsageStatements,
}

/// The parameters behind those of a record.
const AUDIT: usize = COLUMNS.len() + 1;
const EXPECTED: usize = COLUMNS.len() + 2;

const IF_WRITTEN: &str = "EXISTS (SELECT FROM written)";

/// Commits what is written so that a crash of the server cannot undo it, whatever the session says.
pub(super) const DURABLE: &str = "durable AS MATERIALIZED (SELECT set_config('synchronous_commit',
    CASE WHEN current_setting('synchronous_commit') IN ('on', 'remote_apply')
        THEN current_setting('synchronous_commit') ELSE 'on' END, true))";

impl Statements {
    pub(super) fn new(names: &Names) -> Self {
        let keys = names.keys();
        let settings = names.settings();
        let select = select(&keys);
        Self {
            find: format!(
                "SELECT {ANSWERED_BY}, keys.* FROM (SELECT) AS asked
                 LEFT JOIN ({select} WHERE keys.id = $1) AS keys ON true"
            )
            .into(),
            list: format!("{select} WHERE keys.id > $1 ORDER BY keys.id LIMIT $2").into(),
            list_of_owner: format!(
                "{select} WHERE keys.owner = $3 AND keys.id > $1 ORDER BY keys.id LIMIT $2"
            )
            .into(),
            insert: insert(names).into(),
            update: update(names).into(),
            setting: format!(
                "SELECT {ANSWERED_BY}, settings.value FROM (SELECT) AS asked
                 LEFT JOIN {settings} AS settings ON settings.name = $1"
            )
            .into(),
            make_setting: format!(
                "WITH {DURABLE}, written AS (
                    INSERT INTO {settings} (name, value) VALUES ($1, $2)
                    ON CONFLICT (name) DO NOTHING RETURNING name)
                 SELECT (SELECT count(*) FROM written) AS written FROM durable"
            )
            .into(),
            change_setting: format!(
                "WITH {DURABLE}, written AS (
                    UPDATE {settings} SET value = $2 WHERE name = $1 AND value = $3 RETURNING name)
                 SELECT (SELECT count(*) FROM written) AS written FROM durable"
            )
            .into(),
            events: events(&names.audit()).into(),
            record_events: log(names, 1, "true").into(),
            forget_events: forget_events(&names.audit()).into(),
            usage: UsageStatements::new(names),
        }
    }
}

fn select(keys: &str) -> String {
    let columns: Vec<String> = COLUMNS.iter().map(|column| selected(column)).collect();
    format!("SELECT {} FROM {keys} AS keys", columns.join(", "))
}

fn events(audit: &str) -> String {
    format!(
        "SELECT sequence, at, action, key_id, owner, actor_key_id, actor_user, actor_unknown,
            host(address) AS address, changes::text AS changes, requests, last_at, code
         FROM {audit} AS audit"
    )
}

/// Answers how many records were written: none where the id exists.
fn insert(names: &Names) -> String {
    let columns = COLUMNS.join(", ");
    let values: Vec<String> = numbered().map(|(n, column)| parameter(column, n)).collect();
    let values = values.join(", ");
    format!(
        "WITH {DURABLE}, written AS (
            INSERT INTO {keys} ({columns}) VALUES ({values})
            ON CONFLICT (id) DO NOTHING RETURNING id),
         logged AS ({logged})
         SELECT (SELECT count(*) FROM written) AS written FROM durable",
        keys = names.keys(),
        logged = log(names, AUDIT, IF_WRITTEN),
    )
}

/// Answers how many records were written, and what is stored: as of the beginning, so a change that
/// came in between shows in the count alone.
fn update(names: &Names) -> String {
    let keys = names.keys();
    let set: Vec<String> = numbered()
        .skip(1)
        .map(|(n, column)| format!("{column} = {}", parameter(column, n)))
        .collect();
    let set = set.join(", ");
    let value = |column| {
        let number = numbered().find(|(_, each)| *each == column);
        number.map_or_else(String::new, |(n, column)| parameter(column, n))
    };
    let keeps_revocation = format!(
        "(keys.revoked_at IS NULL OR (keys.revoked_at IS NOT DISTINCT FROM {at}
            AND keys.revocation_reason = {reason}))",
        at = value("revoked_at"),
        reason = value("revocation_reason"),
    );
    format!(
        "WITH {DURABLE}, written AS (
            UPDATE {keys} AS keys SET {set}
            WHERE keys.id = $1 AND keys.version = ${EXPECTED} AND keys.version < {version}
                AND keys.format BETWEEN 1 AND {FORMAT} AND {keeps_revocation}
            RETURNING keys.id),
         logged AS ({logged})
         SELECT (SELECT count(*) FROM written) AS written, keys.version,
            keys.format::bigint AS format, {keeps_revocation} AS keeps_revocation
         FROM durable LEFT JOIN {keys} AS keys ON keys.id = $1",
        version = value("version"),
        logged = log(names, AUDIT, IF_WRITTEN),
    )
}

/// Keeps the events of a parameter, in their order.
fn log(names: &Names, parameter: usize, condition: &str) -> String {
    format!(
        "INSERT INTO {audit} (at, action, kind, key_id, owner, actor_key_id, actor_user,
            actor_unknown, address, changes, requests, last_at, code)
         SELECT (event->>'at')::timestamptz, event->>'action', event->>'kind', event->>'key_id',
            event->>'owner', event->'actor'->>'key', event->'actor'->>'user',
            event->>'actor' = 'stranger', (event->>'address')::inet, event->'changes',
            CASE WHEN requests->'count' IS NOT NULL
                THEN LEAST((requests->>'count')::numeric, 9223372036854775807)::bigint END,
            (requests->>'last_at')::timestamptz, requests->>'code'
         FROM jsonb_array_elements(${parameter}::text::jsonb)
            WITH ORDINALITY AS events (event, place),
            LATERAL (SELECT event->'requests' AS requests) AS counted
         WHERE {condition} ORDER BY place",
        audit = names.audit(),
    )
}

/// Answers how many were forgotten.
fn forget_events(audit: &str) -> String {
    format!(
        "WITH old AS MATERIALIZED (
            SELECT sequence FROM {audit} AS audit WHERE kind = $1 AND at < $2
            ORDER BY at LIMIT $3::bigint),
         forgotten AS (
            DELETE FROM {audit} AS audit USING old
            WHERE audit.sequence = old.sequence RETURNING audit.sequence)
         SELECT count(*) AS forgotten FROM forgotten"
    )
}

fn numbered() -> impl Iterator<Item = (usize, &'static str)> {
    COLUMNS
        .iter()
        .enumerate()
        .map(|(n, column)| (n + 1, *column))
}
