//! Moments as people read them: in UTC, and as seen from now.

use std::time::Duration;

use keygate::Timestamp;

const SECOND: u64 = 1_000;
const UNITS: [(u64, &str); 4] = [
    (86_400 * SECOND, "d"),
    (3_600 * SECOND, "h"),
    (60 * SECOND, "min"),
    (SECOND, "s"),
];

/// `2026-12-10 14:03 UTC`.
pub(crate) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    let minutes = text.get(..16).map(|minutes| minutes.replace('T', " "));
    minutes.map_or(text, |minutes| format!("{minutes} UTC"))
}

/// `2026-12-10 14:03:05`, where it is said that it is UTC.
pub(crate) fn to_the_second(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds = text.get(..19).map(|seconds| seconds.replace('T', " "));
    seconds.unwrap_or(text)
}

/// `2026-12-10`.
pub(crate) fn day(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..10).map_or(text.clone(), Into::into)
}

/// `3 d ago`.
pub(crate) fn since(at: Timestamp, now: Timestamp) -> String {
    match at > now {
        true => until(at, now),
        false => format!("{} ago", span(now.saturating_since(at))),
    }
}

/// `in 12 d`, or `3 d ago` for what has passed.
pub(crate) fn until(at: Timestamp, now: Timestamp) -> String {
    match at > now {
        true => format!("in {}", span(at.saturating_since(now))),
        false => since(at, now),
    }
}

/// In units of the largest kind that it has two of, so that `36 h` is not `1 d`; rounded.
pub(crate) fn span(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let unit = UNITS.iter().find(|(unit, _)| millis / unit >= 2);
    let (unit, name) = unit.unwrap_or(&(SECOND, "s"));
    let rounded = millis / unit + u64::from(millis % unit >= unit / 2);
    format!("{rounded} {name}")
}

/// A time as it can be typed: `90d`.
pub(crate) fn typed(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match UNITS.iter().find(|(unit, _)| millis % unit == 0) {
        Some((unit, name)) => format!("{}{name}", millis / unit),
        None => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_from_now() {
        let now: Timestamp = "2026-12-10T14:03:05Z".parse().unwrap();
        let later = now.checked_add(Duration::from_secs(36 * 3_600)).unwrap();
        assert_eq!(moment(now), "2026-12-10 14:03 UTC");
        assert_eq!(to_the_second(now), "2026-12-10 14:03:05");
        assert_eq!(day(now), "2026-12-10");
        assert_eq!(until(later, now), "in 36 h");
        assert_eq!(since(now, later), "36 h ago");
        assert_eq!(until(now, later), "36 h ago");
        assert_eq!(since(now, now), "0 s ago");
        assert_eq!(span(Duration::from_millis(90 * 86_400_000 - 5)), "90 d");
        assert_eq!(span(Duration::MAX), "213503982335 d");
        for (time, expected) in [
            (Duration::from_secs(90 * 86_400), "90d"),
            (Duration::from_secs(36 * 3_600), "36h"),
            (Duration::from_secs(90), "90s"),
            (Duration::from_millis(1_500), "1500ms"),
        ] {
            assert_eq!(typed(time), expected);
            assert_eq!(humantime::parse_duration(expected), Ok(time));
        }
    }
}
