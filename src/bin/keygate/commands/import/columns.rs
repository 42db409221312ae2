//! The columns that a table of keys can have.

use csv::StringRecord;

use crate::arguments::masked;

const METADATA: &str = "metadata.";

#[derive(Clone, PartialEq)]
pub(super) enum Column {
    Hash,
    Label,
    Owner,
    Name,
    Scopes,
    Environment,
    ExpiresAt,
    NeverExpires,
    AllowedIps,
    /// The note with this name.
    Metadata(String),
}

const NAMES: [(&str, Column); 9] = [
    ("hash", Column::Hash),
    ("label", Column::Label),
    ("owner", Column::Owner),
    ("name", Column::Name),
    ("scopes", Column::Scopes),
    ("environment", Column::Environment),
    ("expires_at", Column::ExpiresAt),
    ("never_expires", Column::NeverExpires),
    ("allowed_ips", Column::AllowedIps),
];

/// What the headings say. An unknown one is not passed over: it may be a restriction, misspelt.
pub(super) fn columns(headings: &StringRecord) -> Result<Vec<Column>, String> {
    let mut columns = Vec::new();
    for (n, heading) in headings.iter().enumerate() {
        let column = column(heading).ok_or_else(|| {
            // Without headings it is a row, of whatever is in there.
            let (n, shown) = (n + 1, masked(heading));
            format!("column {n} has the heading {shown:?}: there is {}", known())
        })?;
        if columns.contains(&column) {
            return Err(format!("there are two columns {heading}: leave one out"));
        }
        columns.push(column);
    }
    match columns.contains(&Column::Hash) {
        true => Ok(columns),
        false => Err(format!("there is no column hash: there is {}", known())),
    }
}

fn column(heading: &str) -> Option<Column> {
    if let Some(name) = heading.strip_prefix(METADATA) {
        return (!name.is_empty()).then(|| Column::Metadata(name.into()));
    }
    let known = NAMES.iter().find(|(name, _)| *name == heading);
    known.map(|(_, column)| column.clone())
}

fn known() -> String {
    let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
    format!("{} and {METADATA}NAME", names.join(", "))
}
