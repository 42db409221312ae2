//! Which secret of a key somebody holds, in words.

use keygate::{Clock as _, Found, FoundSecret, SystemClock};

/// Whether the time to change over from this secret is past: it opens nothing, whatever the key's status.
pub(crate) fn has_ended(found: &Found) -> bool {
    let place = match found.secret {
        FoundSecret::Previous => 1,
        _ => 0,
    };
    let secret = found.info.secrets.get(place);
    let end = secret.and_then(|secret| secret.not_after);
    end.is_some_and(|end| end <= SystemClock.wall())
}

/// `previous secret, which has ended`.
pub(crate) fn in_words(which: &str, has_ended: bool) -> String {
    match has_ended {
        true => format!("{which} secret, which has ended"),
        false => format!("{which} secret"),
    }
}
