//! How a key is used, in words.

use keygate::store::ScopeUsage;
use keygate::{KeyActivity, Safety, Scope, ScopeSet};

use crate::output::{day, since};

/// When it was used last, and from where.
pub(crate) fn last_use(key: &KeyActivity) -> String {
    match (&key.usage, key.idle_since()) {
        (Some(usage), _) => {
            let from = usage.last_used_from.map(|from| format!(" from {from}"));
            let at = since(usage.last_used_at, key.as_of);
            format!("last used {at}{}", from.unwrap_or_default())
        }
        (None, Some(since)) if since > key.info.created_at => {
            format!("not used since {}, when counting began", day(since))
        }
        (None, Some(_)) => "never used".into(),
        (None, None) => "no use was counted".into(),
    }
}

/// Each granted scope, and what was ever needed of it.
pub(crate) fn needs(key: &KeyActivity) -> Vec<(&str, Vec<&ScopeUsage>)> {
    let counted = key.usage.iter().flat_map(|usage| &usage.scopes);
    let counted: Vec<(Scope, &ScopeUsage)> = counted
        .filter_map(|usage| Some((usage.scope.parse().ok()?, usage)))
        .collect();
    let needed_of = |granted: &str| {
        let granted = ScopeSet::parse([granted]).unwrap_or_default();
        let needed = counted.iter().filter(|(scope, _)| granted.grants(scope));
        needed.map(|(_, usage)| *usage).collect()
    };
    let granted = key.info.scopes.iter();
    granted.map(|scope| (scope, needed_of(scope))).collect()
}

/// `orders:read 12 times, last 3 d ago`.
pub(crate) fn need(scope: &ScopeUsage, key: &KeyActivity) -> String {
    let times = match scope.requests {
        1 => "once".to_owned(),
        requests => format!("{requests} times"),
    };
    format!(
        "{} {times}, last {}",
        scope.scope,
        since(scope.last_at, key.as_of)
    )
}

/// Whether somebody would miss it.
pub(crate) fn verdict(safety: Safety, key: &KeyActivity) -> String {
    let ago = |at| since(at, key.as_of);
    match safety {
        Safety::Ended => "yes: it has ended".into(),
        Safety::Idle { since } => format!("yes: not used since {}", day(since)),
        Safety::InUse { last_used_at, .. } => format!("no: last used {}", ago(last_used_at)),
        Safety::Unproved(unproved) => format!("not known: {unproved}"),
        _ => "not known".into(),
    }
}
