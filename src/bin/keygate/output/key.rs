//! Keys as people see them.

use keygate::{Clock as _, FoundSecret, KeyInfo, KeyStatus, RateLimit, SystemClock};

use super::{Table, day, moment, since, until};

/// The status, as JSON has it.
pub(crate) fn status(status: KeyStatus) -> &'static str {
    match status {
        KeyStatus::Active => "active",
        KeyStatus::Canary => "canary",
        KeyStatus::Disabled => "disabled",
        KeyStatus::Expired => "expired",
        KeyStatus::Revoked => "revoked",
        KeyStatus::RotationOverdue => "rotation_overdue",
        _ => "unknown",
    }
}

/// Which secret of a key a text holds, as JSON has it.
pub(crate) fn which(secret: FoundSecret) -> &'static str {
    match secret {
        FoundSecret::Current => "current",
        FoundSecret::Previous => "previous",
        _ => "unknown",
    }
}

/// Several keys, a row for each.
pub(crate) fn key_table(keys: &[KeyInfo]) -> String {
    let now = SystemClock.wall();
    let mut table = Table::new(&[
        "key id", "status", "owner", "name", "scopes", "created", "expires",
    ]);
    for key in keys {
        let expires = key.expires_at.map(|end| until(end, now));
        table.row([
            key.key_id.as_str(),
            status(key.status),
            &key.owner,
            &key.name,
            &key.scopes.to_string(),
            &day(key.created_at),
            &expires.unwrap_or_else(|| "never".into()),
        ]);
    }
    table.draw()
}

/// All that is known of one key, a row for each part that it has.
pub(crate) fn key_rows(key: &KeyInfo) -> Table {
    let now = SystemClock.wall();
    let mut table = Table::of_values();
    table.row(["key id", key.key_id.as_str()]);
    table.row(["status", status(key.status)]);
    table.row(["owner", &key.owner]);
    if !key.name.is_empty() {
        table.row(["name", &key.name]);
    }
    table.row(["environment", key.environment.as_str()]);
    table.row(["hint", &key.hint]);
    let scopes = key.scopes.to_string();
    table.row(["scopes", if scopes.is_empty() { "none" } else { &scopes }]);
    let at = |at| format!("{}, {}", moment(at), since(at, now));
    table.row(["created", &at(key.created_at)]);
    table.row([
        "expires",
        &key.expires_at.map_or_else(|| "never".into(), at),
    ]);
    if let Some(disabled) = key.disabled_at {
        table.row(["disabled", &at(disabled)]);
    }
    // A canary is kept as a key that was revoked when it was made.
    let revocation = key.revocation.as_ref();
    if let Some(revocation) = revocation.filter(|_| key.status != KeyStatus::Canary) {
        table.row([
            "revoked",
            &format!("{}: {}", at(revocation.at), revocation.reason),
        ]);
    }
    if !key.allowed_ips.is_empty() {
        let networks: Vec<String> = key.allowed_ips.iter().map(ToString::to_string).collect();
        table.row(["works from", &networks.join(" ")]);
    }
    if let Some(limit) = key.rate_limit {
        table.row(["rate limit", &rate_limit(limit)]);
    }
    for (name, value) in &key.metadata {
        table.row(["metadata", &format!("{name}={value}")]);
    }
    for (n, secret) in key.secrets.iter().enumerate() {
        let made = at(secret.created_at);
        let ends = secret
            .not_after
            .map(|end| format!("; ends {}, {}", moment(end), until(end, now)));
        let which = if n == 0 { "secret" } else { "old secret" };
        table.row([which, &format!("made {made}{}", ends.unwrap_or_default())]);
    }
    table
}

/// How often, in words.
pub(crate) fn rate_limit(limit: RateLimit) -> String {
    let RateLimit {
        requests,
        per_seconds,
        burst,
    } = limit;
    format!("{requests} in {per_seconds} s, {burst} at once")
}
