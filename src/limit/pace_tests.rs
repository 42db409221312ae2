use super::*;

/// Random numbers that can be had again from their seed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = getrandom::u64().unwrap();
        println!("seed {seed}");
        Self(seed)
    }

    /// splitmix64.
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 1 to `most`, small ones as often as large ones.
    fn up_to(&mut self, most: u64) -> u64 {
        let bits = self.roll() % u64::from(64 - most.leading_zeros()) + 1;
        (self.roll() >> (64 - bits)).clamp(1, most)
    }

    fn limit(&mut self) -> RateLimit {
        let mut number = |most: u32| u32::try_from(self.up_to(most.into())).unwrap();
        let limit = RateLimit {
            requests: number(RateLimit::MOST),
            per_seconds: number(RateLimit::LONGEST_SECONDS),
            burst: number(RateLimit::MOST),
        };
        limit.check().unwrap();
        limit
    }
}

/// The same algorithm without rounding: its unit of time is the nanosecond divided by the requests of
/// the limit, so that each costs the whole window.
struct Exact {
    window: u128,
    requests: u128,
    burst: u128,
    paid: u128,
}

impl Exact {
    fn of(limit: RateLimit) -> Self {
        Self {
            window: u128::from(limit.per_seconds) * 1_000_000_000,
            requests: limit.requests.into(),
            burst: limit.burst.into(),
            paid: 0,
        }
    }

    fn allows(&self, cost: u32, now: u64) -> bool {
        let needed = u128::from(cost).min(self.burst) * self.window;
        let debt = self.paid.saturating_sub(u128::from(now) * self.requests);
        debt + needed <= self.burst * self.window
    }

    fn pay(&mut self, cost: u32, now: u64) {
        let now = u128::from(now) * self.requests;
        self.paid = self.paid.max(now) + u128::from(cost) * self.window;
    }
}

const START: u64 = 1_000_000_000_000;

/// How often `cost` is let through at one moment, up to `most`.
fn let_through(meter: &mut Meter, pace: &Pace, cost: u32, now: u64, most: u32) -> u32 {
    (0..most)
        .filter(|_| !meter.take(pace, cost, now).is_over())
        .count()
        .try_into()
        .unwrap()
}

#[test]
fn requests_are_let_through_as_without_rounding_within_a_nanosecond() {
    let mut dice = Dice::new();
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..2_000 {
        let limit = dice.limit();
        let (pace, mut meter, mut exact) = (Pace::of(limit), Meter::default(), Exact::of(limit));
        let window = u64::from(limit.per_seconds) * 1_000_000_000;
        let largest = u64::from(limit.burst).saturating_mul(2);
        let largest = if dice.roll().is_multiple_of(2) {
            3
        } else {
            largest
        };
        let mut now = START;
        for _ in 0..100 {
            let cost = u32::try_from(dice.up_to(largest)).unwrap();
            let level = meter.take(&pace, cost, now);
            match level.is_over() {
                false => {
                    assert!(exact.allows(cost, now + 1), "{limit:?} {cost} passed early");
                    exact.pay(cost, now);
                    passed += 1;
                }
                true => {
                    assert!(!exact.allows(cost, now - 1), "{limit:?} {cost} was refused");
                    refused += 1;
                }
            }
            now += match dice.roll() % 5 {
                0 => 0,
                1 => 1,
                2 => window / u64::from(limit.requests),
                3 => u64::try_from(level.retry_after.as_nanos())
                    .unwrap()
                    .min(window),
                _ => dice.up_to(window),
            };
        }
    }
    println!("{passed} passed, {refused} were refused");
    assert!(passed > 10_000 && refused > 10_000);
}

#[test]
fn no_window_of_any_length_lets_through_more_than_the_burst_and_its_rate() {
    let mut dice = Dice::new();
    for _ in 0..300 {
        let limit = RateLimit {
            burst: u32::try_from(dice.up_to(50)).unwrap(),
            ..dice.limit()
        };
        let window = u64::from(limit.per_seconds) * 1_000_000_000;
        let each = window / u64::from(limit.requests);
        let (pace, mut meter) = (Pace::of(limit), Meter::default());
        let mut passed: Vec<(u64, u32)> = Vec::new();
        let mut now = START;
        for _ in 0..200 {
            let cost = u32::try_from(dice.up_to(limit.burst.into())).unwrap();
            if !meter.take(&pace, cost, now).is_over() {
                passed.push((now, cost));
            }
            now += dice.roll() % each.saturating_mul(2).max(2);
        }
        for (from, (began, _)) in passed.iter().enumerate() {
            let mut sum = 0;
            for (at, cost) in &passed[from..] {
                sum += u128::from(*cost);
                let length = u128::from(at - began) + 1;
                let allowed = u128::from(limit.burst) * u128::from(window)
                    + length * u128::from(limit.requests);
                assert!(sum * u128::from(window) <= allowed, "{limit:?}");
            }
        }
    }
}

#[test]
fn exactly_the_burst_passes_at_once_and_again_after_exactly_its_time() {
    let mut dice = Dice::new();
    for _ in 0..200 {
        let limit = dice.limit();
        let burst = limit.burst.min(300);
        let limit = limit.with_burst(burst);
        let (pace, mut meter) = (Pace::of(limit), Meter::default());
        assert_eq!(let_through(&mut meter, &pace, 1, START, burst + 5), burst);
        let full_after = meter.look(&pace, 1, START).full_after;
        let full = START + u64::try_from(full_after.as_nanos()).unwrap();
        assert_eq!(meter.look(&pace, 1, full).remaining, burst, "{limit:?}");
        let again = let_through(&mut meter, &pace, 1, full, burst + 5);
        assert_eq!(again, burst, "{limit:?}");
    }
}

#[test]
fn a_whole_window_brings_back_all_that_it_allows() {
    let mut dice = Dice::new();
    for _ in 0..1_000 {
        let limit = dice.limit().with_burst(1);
        let limit = limit.with_burst(limit.requests);
        let (pace, mut meter) = (Pace::of(limit), Meter::default());
        let level = meter.take(&pace, limit.requests, START);
        let window = Duration::from_secs(limit.per_seconds.into());
        assert_eq!(
            (level.remaining, level.full_after),
            (0, window),
            "{limit:?}"
        );
        let end = START + u64::try_from(window.as_nanos()).unwrap();
        assert_eq!(meter.look(&pace, 1, end).remaining, limit.requests);
        assert!(meter.look(&pace, limit.requests, end - 1).is_over());
    }
}

#[test]
fn waiting_as_long_as_one_is_told_is_enough_and_a_nanosecond_less_is_not() {
    let mut dice = Dice::new();
    for _ in 0..2_000 {
        let limit = dice.limit();
        let (pace, mut meter) = (Pace::of(limit), Meter::default());
        meter.take(
            &pace,
            u32::try_from(dice.up_to(2_000_000_000)).unwrap(),
            START,
        );
        let cost = u32::try_from(dice.up_to(RateLimit::MOST.into())).unwrap();
        let wait = meter.look(&pace, cost, START).retry_after;
        let wait = u64::try_from(wait.as_nanos()).unwrap();
        // Such limits say "not in this century".
        if wait == 0 || wait > u64::MAX / 2 {
            continue;
        }
        assert!(
            meter.look(&pace, cost, START + wait - 1).is_over(),
            "{limit:?}"
        );
        assert!(
            !meter.look(&pace, cost, START + wait).is_over(),
            "{limit:?}"
        );
    }
}

#[test]
fn a_cost_above_the_burst_needs_all_of_it_and_is_paid_back_by_waiting() {
    let pace = Pace::of(RateLimit::new(60, 60).with_burst(10));
    let mut meter = Meter::default();
    let level = meter.take(&pace, 25, START);
    assert_eq!((level.is_over(), level.remaining), (false, 0));
    assert_eq!(level.full_after, Duration::from_secs(25));
    let level = meter.look(&pace, 1, START);
    assert_eq!(level.retry_after, Duration::from_secs(16));
    assert_eq!(
        meter.look(&pace, 25, START).retry_after,
        Duration::from_secs(25)
    );
    let mut used = Meter::default();
    used.take(&pace, 1, START);
    assert_eq!(
        used.look(&pace, 25, START).retry_after,
        Duration::from_secs(1)
    );
}

#[test]
fn what_is_refused_takes_nothing() {
    let pace = Pace::of(RateLimit::new(1, 10));
    let mut meter = Meter::default();
    meter.take(&pace, 1, START);
    let before = meter;
    for _ in 0..100 {
        assert!(meter.take(&pace, 1, START + 5).is_over());
    }
    assert_eq!(meter, before);
}

#[test]
fn what_was_paid_for_stays_paid_for_when_the_limit_is_another() {
    let mut meter = Meter::default();
    meter.take(&Pace::of(RateLimit::new(10, 100)), 4, START);
    let level = meter.look(&Pace::of(RateLimit::new(100, 100)), 1, START);
    assert_eq!(
        (level.remaining, level.full_after),
        (60, Duration::from_secs(40))
    );
}

#[test]
fn a_clock_that_steps_back_lets_nothing_more_through() {
    let pace = Pace::of(RateLimit::new(5, 5));
    let mut meter = Meter::default();
    assert_eq!(let_through(&mut meter, &pace, 1, START, 10), 5);
    assert_eq!(let_through(&mut meter, &pace, 1, START / 2, 10), 0);
    assert_eq!(let_through(&mut meter, &pace, 1, START, 10), 0);
}

/// Records are checked first. Should one not be, it must not let everything through.
#[test]
fn numbers_that_no_limit_may_have_do_not_overflow() {
    let ends = [0, 1, u32::MAX];
    for requests in ends {
        for per_seconds in ends {
            for burst in ends {
                let limit = RateLimit {
                    requests,
                    per_seconds,
                    burst,
                };
                let (pace, mut meter) = (Pace::of(limit), Meter::default());
                for now in [0, 1, START, u64::MAX] {
                    for _ in 0..3 {
                        meter.take(&pace, u32::MAX, now);
                        meter.take(&pace, 1, now);
                    }
                    if now == 0 {
                        assert!(meter.look(&pace, 1, now).is_over(), "{limit:?}");
                    }
                }
            }
        }
    }
}
