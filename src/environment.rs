//! Which prefixes this process knows, and which of them it serves.

use crate::key::{Prefix, PresentedKey};
use crate::leak::Scanner;
use crate::refusal::Rejection;

/// The prefixes that were declared.
#[derive(Clone, Debug)]
pub(crate) struct Environments {
    /// The first is the one that keys are issued in unless another is named.
    accepted: Vec<Prefix>,
    declined: Vec<Prefix>,
}

/// The place of an accepted prefix among all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EnvironmentIndex(usize);

/// A parsed key whose prefix is accepted.
#[derive(Debug)]
pub(crate) struct Presented<'a> {
    pub(crate) key: PresentedKey<'a>,
    pub(crate) environment: EnvironmentIndex,
}

impl Environments {
    pub(crate) fn new(first: Prefix) -> Self {
        Self {
            accepted: vec![first],
            declined: Vec::new(),
        }
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
        self.accepted.contains(prefix) || self.declined.contains(prefix)
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
        &self.accepted[index.0]
    }

    pub(crate) fn index_of(&self, prefix: &Prefix) -> Option<EnvironmentIndex> {
        self.find(prefix.as_str())
    }

    fn find(&self, prefix: &str) -> Option<EnvironmentIndex> {
        let place = self.accepted.iter().position(|p| p.as_str() == prefix)?;
        Some(EnvironmentIndex(place))
    }

    /// The key with its environment.
    pub(crate) fn admit<'a>(&self, key: PresentedKey<'a>) -> Result<Presented<'a>, Rejection> {
        match self.find(key.prefix()) {
            Some(environment) => Ok(Presented { key, environment }),
            None if self.declined.iter().any(|p| p.as_str() == key.prefix()) => {
                Err(Rejection::WrongEnvironment)
            }
            None => Err(Rejection::KeyInvalid),
        }
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
