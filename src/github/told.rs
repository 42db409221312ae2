use std::collections::HashSet;
use std::time::Duration;

use crate::clock::Now;

/// What was told lately, so that a request that is sent again fills no audit log.
#[derive(Default)]
pub(super) struct Told {
    /// When it began to be noted.
    since: Option<Now>,
    places: HashSet<[u8; 32]>,
}

/// For so long nothing is told again.
const PAUSE: Duration = Duration::from_secs(60 * 60);

/// So many places are noted at most. What is told then may be told once more.
const MOST: usize = 10_000;

impl Told {
    /// Whether a text was told lately that was found in this place.
    pub(super) fn has(&mut self, place: &[u8; 32], now: Now) -> bool {
        let is_over = self.since.is_none_or(|since| !now.is_within(PAUSE, since));
        if is_over {
            self.since = Some(now);
            self.places.clear();
        }
        self.places.contains(place)
    }

    pub(super) fn note(&mut self, place: [u8; 32]) {
        if self.places.len() >= MOST {
            self.places.clear();
        }
        self.places.insert(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn what_is_noted_is_bounded() {
        let (mut told, now) = (Told::default(), Now::of(&SystemClock));
        for number in 0..=MOST {
            let mut place = [0; 32];
            place[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
            assert!(!told.has(&place, now));
            told.note(place);
            assert!(told.has(&place, now) && told.places.len() <= MOST);
        }
    }
}
