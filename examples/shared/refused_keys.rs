//! Keys that are not let in, each for a reason of its own, to try them out.

use std::fmt::Write;
use std::time::Duration;

use keygate::{Keygate, ManageError, NewKey};

/// A line of shell for each: `  REVOKED=acme_live_...`.
pub(crate) async fn lines(keys: &Keygate) -> Result<String, ManageError> {
    let manager = keys.manager();
    let new = || NewKey::for_owner("org_42").scopes(["orders:read"]);
    let issued = [
        ("NO_SCOPE", new().scopes([""; 0])),
        ("EXPIRED", new().expires_in(Duration::from_millis(1))),
        ("REVOKED", new()),
        ("DISABLED", new()),
        ("ELSEWHERE", new().allowed_ips(["192.0.2.0/24"])),
    ];
    let mut lines = String::new();
    for (name, new) in issued {
        let issued = manager.issue(new).await?;
        let id = &issued.info.key_id;
        match name {
            "REVOKED" => drop(manager.revoke(id, "to show it").await?),
            "DISABLED" => drop(manager.disable(id).await?),
            _ => {}
        }
        let _ = writeln!(lines, "  {name}={}", issued.key.expose());
    }
    // Well-formed, and of the environment that the gate declines.
    lines += "  TEST=acme_test_9B8aUrgK57gd_RzH4EI57OFDnbTDyizMfdmAfbhtuxQxjf3EUsKwg4rd0tkZHL";
    Ok(lines)
}
