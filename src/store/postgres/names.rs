//! What the tables are called, as text that is safe within a statement.

use super::PostgresOpenError;

/// PostgreSQL cuts longer names off.
const LONGEST_NAME: usize = 63;

/// So that the longest name of a table, trigger or index stays within [`LONGEST_NAME`].
const LONGEST_PREFIX: usize = 40;

/// The prefix that the migrations are written with.
pub(super) const WRITTEN_PREFIX: &str = "keygate_";

/// The schema and the prefix of all tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) schema: String,
    pub(super) prefix: String,
}

impl Names {
    /// A prefix is part of names without quotes in the migrations.
    pub(super) fn check_prefix(prefix: &str) -> Result<(), PostgresOpenError> {
        let mut bytes = prefix.bytes();
        let is_sound = prefix.len() <= LONGEST_PREFIX
            && bytes
                .next()
                .is_some_and(|first| first.is_ascii_lowercase() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        match is_sound {
            true => Ok(()),
            false => Err(PostgresOpenError::TablePrefix {
                prefix: prefix.into(),
            }),
        }
    }

    pub(super) fn check_schema(schema: &str) -> Result<(), PostgresOpenError> {
        let is_sound =
            (1..=LONGEST_NAME).contains(&schema.len()) && !schema.contains(char::is_control);
        match is_sound {
            true => Ok(()),
            false => Err(PostgresOpenError::Schema {
                schema: schema.into(),
            }),
        }
    }

    pub(super) fn keys(&self) -> String {
        self.table("keys")
    }

    pub(super) fn audit(&self) -> String {
        self.table("audit")
    }

    pub(super) fn settings(&self) -> String {
        self.table("settings")
    }

    /// How keys were used, over all days.
    pub(super) fn usage(&self) -> String {
        self.table("usage")
    }

    pub(super) fn usage_days(&self) -> String {
        self.table("usage_days")
    }

    pub(super) fn usage_scopes(&self) -> String {
        self.table("usage_scopes")
    }

    pub(super) fn usage_secrets(&self) -> String {
        self.table("usage_secrets")
    }

    pub(super) fn usage_batches(&self) -> String {
        self.table("usage_batches")
    }

    pub(super) fn migrations(&self) -> String {
        self.table("migrations")
    }

    /// The whole name of a table, in quotes.
    fn table(&self, name: &str) -> String {
        let table = format!("{}{name}", self.prefix);
        format!("{}.{}", identifier(&self.schema), identifier(&table))
    }
}

/// A name as it is written within a statement.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as it is written within a statement.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    // A backslash is itself only where this is said.
    format!("E'{}'", quoted.replace('\\', "\\\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_their_quotes() {
        let names = Names {
            schema: r#"a"; DROP TABLE b; --"#.into(),
            prefix: "keygate_".into(),
        };
        assert_eq!(names.keys(), r#""a""; DROP TABLE b; --"."keygate_keys""#);
        assert_eq!(literal(r"it's \ so"), r"E'it''s \\ so'");
    }

    #[test]
    fn a_prefix_is_a_plain_name_that_leaves_room() {
        for sound in ["keygate_", "_", "a1_", &"a".repeat(LONGEST_PREFIX)] {
            assert!(Names::check_prefix(sound).is_ok(), "{sound}");
        }
        for bad in ["", "1a", "A_", "a-", "a\"", "a;", &"a".repeat(41), "é_"] {
            assert!(Names::check_prefix(bad).is_err(), "{bad}");
        }
        assert!(Names::check_schema("Über uns").is_ok());
        for bad in ["", "a\0b", &"a".repeat(64)] {
            assert!(Names::check_schema(bad).is_err(), "{bad}");
        }
    }
}
