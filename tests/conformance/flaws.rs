//! For each case, a store that breaks its clause.

mod adds;
mod feeds;
mod stores;
mod usage;

use feeds::*;
use keygate::audit::Actor;
use keygate::store::AuditQuery;
use keygate::store::{Expect, Page};
use keygate::{KeyId, KeyRecord, StoreErrorKind, Timestamp};
use stores::*;
pub(crate) use stores::{Judges, Remembers};

use crate::mutant::{Flaw, judge};

pub(crate) type Entry = (&'static str, fn() -> Box<dyn Flaw>);

/// Each case by its name, with a store that it must catch.
pub(crate) fn all() -> Vec<Entry> {
    [
        atomicity(),
        expectations(),
        finality(),
        fidelity(),
        order(),
        lost(),
        audit(),
        recorded(),
        settings(),
        feed(),
        usage::all(),
    ]
    .concat()
}

/// Those that show whenever they are looked for.
pub(crate) fn lasting() -> Vec<Entry> {
    [expectations(), finality(), fidelity(), order(), audit()].concat()
}

#[rustfmt::skip]
fn atomicity() -> Vec<Entry> {
    vec![
        ("of concurrent creates of one id exactly one succeeds, the others fail as Taken", || Box::new(ChecksFirst)),
        ("of concurrent changes of one version exactly one succeeds, the others fail as Stale", || Box::new(ChecksFirst)),
        ("of concurrent rotations of one secret exactly one succeeds, with both its secrets", || Box::new(Judges(|contents, expect, record| {
            let stored = contents.records.get(&record.id);
            let rotates = record.secrets.previous.is_some();
            judge(raised(expect, stored, |expected, stored| rotates && expected < stored), stored, record)
        }))),
        ("concurrent changes of different records all happen", || Box::new(WritesEverything)),
        ("a read during a change sees the record before it or after it, and no mixture", || Box::new(WritesInTwoSteps)),
        ("a write that happens keeps all its audit events", || Box::new(KeepsOneEvent)),
        ("a write that is refused keeps none of its audit events", || Box::new(LogsFirst)),
        ("of concurrent changes, the audit log has the events of the one that succeeded", || Box::new(LogsFirst)),
        ("a create that is dropped happened whole or not at all", || Box::new(WritesInTwoSteps)),
        ("a change that is dropped happened whole or not at all", || Box::new(WritesInTwoSteps)),
        ("a write that is dropped keeps its audit events if it happened, and else none", || Box::new(LogsLast)),
        ("the store goes on after a get or a list was dropped", || Box::<StaysBusy>::default()),
        ("a get after a create sees the record, also when the id was read as unknown before", || Box::<Remembers>::default()),
        ("a get after a change sees the record as it is now, whoever changed it", || Box::<Remembers>::default()),
        ("a get after a revocation sees it, also when another get was under way meanwhile", || Box::<FillsLate>::default()),
    ]
}

#[rustfmt::skip]
fn expectations() -> Vec<Entry> {
    vec![
        ("Absent holds for every id that is not stored, byte for byte", || Box::new(Judges(|contents, expect, record| {
            let taken = contents.records.keys().any(|id| alike(id, &record.id));
            match expect {
                Expect::Absent if taken => Err(StoreErrorKind::Taken),
                _ => contents.judge(expect, record),
            }
        }))),
        ("Absent fails as Taken when the id exists, and changes nothing", || Box::new(Judges(|contents, expect, record| match expect {
            Expect::Absent => Ok(()),
            _ => contents.judge(expect, record),
        }))),
        ("Version holds when it is the stored version", || Box::new(Judges(|contents, expect, record| match expect {
            Expect::Version(2..) => Err(StoreErrorKind::Stale),
            _ => contents.judge(expect, record),
        }))),
        ("Version fails as Stale when the stored version is higher, and changes nothing", || Box::new(Judges(|contents, expect, record| {
            let stored = contents.records.get(&record.id);
            judge(raised(expect, stored, |expected, stored| expected < stored), stored, record)
        }))),
        ("Version fails as Stale when the stored version is lower, and changes nothing", || Box::new(Judges(|contents, expect, record| {
            let stored = contents.records.get(&record.id);
            judge(raised(expect, stored, |expected, stored| expected > stored), stored, record)
        }))),
        ("Version fails as Stale when the id is unknown, and creates nothing", || Box::new(Judges(|contents, expect, record| {
            let unknown = !contents.records.contains_key(&record.id);
            match expect {
                Expect::Version(0) if unknown => Ok(()),
                _ => contents.judge(expect, record),
            }
        }))),
        ("a write changes no other record", || Box::new(ChangesAlike)),
        ("a version is kept as it is given, also when it does not begin at 1 or jumps", || Box::new(Keeps(|record| record.version = (record.version as u32).into()))),
        ("large versions next to each other are told apart", || Box::new(Keeps(|record| record.version = record.version as f64 as u64))),
        ("get of an unknown id is Ok(None)", || Box::new(FailsOnUnknown)),
        ("an id that differs from a stored one in case alone is unknown", || Box::new(GetsAlike)),
        ("list of nothing is an empty page", || Box::new(FailsOnEmptyPages)),
    ]
}

#[rustfmt::skip]
fn finality() -> Vec<Entry> {
    vec![
        ("a write that would clear a revocation is refused as Stale", || Box::new(Revokes(|_, after| after.revocation.is_none()))),
        ("a write that would alter the moment of a revocation is refused as Stale", || Box::new(Revokes(|before, after| {
            let reason = |record: &KeyRecord| record.revocation.clone().map(|r| r.reason);
            reason(before) == reason(after)
        }))),
        ("a write that would alter the reason of a revocation is refused as Stale", || Box::new(Revokes(|before, after| {
            let moment = |record: &KeyRecord| record.revocation.clone().map(|r| r.at);
            moment(before) == moment(after)
        }))),
        ("a revocation at the earliest moment, without a reason, is one", || Box::new(Keeps(|record| {
            record.revocation.take_if(|revocation| revocation.at == Timestamp::MIN);
        }))),
        ("the id of a revoked key is not free again", || Box::new(Judges(|contents, expect, record| {
            let ended = contents.records.get(&record.id).is_some_and(|r| r.revocation.is_some());
            match expect {
                Expect::Absent if ended => Ok(()),
                _ => contents.judge(expect, record),
            }
        }))),
        ("a write that leaves the revocation as it is happens", || Box::new(Judges(|contents, expect, record| {
            let ended = contents.records.get(&record.id).is_some_and(|r| r.revocation.is_some());
            match expect {
                Expect::Version(_) if ended => Err(StoreErrorKind::Stale),
                _ => contents.judge(expect, record),
            }
        }))),
    ]
}

#[rustfmt::skip]
fn fidelity() -> Vec<Entry> {
    vec![
        ("a record with every field set is returned as it was written", || Box::new(Keeps(|record| record.rate_limit = None))),
        ("fields that are absent or empty come back absent or empty", || Box::new(Keeps(|record| {
            if record.name.is_empty() {
                record.name = "unnamed".into();
            }
        }))),
        ("a record whose fields are as large as they can be is returned as it was written", || Box::new(Keeps(|record| {
            record.name.truncate(128);
        }))),
        ("text is kept byte for byte", || Box::new(Keeps(|record| record.owner = record.owner.replace("e\u{301}", "é")))),
        ("moments are kept to the millisecond, from the earliest to the latest", || Box::new(Keeps(|record| {
            let seconds = record.created_at.as_unix_millis() / 1_000;
            record.created_at = Timestamp::from_unix_millis(seconds * 1_000).unwrap();
        }))),
        ("the two secrets keep their slots and all bytes of their MACs", || Box::new(Keeps(|record| {
            if let Some(previous) = &mut record.secrets.previous {
                previous.mac = record.secrets.current.mac;
            }
        }))),
        ("a change replaces every field, also with nothing", || Box::new(Coalesces)),
        ("list returns records in every field, as get does", || Box::new(Lists(|contents, page| {
            let mut listed = contents.list(page);
            listed.iter_mut().for_each(|record| record.metadata.clear());
            listed
        }))),
    ]
}

#[rustfmt::skip]
fn order() -> Vec<Entry> {
    vec![
        ("list is in ascending byte order of the ids", || Box::new(Lists(|contents, page| {
            let mut listed = contents.list(page);
            listed.sort_by_key(|record| record.id.as_str().to_lowercase());
            listed
        }))),
        ("a page begins after its id, whether that is stored or not", || Box::new(Lists(|contents, page| match page.after {
            Some(id) if !contents.records.contains_key(&id) => Vec::new(),
            _ => contents.list(page),
        }))),
        ("a page has as many records as its limit, and fewer only at the end", || Box::new(Lists(|contents, page| {
            contents.list(&Page { limit: page.limit.min(4), ..*page })
        }))),
        ("the largest limit of all is one", || Box::new(Lists(|contents, page| {
            contents.list(&Page { limit: as_signed(page.limit), ..*page })
        }))),
        ("pages over more than a hundred records have each of them once", || Box::new(Lists(|contents, page| {
            contents.list(&Page { limit: page.limit.min(100), ..*page })
        }))),
        ("with an owner, list has that owner's records alone, compared byte for byte", || Box::new(Lists(|contents, page| {
            let of_all = contents.list(&Page { owner: None, limit: usize::MAX, ..*page });
            let of_owner = |record: &KeyRecord| page.owner.is_none_or(|owner| owner.trim_end() == record.owner.trim_end());
            of_all.into_iter().filter(of_owner).take(page.limit).collect()
        }))),
        ("with an owner, pages are filled from that owner's records", || Box::new(Lists(|contents, page| {
            let of_all = contents.list(&Page { owner: None, ..*page });
            of_all.into_iter().filter(|record| page.owner.is_none_or(|owner| owner == record.owner)).collect()
        }))),
        ("a changed record is listed once, as it is now", || Box::new(Lists(|contents, page| {
            // The column of the owner is written by the create, and by no change.
            let of_all = contents.list(&Page { owner: None, limit: usize::MAX, ..*page });
            let column = |record: &KeyRecord| if record.version > 1 { "org_1".into() } else { record.owner.clone() };
            of_all.into_iter().filter(|record| page.owner.is_none_or(|owner| owner == column(record))).take(page.limit).collect()
        }))),
    ]
}

#[rustfmt::skip]
fn audit() -> Vec<Entry> {
    vec![
        ("an event is returned as it was written, in every field", || Box::new(KeepsEvents(|event| event.address = None))),
        ("events come the oldest first", || Box::new(Logs(|contents, query| {
            let mut page = contents.events(query)?;
            page.events.reverse();
            Ok(page)
        }))),
        ("with a key, there are that key's events alone, compared byte for byte", || Box::new(Logs(|contents, query| {
            let any_key = AuditQuery { key_id: None, ..query.clone() };
            contents.events_where(query, |event| any_key.selects(event) && query.key_id.is_none_or(|id| event.key_id.is_some_and(|of| alike(&id, &of))))
        }))),
        ("with an owner, there are that owner's events alone, compared byte for byte", || Box::new(Logs(|contents, query| {
            let any_owner = AuditQuery { owner: None, ..query.clone() };
            contents.events_where(query, |event| any_owner.selects(event)
                && query.owner.as_ref().is_none_or(|owner| event.owner.as_ref().is_some_and(|of| owner.eq_ignore_ascii_case(of))))
        }))),
        ("with an action, there are events of that action alone", || Box::new(Logs(|contents, query| {
            let any_action = AuditQuery { action: None, ..query.clone() };
            contents.events_where(query, |event| any_action.selects(event)
                && query.action.is_none_or(|action| event.action.as_str()[..5] == action.as_str()[..5]))
        }))),
        ("a time range has its beginning and not its end", || Box::new(Logs(|contents, query| {
            let open = AuditQuery { until: None, ..query.clone() };
            contents.events_where(query, |event| open.selects(event) && query.until.is_none_or(|until| event.at <= until))
        }))),
        ("of several conditions, all must hold", || Box::new(Logs(|contents, query| match query.key_id {
            None => contents.events(query),
            Some(id) => contents.events_where(query, |event| event.key_id == Some(id)),
        }))),
        ("pages have as many events as their limit, each event once, and no next one at the end", || Box::new(Logs(|contents, query| {
            let mut page = contents.events(query)?;
            if page.events.len() == query.limit {
                page.next.get_or_insert(contents.events.next.to_string());
            }
            Ok(page)
        }))),
        ("the largest limit of all is one of events too", || Box::new(Logs(|contents, query| {
            contents.events(&AuditQuery { limit: as_signed(query.limit), ..query.clone() })
        }))),
        ("a cursor that the store did not give fails as Corrupt", || Box::new(Logs(|contents, query| {
            let number = query.after.clone().filter(|cursor| cursor.parse::<usize>().is_ok());
            contents.events(&AuditQuery { after: number, ..query.clone() })
        }))),
    ]
}

#[rustfmt::skip]
fn recorded() -> Vec<Entry> {
    vec![
        ("a recorded event is returned as it was written, in every field", || Box::new(KeepsEvents(|event| if event.actor == Actor::Stranger {
            event.actor = Actor::Host;
        }))),
        ("what is recorded twice is there twice, and of nothing there is nothing", || Box::new(RecordsOnce)),
        ("events of a record that is dropped are there all or none", || Box::new(RecordsInSteps)),
        ("with a kind, there are events of that kind alone", || Box::new(Logs(|contents, query| {
            // The index has no kinds, and the page is full before they are looked at.
            let mut page = contents.events(&AuditQuery { kind: None, ..query.clone() })?;
            page.events.retain(|event| query.key_id.is_some() || query.selects(event));
            Ok(page)
        }))),
        ("an event of no key and no owner is found with no key and with no owner", || Box::new(Logs(|contents, query| {
            let of_all = AuditQuery { key_id: None, ..query.clone() };
            contents.events_where(query, |event| of_all.selects(event) && (event.key_id.is_none() || query.selects(event)))
        }))),
        ("events of one kind from before a moment are forgotten, and nothing else", || Box::new(Forgets(|log, kind, moment, limit| {
            log.forget(limit, |event| event.action.kind() == kind && event.at <= moment)
        }))),
        ("at most as many events are forgotten as the limit, and it is said how many", || Box::new(Forgets(|log, kind, moment, _| {
            log.forget(usize::MAX, |event| event.action.kind() == kind && event.at < moment)
        }))),
        ("a cursor goes on where it was when events before it are forgotten", || Box::new(Forgets(|log, kind, moment, limit| {
            let forgotten = log.forget(limit, |event| event.action.kind() == kind && event.at < moment);
            // A cursor is the position of an event.
            log.kept = std::mem::take(&mut log.kept).into_values().enumerate().collect();
            forgotten
        }))),
        ("what is recorded after all was forgotten comes after every cursor", || Box::new(Forgets(|log, kind, moment, limit| {
            let forgotten = log.forget(limit, |event| event.action.kind() == kind && event.at < moment);
            log.next = log.kept.keys().next_back().map_or(0, |last| last + 1);
            forgotten
        }))),
    ]
}

#[rustfmt::skip]
fn settings() -> Vec<Entry> {
    vec![
        ("a name that was never set is Ok(None)", || Box::new(ReadsUnset)),
        ("a value is kept byte for byte, and an empty one is a value", || Box::new(Sets(|contents, name, expected, value| {
            contents.set(name, expected, String::from_utf8_lossy(value).as_bytes())
        }))),
        ("names are compared byte for byte", || Box::new(TrimsNames)),
        ("a value is set when the name holds what is expected", || Box::new(Sets(|contents, name, expected, value| match expected {
            Some(expected) if expected == value => Err(StoreErrorKind::Stale.into()),
            _ => contents.set(name, expected, value),
        }))),
        ("setting fails as Stale when the name holds something else, and changes nothing", || Box::new(Sets(|contents, name, expected, value| {
            let kept = contents.settings.get(name).cloned();
            match (kept, expected) {
                // Empty is taken for unset.
                (Some(kept), None) if kept.is_empty() => contents.set(name, Some(b""), value),
                _ => contents.set(name, expected, value),
            }
        }))),
        ("of concurrent settings of one name exactly one succeeds, the others fail as Stale", || Box::new(SetsLater)),
    ]
}

#[rustfmt::skip]
fn lost() -> Vec<Entry> {
    vec![
        ("after the answer of a create was lost, a get tells whether it happened, and it happens once", || Box::new(Judges(|contents, expect, record| match expect {
            Expect::Absent if contents.records.get(&record.id) == Some(record) => Ok(()),
            _ => contents.judge(expect, record),
        }))),
        ("after the answer of a change was lost, a get tells whether it happened, and it happens once", || Box::new(Judges(|contents, expect, record| match expect {
            Expect::Version(_) if contents.records.get(&record.id) == Some(record) => Ok(()),
            _ => contents.judge(expect, record),
        }))),
        ("a write whose answer was lost, and that was asked for again, has its audit events once", || Box::new(LogsFirst)),
    ]
}

#[rustfmt::skip]
fn feed() -> Vec<Entry> {
    vec![
        ("a change, whoever made it, is told before a heartbeat that is begun after it", || Box::new(BeatsLate)),
        ("a new record is told too, and so is a revocation", || Box::new(TellsUpdates)),
        ("of many changes at once, each is told", || Box::new(TellsTheLast)),
        ("a get after a change was told sees it, also before it was acknowledged", || Box::new(TellsFirst)),
        ("heartbeats come through while nothing is changed", || Box::new(BeatsWithChanges)),
        ("following can be dropped at any point, and taken up again", || Box::<FollowedOnce>::default()),
    ]
}

fn alike(one: &KeyId, other: &KeyId) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

/// As a cast to the signed integers of a database does.
fn as_signed(limit: usize) -> usize {
    usize::try_from(limit as i64).unwrap_or(0)
}

/// Where `lenient` says so, the expectation becomes one that holds.
fn raised(
    expect: Expect,
    stored: Option<&KeyRecord>,
    lenient: impl Fn(u64, u64) -> bool,
) -> Expect {
    match (expect, stored) {
        (Expect::Version(expected), Some(stored)) if lenient(expected, stored.version) => {
            Expect::Version(stored.version)
        }
        _ => expect,
    }
}
