use ::utoipa::openapi::Ref;
use ::utoipa::openapi::path::{Operation, Paths};
use ::utoipa::openapi::security::SecurityRequirement;

use super::operations::operations_mut;
use super::{headers, problem, scheme_name};
use crate::guard::{Access, Guard};
use crate::scope::{Rule, Scope, ScopeSet};

impl Guard {
    /// Writes into every operation of `paths` what this guard asks for, and how it refuses.
    ///
    /// - `security` becomes what this guard asks for, whatever it was: one alternative for each
    ///   way to send a key, with the scopes of the rule, and for each scope of a rule that any of
    ///   several satisfies. Where a key is optional, nothing at all is an alternative too. Of two
    ///   guards around one route the last one to document it is shown: put all scopes into one rule.
    ///   What a handler asks in itself, by [`Authorized`](crate::Authorized), is not known here
    ///   either: put it into the guard's rule.
    /// - A rule that [only reports](crate::Rule::report_only) asks for a valid key, and the operation's
    ///   description gets a note of the scopes that it would ask for.
    /// - Where [callers are told of the end of their keys](crate::Builder::tell_callers_of_end), or
    ///   [how their limits stand](crate::Builder::tell_rate_limits), the responses of success that an
    ///   operation declares get the headers.
    /// - References to the responses 400, 401, 403, 429 and 503 are added, except where an operation
    ///   declares a response of that status itself. 403 is one of them without a rule too, because
    ///   any key may be bound to networks.
    ///
    /// The references point to what [`Keygate`](crate::Keygate) adds to a document as a
    /// [`Modify`](::utoipa::Modify).
    pub fn document(&self, paths: &mut Paths) {
        for (path, item) in &mut paths.paths {
            let Some(access) = self.access(path) else {
                continue;
            };
            let Some(security) = self.security(access) else {
                continue;
            };
            for operation in operations_mut(item) {
                operation.security = Some(security.clone());
                if let Some(rule) = access.rule().filter(|rule| rule.is_report_only()) {
                    note(operation, rule);
                }
                if self.answers().end_notice().is_some() {
                    headers::add_to(operation, &headers::END);
                }
                if self.answers().tells_limits() {
                    headers::add_to(operation, &headers::LIMITS);
                }
                for (status, refusal) in &problem::REFUSALS {
                    let responses = &mut operation.responses.responses;
                    let own = responses.entry((*status).to_owned());
                    own.or_insert_with(|| Ref::from_response_name(refusal.name).into());
                }
            }
        }
    }

    /// The alternatives of which a request has to satisfy one, unless it needs nothing.
    fn security(&self, access: &Access) -> Option<Vec<SecurityRequirement>> {
        let (sets, optional): (Vec<&[Scope]>, bool) = match access {
            #[cfg(feature = "tonic")]
            Access::Open => return None,
            Access::KeyIfAny => (vec![&[]], true),
            Access::Key => (vec![&[]], false),
            Access::Scopes(rule) if rule.is_report_only() => (vec![&[]], false),
            Access::Scopes(rule) => (rule.sufficient_sets(), false),
        };
        let alternatives = sets.into_iter().flat_map(|scopes| {
            self.answers().credentials().ways().map(move |way| {
                SecurityRequirement::new(scheme_name(way), scopes.iter().map(Scope::as_str))
            })
        });
        let nothing = optional.then(SecurityRequirement::default);
        Some(alternatives.chain(nothing).collect())
    }
}

/// Tells callers of a rule that refuses nobody yet, once.
fn note(operation: &mut Operation, rule: &Rule) {
    let lacking = rule.missing_from(&ScopeSet::default());
    let note =
        format!("A rule that asks for {lacking} is being tried: a key without is let through.");
    let description = operation.description.get_or_insert_default();
    if description.contains(&note) {
        return;
    }
    if !description.is_empty() {
        description.push_str("\n\n");
    }
    description.push_str(&note);
}
