use std::time::Duration;

/// What can be measured by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Lookups,
    Memory,
    Propagation,
    Recovery,
    Writes,
}

impl Part {
    const ALL: [(&'static str, Self); 5] = [
        ("lookups", Self::Lookups),
        ("memory", Self::Memory),
        ("propagation", Self::Propagation),
        ("recovery", Self::Recovery),
        ("writes", Self::Writes),
    ];

    fn named(name: &str) -> Self {
        let known = Self::ALL.iter().find(|(known, _)| *known == name);
        let Some((_, part)) = known else {
            let names = Self::ALL.map(|(known, _)| known).join(", ");
            panic!("{name} cannot be measured: name some of {names}");
        };
        *part
    }
}

/// What is measured, and for how long.
pub(crate) struct Options {
    parts: Vec<Part>,
    is_test: bool,
}

impl Options {
    /// Cargo adds `--bench`; `--test` runs everything for an instant.
    pub(crate) fn from_arguments() -> Self {
        let (flags, names): (Vec<String>, Vec<String>) = std::env::args()
            .skip(1)
            .partition(|argument| argument.starts_with("--"));
        Self {
            parts: names.iter().map(|name| Part::named(name)).collect(),
            is_test: flags.iter().any(|flag| flag == "--test"),
        }
    }

    pub(crate) fn has(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    /// For how long a store is kept busy for one number.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_millis(if self.is_test { 20 } else { 5_000 })
    }

    /// The former in a test, and otherwise the latter.
    pub(crate) fn count(&self, in_a_test: usize, otherwise: usize) -> usize {
        match self.is_test {
            true => in_a_test,
            false => otherwise,
        }
    }
}
