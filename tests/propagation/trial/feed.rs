use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Place;

/// How the feed did when a key was revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Feed {
    Whole,
    /// Its connections were ended a moment before.
    Cut,
    /// They were ended again and again until the key was refused.
    HeldDown,
}

impl Feed {
    pub(crate) const ALL: [Self; 3] = [Self::Whole, Self::Cut, Self::HeldDown];

    /// Does to the feed what it is about to suffer, until the value is dropped.
    pub(super) fn cut(self, place: &Place) -> Option<HeldDown> {
        match self {
            Self::Whole => None,
            Self::Cut => {
                let ended = place.end_feeds();
                assert!(ended >= 3, "{ended} feeds of three processes were cut");
                Some(HeldDown(None))
            }
            Self::HeldDown => Some(HeldDown::begin(place)),
        }
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

/// A feed that was cut, or that is cut for as long as this lives.
pub(super) struct HeldDown(Option<(Arc<AtomicBool>, JoinHandle<()>)>);

impl HeldDown {
    fn begin(place: &Place) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (seen, place) = (Arc::clone(&is_over), place.clone());
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::SeqCst) {
                place.end_feeds();
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        Self(Some((is_over, thread)))
    }
}

impl Drop for HeldDown {
    fn drop(&mut self) {
        if let Some((is_over, thread)) = self.0.take() {
            is_over.store(true, Ordering::SeqCst);
            // A panic of its own was shown already.
            let _ = thread.join();
        }
    }
}
