//! What a guard takes from the limits of keys.

use std::sync::Arc;

use super::{Access, Decision, Guard, Verdict};
use crate::gate::Gate;
use crate::limit::{Charge, LimitState};
use crate::principal::Principal;
use crate::refusal::Refusal;
use crate::scope::Rule;
use crate::telemetry;

impl Guard {
    /// Takes so much from the limits of the key for each request, and not just one of its own limit:
    /// for expensive operations.
    ///
    /// ```
    /// # fn app(keys: keygate::Keygate) -> axum::Router {
    /// # use axum::{Router, routing::post};
    /// # async fn export() {}
    /// # async fn import() {}
    /// use keygate::{Charge, Quota, RateLimit};
    ///
    /// const EXPORTS: Quota = Quota::new("exports", RateLimit::per_hour(10));
    ///
    /// let exports = keys.require("orders:export").charge(EXPORTS);
    /// let imports = keys.require("orders:import").charge(Charge::of(10));   // of the key's own limit
    /// Router::new()
    ///     .route("/export", post(export).layer(exports))
    ///     .route("/import", post(import).layer(imports))
    /// # }
    /// ```
    ///
    /// It is all taken or nothing, and after the key has proved to open. Whoever lacks a scope pays
    /// too. Behind an outer guard of the same gate, which has taken its own charge by then, the quota is
    /// taken, and of the key's own limit what the charge is above one.
    ///
    /// # Panics
    /// When the service starts: for a quota that cannot be used, or whose name has another limit
    /// elsewhere in the gate; for a cost of 0 of a quota; and for a guard that has a charge already.
    #[track_caller]
    #[must_use]
    #[expect(
        clippy::panic,
        reason = "a wrong charge is a mistake in the host's source"
    )]
    pub fn charge(self, charge: impl Into<Charge>) -> Self {
        let charge = charge.into();
        check(self.answers().gate(), charge);
        let mut shared = Arc::unwrap_or_clone(self.shared);
        if shared.charge.replace(charge).is_some() {
            panic!("a guard has one charge: put both into one, like Charge::of(10).and(QUOTA, 5)");
        }
        Self {
            shared: Arc::new(shared),
        }
    }
}

/// Stops the start for a charge that cannot be taken.
#[track_caller]
#[expect(
    clippy::panic,
    reason = "a wrong charge is a mistake in the host's source"
)]
pub(crate) fn check(gate: &Gate, charge: Charge) {
    let Some((quota, cost)) = charge.quota else {
        return;
    };
    let name = quota.name();
    if let Some(flaw) = gate.flaw_of(quota) {
        panic!("the quota {name:?} cannot be used: {flaw}");
    }
    if cost == 0 {
        panic!("a request that takes nothing of the quota {name:?}: name a cost, or leave it out");
    }
}

/// What becomes of a request that an outer guard of the same gate has let in, and charged.
pub(super) fn behind_outer(
    guard: &Guard,
    caller: &Principal,
    access: &Access,
    charge: Charge,
) -> Verdict {
    let (key_id, rule) = (Some(caller.key_id()), access.rule());
    let charge = match access {
        #[cfg(feature = "tonic")]
        Access::Open => Charge::of(0),
        _ => Charge {
            own: charge.own.saturating_sub(1),
            ..charge
        },
    };
    let bill = match caller.bill(charge) {
        Ok(Some(bill)) => bill,
        Ok(None) => {
            return match rule.map_or(Ok(()), |rule| caller.authorize(rule)) {
                Ok(()) => Verdict::Pass(guard.passed(caller)),
                Err(rejection) => Verdict::refuse(rejection, key_id),
            };
        }
        Err(error) => {
            let refusal = Refusal::from(error);
            caller.tell_refused(&refusal);
            return Verdict::refuse(refusal, key_id);
        }
    };
    match caller.gate().limiter.take_here_now(bill) {
        Some(taken) => {
            let taken = taken.inspect_err(|refusal| caller.tell_refused(refusal));
            match settle(caller, rule, taken) {
                Ok(caller) => Verdict::Admit(caller),
                Err(refusal) => Verdict::refuse(refusal, key_id),
            }
        }
        None => Verdict::Ask(ask(caller.clone(), rule.cloned(), charge)),
    }
}

fn ask(caller: Principal, rule: Option<Rule>, charge: Charge) -> Decision {
    Box::pin(async move {
        let taken = caller.charge(charge).await;
        settle(&caller, rule.as_ref(), taken)
            .inspect_err(|refusal| telemetry::refused(refusal, Some(caller.key_id())))
    })
}

/// Whoever lacks a scope has paid, as where there is one guard.
fn settle(
    caller: &Principal,
    rule: Option<&Rule>,
    taken: Result<Vec<LimitState>, Refusal>,
) -> Result<Principal, Refusal> {
    let limits = caller.tell(taken)?;
    if let Some(rule) = rule {
        caller.authorize(rule)?;
    }
    Ok(caller.clone().with_limits(limits))
}
