use std::fmt;

use super::Place;

/// How the feed did when a key was revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Feed {
    Whole,
    /// Its connections were ended a moment before.
    Cut,
    /// They were ended, and could not be made again until the key was refused.
    HeldDown,
}

impl Feed {
    pub(crate) const ALL: [Self; 3] = [Self::Whole, Self::Cut, Self::HeldDown];

    /// Does to the feed what it is about to suffer, until the value is dropped.
    pub(super) fn harm(self, place: &Place) -> Option<Harm> {
        let held_down = match self {
            Self::Whole => return None,
            Self::Cut => None,
            Self::HeldDown => {
                place.admit_feeds(false);
                Some(place.clone())
            }
        };
        let ended = place.end_feeds();
        assert!(ended > 0, "no feed was there to be cut");
        Some(Harm { held_down })
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "whole",
            Self::Cut => "cut",
            Self::HeldDown => "held down",
        })
    }
}

/// What was done to a feed, and ends with this value.
pub(super) struct Harm {
    held_down: Option<Place>,
}

impl Drop for Harm {
    fn drop(&mut self) {
        if let Some(place) = &self.held_down {
            place.admit_feeds(true);
        }
    }
}
