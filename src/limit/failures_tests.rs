use super::*;
use crate::clock::{Clock, Timestamp};

#[derive(Debug)]
struct Stopped(Instant);

impl Clock for Stopped {
    fn wall(&self) -> Timestamp {
        Timestamp::MIN
    }

    fn monotonic(&self) -> Instant {
        self.0
    }
}

fn at(failures: &Failures, seconds: u64) -> Now {
    Now::of(&Stopped(failures.since + Duration::from_secs(seconds)))
}

fn failures(limit: RateLimit) -> Failures {
    Failures::new(limit, Instant::now())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn exactly_so_many_failures_are_allowed_and_are_forgiven_with_time() {
    let failures = failures(RateLimit::per_minute(6));
    let (address, now) = (ip("192.0.2.1"), at(&failures, 0));
    for _ in 0..6 {
        assert_eq!(failures.wait(address, now), None);
        assert_eq!(failures.count(address, now), None);
    }
    let ten = Some(Duration::from_secs(10));
    assert_eq!(failures.wait(address, now), ten);
    for _ in 0..10 {
        assert_eq!(failures.count(address, now), ten, "a refusal adds nothing");
    }
    assert_eq!(failures.wait(address, at(&failures, 10)), None);
    assert_eq!(failures.count(address, at(&failures, 10)), None);
    assert_eq!(failures.wait(address, at(&failures, 10)), ten);
}

#[test]
fn addresses_are_counted_apart_and_those_of_one_network_of_64_bits_together() {
    let failures = failures(RateLimit::per_minute(1));
    let now = at(&failures, 0);
    for (address, is_allowed) in [
        ("192.0.2.1", true),
        ("192.0.2.2", true),
        ("::ffff:192.0.2.1", false),
        ("2001:db8:1:2::1", true),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", false),
        ("2001:db8:1:3::1", true),
    ] {
        let address = ip(address);
        assert_eq!(
            failures.wait(address, now).is_none(),
            is_allowed,
            "{address}"
        );
        assert_eq!(
            failures.count(address, now).is_none(),
            is_allowed,
            "{address}"
        );
    }
}

#[test]
fn a_flood_of_networks_takes_no_more_room_and_does_not_hide_who_failed_most() {
    let failures = failures(RateLimit::per_hour(1_000));
    let (guesser, now) = (ip("192.0.2.1"), at(&failures, 0));
    for _ in 0..1_000 {
        failures.count(guesser, now);
    }
    assert!(failures.wait(guesser, now).is_some());
    for n in 0..400_000_u128 {
        failures.count(IpAddr::V6((0x2001_0db8 << 96 | n << 64).into()), now);
    }
    let sets = failures.sets.get().unwrap();
    let held: usize = sets
        .iter()
        .map(|set| lock(set).iter().flatten().count())
        .sum();
    assert!((60_000..=SETS * PLACES).contains(&held), "{held}");
    assert!(failures.wait(guesser, now).is_some());
}

#[test]
fn nothing_is_held_before_the_first_failure() {
    let failures = failures(RateLimit::per_minute(1));
    assert_eq!(failures.wait(ip("192.0.2.1"), at(&failures, 0)), None);
    assert!(failures.sets.get().is_none());
}
