//! The rows of a table of keys, read and checked before any of them is imported.

use std::collections::HashMap;
use std::io::Read;

use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Trim};
use keygate::{KeyId, ManageError, NewKey, StoredHash, StoredHashError, Timestamp};

use super::columns::{Column, columns};
use crate::arguments::masked;
use crate::commands::traits::{Traits, parse_moment};
use crate::failure::{Failure, in_a_line};

/// So many bad rows are named.
const NAMED: usize = 20;

/// What a row is made of where it does not say it itself.
pub(super) struct Defaults {
    pub(super) owner: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) traits: Traits,
    pub(super) hash: fn(&str) -> Result<StoredHash, StoredHashError>,
}

/// A key to be imported.
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) hash: StoredHash,
    pub(super) new: NewKey,
}

/// What is wrong with rows.
#[derive(Default)]
struct Problems {
    named: Vec<String>,
    count: usize,
}

/// All rows of `input`, of which `check` says the ids that their keys will have.
pub(super) fn read(
    name: &str,
    input: impl Read,
    defaults: &Defaults,
    check: impl Fn(&StoredHash, &NewKey) -> Result<KeyId, ManageError>,
) -> Result<Vec<Row>, Failure> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(input);
    let columns = headings(&mut reader)
        .and_then(|headings| columns(&headings))
        .map_err(|problem| Failure::usage(format!("{name}: {problem}")))?;
    let (mut rows, mut problems) = (Vec::new(), Problems::default());
    let mut lines = HashMap::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) if error.is_io_error() => {
                return Err(Failure::usage(format!("{name} cannot be read")).because(error));
            }
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                problems.add(line, &flaw(&error));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let checked = row(line, &columns, &record, defaults).and_then(|row| {
            let id = check(&row.hash, &row.new).map_err(|error| in_a_line(&error.into()))?;
            match lines.insert(id, line) {
                None => Ok(row),
                Some(first) => Err(format!("the same key stands in line {first}")),
            }
        });
        match checked {
            Ok(row) => rows.push(row),
            Err(problem) => problems.add(line, &problem),
        }
    }
    problems.none_in(name)?;
    Ok(rows)
}

fn headings<R: Read>(reader: &mut Reader<R>) -> Result<StringRecord, String> {
    let headings = reader.headers();
    headings.cloned().map_err(|error| match error.kind() {
        ErrorKind::Io(error) => format!("it cannot be read: {error}"),
        _ => flaw(&error),
    })
}

fn row(
    line: u64,
    columns: &[Column],
    record: &StringRecord,
    defaults: &Defaults,
) -> Result<Row, String> {
    let (mut owner, mut scopes) = (defaults.owner.clone(), defaults.scopes.clone());
    let mut traits = defaults.traits.clone();
    let (mut hash, mut label, mut environment) = (None, None, None);
    let (mut end, mut never) = (None, None);
    for (column, cell) in columns.iter().zip(record) {
        if cell.is_empty() {
            continue;
        }
        match column {
            Column::Hash => hash = Some((defaults.hash)(cell).map_err(|error| error.to_string())?),
            Column::Label => label = Some(cell),
            Column::Owner => owner = Some(cell.into()),
            Column::Name => traits.name = Some(cell.into()),
            Column::Scopes => scopes = words(cell),
            Column::Environment => environment = Some(cell),
            Column::ExpiresAt => {
                end = Some(parse_moment(cell).map_err(|problem| format!("expires_at: {problem}"))?);
            }
            Column::NeverExpires => never = Some(truth(cell)?),
            Column::AllowedIps => traits.allow_ip = words(cell),
            Column::Metadata(name) => {
                traits.metadata.retain(|(own, _)| own != name);
                traits.metadata.push((name.clone(), cell.into()));
            }
        }
    }
    let traits = ending(traits, end, never)?;
    let hash = hash.ok_or("it has no hash")?;
    let owner = owner.ok_or("it has no owner: write it into the column owner, or give --owner")?;
    let mut new = traits.of_new(NewKey::for_owner(owner)).scopes(scopes);
    if let Some(environment) = environment {
        new = new.environment(environment);
    }
    Ok(Row {
        line,
        hash: match label {
            Some(label) => hash.labelled(label),
            None => hash,
        },
        new,
    })
}

/// What a row says of its end takes the place of what the flags say.
fn ending(
    mut traits: Traits,
    end: Option<Timestamp>,
    never: Option<bool>,
) -> Result<Traits, String> {
    match (end, never) {
        (Some(_), Some(true)) => return Err("it has expires_at, and never expires".into()),
        (Some(_), _) | (_, Some(true)) => (traits.expires_in, traits.expires_at) = (None, end),
        (None, _) => {}
    }
    traits.never_expires = never.unwrap_or(traits.never_expires && end.is_none());
    Ok(traits)
}

fn words(cell: &str) -> Vec<String> {
    cell.split_whitespace().map(Into::into).collect()
}

fn truth(cell: &str) -> Result<bool, String> {
    match cell.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "1" => Ok(true),
        "false" | "f" | "no" | "0" => Ok(false),
        _ => Err("never_expires: write true or false".into()),
    }
}

/// Without what stands in the row.
fn flaw(error: &csv::Error) -> String {
    match error.kind() {
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("it has {len} cells, and there are {expected_len} columns"),
        ErrorKind::Utf8 { .. } => "it is not UTF-8".into(),
        _ => "it is no CSV".into(),
    }
}

impl Problems {
    /// What is wrong with a value shows it, and it may stand in the wrong column.
    fn add(&mut self, line: u64, problem: &str) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(format!("line {line}: {}", masked(problem)));
        }
    }

    fn none_in(self, name: &str) -> Result<(), Failure> {
        if self.count == 0 {
            return Ok(());
        }
        let failure = Failure::usage(format!("nothing of {name} was imported: mend it first"));
        let failure = self.named.iter().fold(failure, Failure::line);
        Err(match self.count - self.named.len() {
            0 => failure,
            more => failure.line(format!("and {more} more")),
        })
    }
}
