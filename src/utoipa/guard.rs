use ::utoipa::openapi::Ref;
use ::utoipa::openapi::path::Paths;
use ::utoipa::openapi::security::SecurityRequirement;

use super::operations::operations_mut;
use super::{problem, scheme_name};
use crate::guard::{Access, Guard};
use crate::scope::Scope;

impl Guard {
    /// Writes into every operation of `paths` what this guard asks for, and how it refuses.
    ///
    /// - `security` becomes what this guard asks for, whatever it was: one alternative for each
    ///   way to send a key, with the scopes of the rule, and for each scope of a rule that any of
    ///   several satisfies. Where a key is optional, nothing at all is an alternative too. Of two
    ///   guards around one route the last one to document it is shown: put all scopes into one rule.
    ///   What a handler asks in itself, by [`Authorized`](crate::Authorized), is not known here
    ///   either: put it into the guard's rule.
    /// - References to the responses 400, 401, 403, 429 and 503 are added, except where an operation
    ///   declares a response of that status itself. 403 is one of them without a rule too, because
    ///   any key may be bound to networks.
    ///
    /// The references point to what [`Keygate`](crate::Keygate) adds to a document as a
    /// [`Modify`](::utoipa::Modify).
    pub fn document(&self, paths: &mut Paths) {
        for (path, item) in &mut paths.paths {
            let Some(security) = self.access(path).and_then(|access| self.security(access)) else {
                continue;
            };
            for operation in operations_mut(item) {
                operation.security = Some(security.clone());
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
