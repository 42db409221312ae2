use std::fmt;
use std::sync::Arc;

use super::format::ForeignFormat;
use super::shape::{of_own_keys, overlap};
use super::{ForeignFormatError, ForeignText};
use crate::key::Prefix;

/// The formats of other systems whose keys are accepted. No text is a key of two of them, nor of one of
/// them and of ours.
#[derive(Clone, Default)]
pub(crate) struct Formats(Arc<[ForeignFormat]>);

impl Formats {
    /// `own` are the prefixes that were declared for keys of ours.
    pub(crate) fn new<'p>(
        formats: Vec<ForeignFormat>,
        own: impl Iterator<Item = &'p Prefix>,
    ) -> Result<Self, ForeignFormatError> {
        for format in &formats {
            format.check()?;
        }
        let shapes: Vec<_> = formats.iter().map(ForeignFormat::shapes).collect();
        for prefix in own {
            let ours = [of_own_keys(prefix)];
            if let Some(at) = shapes.iter().position(|theirs| overlap(theirs, &ours)) {
                return Err(ForeignFormatError::OwnKeys {
                    name: formats[at].name().into(),
                    prefix: prefix.to_string(),
                });
            }
        }
        for (later, other) in formats.iter().enumerate() {
            for (earlier, one) in formats.iter().enumerate().take(later) {
                if one.name() == other.name() {
                    return Err(ForeignFormatError::NameTwice(other.name().into()));
                }
                if overlap(&shapes[earlier], &shapes[later]) {
                    return Err(ForeignFormatError::Ambiguous {
                        one: one.name().into(),
                        other: other.name().into(),
                    });
                }
            }
        }
        Ok(Self(formats.into()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that `text` is, if it can be one.
    pub(crate) fn read<'a>(&'a self, text: &'a str) -> Option<ForeignText<'a>> {
        self.0.iter().find_map(|format| format.read(text))
    }

    /// Whether `text` can be a key of one of them.
    pub(crate) fn fit(&self, text: &str) -> bool {
        self.0.iter().any(|format| format.fits(text))
    }

    /// The first key that stands anywhere in `text`, of formats that have a prefix.
    pub(crate) fn find_in<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.0.iter().find_map(|format| format.find_in(text))
    }

    pub(crate) fn named(&self, name: &str) -> Option<&ForeignFormat> {
        self.0.iter().find(|format| format.name() == name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ForeignFormat> {
        self.0.iter()
    }
}

impl fmt::Debug for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(ForeignFormat::name);
        f.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests;
