use std::time::Duration;

use super::document::Text;
use super::facts::{Facts, spelt};
use crate::exposure::Exposure;
use crate::limit::{LimitState, OWN};
use crate::record::RateLimit;
use crate::refusal::{Error, Refusal, Rejection};
use crate::scope::{IntoRule, MissingScopes, ScopeSet};

/// A refusal of one code, and what callers are told about it.
pub(super) struct Failure {
    pub(super) refusal: Refusal,
    pub(super) advice: Advice,
}

pub(super) struct Advice {
    pub(super) meaning: Text,
    pub(super) steps: Vec<Text>,
    pub(super) retry: Retry,
}

/// Whether the request may be sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Retry {
    Backoff,
    Corrected,
    Enabled,
    Granted,
    Never,
    OnceIfNew,
    OtherNetwork,
}

impl Retry {
    /// In a table.
    pub(super) fn in_short(self) -> Text {
        match self {
            Self::Backoff => "yes, with growing waits",
            Self::Corrected => "only when corrected",
            Self::Enabled => "no, until it is enabled",
            Self::Granted => "once, when the scope is granted",
            Self::Never => "never",
            Self::OnceIfNew => "once, after a second, if the key is new",
            Self::OtherNetwork => "never from the same network",
        }
        .into()
    }

    /// As a sentence.
    pub(super) fn rule(self) -> Text {
        match self {
            Self::Backoff => {
                "Retry: yes. Wait as `Retry-After` says, at least, and longer each further time."
            }
            Self::Corrected => "Retry: only when it is corrected. As it is, it never works.",
            Self::Enabled => {
                "Retry: never by itself. When you are told that the key is enabled, go on."
            }
            Self::Granted => {
                "Retry: once, when you are told that the scope is granted. Until then, never."
            }
            Self::Never => "Retry: never. The same request gets the same answer.",
            Self::OnceIfNew => {
                "Retry: once, after a second, if the key was issued or rotated a moment ago. \
                 Otherwise never."
            }
            Self::OtherNetwork => "Retry: never from the same network.",
        }
        .into()
    }
}

/// From one list: a sample of each refusal, and what is said of it. A refusal that the list lacks
/// does not compile.
macro_rules! failures {
    ($facts:ident: $(
        $refusal:pat, as $sample:expr => (
            $retry:expr, $meaning:expr, [$($step:expr),+ $(,)?]
        );
    )+) => {
        /// A failure of each code that the service answers, in the order of the page.
        pub(super) fn failures($facts: &Facts) -> Vec<Failure> {
            let advice = |refusal: &Refusal| match refusal {
                $($refusal => Advice {
                    meaning: Text::from($meaning),
                    steps: vec![$(Text::from($step)),+],
                    retry: $retry,
                },)+
            };
            let samples: Vec<Refusal> = vec![$($sample.into()),+];
            let with_advice = |refusal| Failure { advice: advice(&refusal), refusal };
            let answered = samples.into_iter().filter(|refusal| is_answered($facts, refusal));
            answered.map(with_advice).collect()
        }
    };
}

use Refusal::{Failed, Rejected};

failures! { facts:
    Rejected(Rejection::KeyMissing), as Rejection::KeyMissing => (
        Retry::Corrected,
        "The request has no key. Another scheme in `Authorization` than those above is none.",
        [
            Text::from("Send the key as in ").and(Text::link("#sending", "Sending a key")).and("."),
            "Check that the variable with the key is set: `curl` leaves out a header that is empty.",
            "Look for what drops the header on the way: a proxy, or a redirect to another host.",
        ]
    );
    Rejected(Rejection::RequestMalformed), as Rejection::RequestMalformed => (
        Retry::Corrected,
        "The header that should hold the key is empty, or holds what no key has.",
        [
            "Check that the variable with the key is set.",
            "Look for quotes, spaces and line breaks that were copied along.",
        ]
    );
    Rejected(Rejection::KeyDuplicated), as Rejection::KeyDuplicated => (
        Retry::Corrected,
        "There is more than one credential: in two headers, or in one header twice.",
        [
            "Send the key in one header, once.",
            "Look for a client library or a gateway that adds a credential of its own.",
        ]
    );
    Rejected(Rejection::KeyInUrl), as Rejection::KeyInUrl => (
        Retry::Corrected,
        "A key stands in the URL. Logs and histories keep URLs, so it has leaked.",
        [
            Text::from("Replace the key: ").and(Text::link("#leaks", "When a key leaks")).and("."),
            Text::from("Send the new one as in ")
                .and(Text::link("#sending", "Sending a key")).and("."),
        ]
    );
    Rejected(Rejection::KeyInvalid), as Rejection::KeyInvalid => (
        Retry::OnceIfNew,
        "The header is well-formed, and what it holds is no key of this service: it is mistyped or \
         cut, or its id or its secret is not known. Which of these it is, nobody is told.",
        [
            "Check that the key was copied whole, with its first and its last character.",
            Text::from("Check that it begins as the keys of this service do: ")
                .and(facts.served()).and("."),
            "If the text is lost, ask for a rotation.",
        ]
    );
    Rejected(Rejection::WrongEnvironment), as Rejection::WrongEnvironment => (
        Retry::Never,
        Text::from("The key belongs to another environment. Here these do: ")
            .and(facts.declined().unwrap_or_default()).and("."),
        [
            Text::from("Call with a key that begins with ").and(facts.served()).and("."),
            "Or call the environment that the key belongs to.",
        ]
    );
    Rejected(Rejection::KeyExpired), as Rejection::KeyExpired => (
        Retry::Never,
        match facts.policy.max_secret_age {
            None => Text::from(
                "The key is past its end, or it was rotated, and the overlap of this old text is over.",
            ),
            Some(age) => Text::plain(format!(
                "The key is past its end, or this text of it is: it was made more than {} ago, or \
                 the key was rotated, and the overlap is over.",
                spelt(age)
            )),
        },
        [
            "If it was rotated, use the newer text.",
            match facts.policy.max_secret_age {
                None => "If not, ask for a new key. A key that has ended is not brought back.",
                Some(_) => "If not, ask for it to be rotated, or where it is past its own end, for a \
                    new key: one that has ended is not brought back.",
            },
        ]
    );
    Rejected(Rejection::KeyRevoked), as Rejection::KeyRevoked => (
        Retry::Never,
        "The key was ended for good. Nothing brings it back.",
        [
            "Remove it wherever it is configured.",
            "It may have leaked. Ask why it was revoked, and for a new one.",
        ]
    );
    Rejected(Rejection::KeyDisabled), as Rejection::KeyDisabled => (
        Retry::Enabled,
        "The key is paused. It can be enabled again, with the same text.",
        ["Ask for it to be enabled."]
    );
    Rejected(Rejection::KeyExposed(_)), as exposed(facts) => (
        Retry::Corrected,
        "The key is good, and came by a way on which others can read it: from a browser, or over a \
         connection that is not encrypted. `detail` says which.",
        [
            "From a browser: call your own server instead, and let that call with the key.",
            "Unencrypted: call by `https`, and never by `http` first, not even to be redirected.",
            Text::from("Others may have read the key. Replace it: ")
                .and(Text::link("#leaks", "When a key leaks")).and("."),
        ]
    );
    Rejected(Rejection::ScopeInsufficient(_)), as Rejection::ScopeInsufficient(missing(facts)) => (
        Retry::Granted,
        "The key is good, and lacks a scope that this route asks for.",
        [
            "Read `missing_scopes` of the body: what the key lacks. `required_scopes`, and `scope` \
             of the challenge, name scopes that would do.",
            "Ask for what is missing. The text of the key stays the same.",
        ]
    );
    Rejected(Rejection::IpDenied), as Rejection::IpDenied => (
        Retry::OtherNetwork,
        "The key works from certain networks alone, and the request came from elsewhere.",
        [
            "Find out the address that your requests come from: that of a gateway, perhaps.",
            "Call from a network on the key's list, or ask for yours to be added.",
        ]
    );
    Rejected(Rejection::MethodDenied), as Rejection::MethodDenied => (
        Retry::Never,
        "The gRPC method is not open to keys, whatever their scopes.",
        ["Check the name of the method."]
    );
    Rejected(Rejection::RateLimited { .. } | Rejection::TooManyFailures { .. }), as over_limit(facts) => (
        Retry::Backoff,
        "The key is used more often than its limit allows, or too much that is no key came from your \
         address.",
        [
            "Wait as long as `Retry-After` says, in seconds. The numbers here are examples.",
            match facts.answers.tells_limits() {
                true => "Successes tell beforehand, too: `r` of `RateLimit` is how many requests are \
                    left, and `t` in how many seconds all are there again. `key` is the limit of your \
                    key; other names are those of some routes.",
                false => "Some routes may have a limit of their own, beside that of your key.",
            },
            "Spread your calls over time. Those of all processes with one key count together.",
            "If `detail` names your address, a process there sends what is no key: find it and stop it. \
             Keys that were in use go on meanwhile.",
        ]
    );
    Failed(Error::LimiterAway(_) | Error::Overloaded | Error::Store { .. } | Error::Timeout { .. }
        | Error::Unenforceable { .. } | Error::UnknownPepper { .. }), as Error::Overloaded => (
        Retry::Backoff,
        "The service cannot check keys right now. That says nothing about your key.",
        [
            "Keep the key: do not replace it for this.",
            "If you were managing keys and `detail` says that the change may have been made, look \
             at the key before you repeat it.",
        ]
    );
    Failed(Error::Unguarded | Error::Undeclared(_) | Error::QuotaFlawed { .. }), as Error::Unguarded => (
        Retry::Never,
        "The service made a mistake.",
        ["Report it, with the time and the route."]
    );
}

/// Whether the service gives this answer, as it is configured.
fn is_answered(facts: &Facts, refusal: &Refusal) -> bool {
    match refusal {
        Rejected(Rejection::MethodDenied) => facts.grpc,
        Rejected(Rejection::KeyExposed(_)) => facts.answers.refused_exposure().is_some(),
        Rejected(Rejection::WrongEnvironment) => facts.declined().is_some(),
        _ => true,
    }
}

/// For what the service refuses them.
fn exposed(facts: &Facts) -> Rejection {
    let exposure = facts.answers.refused_exposure();
    Rejection::KeyExposed(exposure.unwrap_or(Exposure::ByBrowser))
}

/// A request that comes right after the two that a minute has room for.
fn over_limit(facts: &Facts) -> Rejection {
    let example = LimitState {
        name: OWN,
        limit: RateLimit::per_minute(2),
        remaining: 0,
        full_after: Duration::from_secs(60),
    };
    let told = facts.answers.tells_limits().then_some(example);
    Rejection::RateLimited {
        retry_after: Duration::from_secs(30),
        limits: told.into_iter().collect(),
    }
}

/// What a key lacks on a route that asks for the first scope of the service.
fn missing(facts: &Facts) -> MissingScopes {
    let first = facts
        .catalogue
        .and_then(|all| all.scopes().first().copied());
    let rule = match first {
        Some(scope) => scope.into_rule(),
        None => "orders:read".into_rule(),
    };
    rule.missing_from(&ScopeSet::default())
}
