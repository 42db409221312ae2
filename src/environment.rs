//! Which prefixes and formats of keys this process knows, and which of them it serves.

use crate::foreign::{ForeignFormat, ForeignFormatError, Formats};
use crate::key::{ParseKeyError, Prefix, PresentedKey, unless_it_holds};
use crate::leak::Scanner;
use crate::mac::Claim;
use crate::refusal::Rejection;

/// The prefixes that were declared, and the formats of keys that were made elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Environments {
    /// The first is the one that keys are issued in unless another is named.
    accepted: Vec<Prefix>,
    declined: Vec<Prefix>,
    foreign: Formats,
}

/// The place of an accepted prefix among all of them. Each cached key has one, so it is small.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EnvironmentIndex(u32);

/// A parsed key of an environment that is served.
#[derive(Debug)]
pub(crate) struct Presented<'a> {
    pub(crate) key: Claim<'a>,
    pub(crate) environment: EnvironmentIndex,
}

impl Environments {
    pub(crate) fn new(first: Prefix) -> Self {
        Self {
            accepted: vec![first],
            declined: Vec::new(),
            foreign: Formats::default(),
        }
    }

    /// Serves keys that were made elsewhere too. All prefixes have to be declared before.
    pub(crate) fn with_foreign(
        mut self,
        formats: Vec<ForeignFormat>,
    ) -> Result<Self, ForeignFormatError> {
        for format in &formats {
            if let Some(named) = format.named_environment()
                && self.find(named).is_none()
            {
                return Err(ForeignFormatError::Environment {
                    name: format.name().into(),
                    environment: named.into(),
                });
            }
        }
        self.foreign = Formats::new(formats, self.accepted.iter().chain(&self.declined))?;
        Ok(self)
    }

    /// Adds a prefix that is served too; `false` when it was declared before.
    pub(crate) fn accept(&mut self, prefix: Prefix) -> bool {
        let new = !self.is_declared(&prefix);
        if new {
            self.accepted.push(prefix);
        }
        new
    }

    /// Adds a prefix whose keys are told that they belong elsewhere; `false` as for `accept`.
    pub(crate) fn decline(&mut self, prefix: Prefix) -> bool {
        let new = !self.is_declared(&prefix);
        if new {
            self.declined.push(prefix);
        }
        new
    }

    fn is_declared(&self, prefix: &Prefix) -> bool {
        self.accepted.contains(prefix) || self.declines(prefix.as_str())
    }

    fn declines(&self, prefix: &str) -> bool {
        self.declined.iter().any(|p| p.as_str() == prefix)
    }

    pub(crate) fn foreign(&self) -> &Formats {
        &self.foreign
    }

    pub(crate) fn primary(&self) -> &Prefix {
        &self.accepted[0]
    }

    pub(crate) fn accepted(&self, prefix: &str) -> Option<&Prefix> {
        self.find(prefix).map(|index| self.prefix(index))
    }

    pub(crate) fn all_accepted(&self) -> impl Iterator<Item = &Prefix> {
        self.accepted.iter()
    }

    pub(crate) fn all_declined(&self) -> impl Iterator<Item = &Prefix> {
        self.declined.iter()
    }

    pub(crate) fn prefix(&self, index: EnvironmentIndex) -> &Prefix {
        &self.accepted[index.0 as usize]
    }

    pub(crate) fn index_of(&self, prefix: &Prefix) -> Option<EnvironmentIndex> {
        self.find(prefix.as_str())
    }

    fn find(&self, prefix: &str) -> Option<EnvironmentIndex> {
        let place = self.accepted.iter().position(|p| p.as_str() == prefix)?;
        u32::try_from(place).ok().map(EnvironmentIndex)
    }

    /// The key that `text` is. What fits no format of another system is judged as one of ours.
    pub(crate) fn read<'a>(&'a self, text: &'a str) -> Result<Claim<'a>, ParseKeyError> {
        let own = PresentedKey::parse(text);
        let is_declared = |prefix| self.find(prefix).is_some() || self.declines(prefix);
        if self.foreign.is_empty() || own.is_ok_and(|key| is_declared(key.prefix())) {
            return own.map(Claim::Own);
        }
        let foreign = self.foreign.read(text);
        foreign.map_or_else(|| own.map(Claim::Own), |text| Ok(Claim::Foreign(text)))
    }

    /// The prefix of the record of a key.
    pub(crate) fn prefix_of<'a>(&'a self, key: &Claim<'a>) -> &'a str {
        match key {
            Claim::Foreign(text) => {
                let index = self.index_of_foreign(text.as_imported().format());
                self.prefix(index).as_str()
            }
            Claim::Own(key) => key.prefix(),
        }
    }

    /// The environment of keys that were made elsewhere. That they name one is checked at the start.
    pub(crate) fn index_of_foreign(&self, format: &ForeignFormat) -> EnvironmentIndex {
        let named = format.named_environment();
        let named = named.and_then(|prefix| self.find(prefix));
        named.unwrap_or(EnvironmentIndex(0))
    }

    /// What tells this declaration of a format from another, under which the keys of this one do not open.
    /// Which texts fit is no part of it: more of them may be let in later.
    pub(crate) fn mark_of(&self, format: &ForeignFormat) -> String {
        let environment = self.prefix(self.index_of_foreign(format));
        format.mark(environment.as_str())
    }

    /// The environment that a key is of, if that is served.
    pub(crate) fn admit(&self, key: &Claim<'_>) -> Result<EnvironmentIndex, Rejection> {
        let own = match key {
            Claim::Foreign(text) => {
                return Ok(self.index_of_foreign(text.as_imported().format()));
            }
            Claim::Own(key) => key.prefix(),
        };
        match self.find(own) {
            Some(environment) => Ok(environment),
            None if self.declines(own) => Err(Rejection::WrongEnvironment),
            None => Err(Rejection::KeyInvalid),
        }
    }

    /// `text` without what is secret of the keys in it. Where one is percent-encoded, or was made elsewhere,
    /// nothing is left of the text.
    pub(crate) fn redact(&self, text: &str) -> String {
        let scanner = self.scanner();
        unless_it_holds(scanner.redact(text).into_owned(), |text| {
            scanner.finds_in(text) || self.foreign.find_in(text).is_some()
        })
    }

    /// Finds the keys of all declared prefixes.
    pub(crate) fn scanner(&self) -> Scanner {
        Scanner::of(
            self.accepted
                .iter()
                .chain(&self.declined)
                .cloned()
                .collect(),
        )
    }
}
