//! What a refusal means, and what to do about it.

use std::net::IpAddr;

use keygate::{Found, FoundSecret, KeyStatus, Rejection};

/// `found`: the key whose secret proved right. `from`: where the request was said to come from.
pub(super) fn on(rejection: &Rejection, found: Option<&Found>, from: Option<IpAddr>) -> String {
    let Some(found) = found else {
        return stranger(rejection);
    };
    let id = &found.info.key_id;
    match rejection {
        Rejection::KeyDisabled => format!("It is paused. To let it go on: keygate enable {id}"),
        Rejection::KeyExpired => expired(found),
        Rejection::KeyRevoked if found.info.status == KeyStatus::Canary => format!(
            "It was planted to be stolen, and its bearer is answered as by a key that was revoked. Who has presented \
             it: keygate audit --key {id}"
        ),
        Rejection::KeyRevoked => format!(
            "It was ended for good. To make another like it: keygate issue --like {id}"
        ),
        Rejection::IpDenied => match from {
            Some(address) => format!(
                "It works from certain networks, and {address} is in none of them. To change them: keygate change {id}"
            ),
            None => "It works from certain networks only. Say where the request comes from: --from ADDRESS"
                .into(),
        },
        Rejection::ScopeInsufficient(missing) => {
            let missing: Vec<String> = missing.missing().iter().map(ToString::to_string).collect();
            format!(
                "It lacks {}. To grant that: keygate scopes {id} --add {}",
                missing.join(" "),
                missing.join(",")
            )
        }
        Rejection::KeyInvalid | Rejection::WrongEnvironment => format!(
            "Its prefix {} is none that these settings accept. Where the service does, it belongs into \
             accept_prefixes in the settings",
            found.info.environment
        ),
        other => sentence(other),
    }
}

/// Without the secret of a key, nothing is said of any.
fn stranger(rejection: &Rejection) -> String {
    match rejection {
        Rejection::KeyInvalid => {
            "No key here has this text. It may be cut or mistyped, of another service, or have a \
                                  secret that was replaced since. Nothing is known of whose it is."
                .into()
        }
        other => sentence(other),
    }
}

fn expired(found: &Found) -> String {
    let id = &found.info.key_id;
    match (found.secret, found.info.status) {
        (_, KeyStatus::Expired) => format!(
            "It is past its end. To make another like it: keygate issue --like {id}"
        ),
        (FoundSecret::Previous, _) => {
            "A rotation has given it a newer secret, and the time to change over is past. Its bearer needs the newer \
             text"
                .into()
        }
        _ => format!("Its secret is past its end. To give it a new one: keygate rotate {id}"),
    }
}

fn sentence(rejection: &Rejection) -> String {
    let text = rejection.to_string();
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), chars.as_str())
}
