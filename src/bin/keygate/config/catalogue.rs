//! The scopes that the service declares, so that no key is issued with a misspelt one.

use std::collections::BTreeMap;

use keygate::{Bundle, Catalogue, DeclaredScope, Scope};
use serde::Deserialize;

use crate::failure::Failure;

/// Each scope with what it allows: `"orders:read" = "See orders."`.
pub(super) type ScopesFile = BTreeMap<String, String>;

/// Each bundle with its scopes: `"orders:admin" = ["orders:read", "orders:write"]`.
pub(super) type BundlesFile = BTreeMap<String, BundleFile>;

#[derive(Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "a bundle is a list of scopes, or a table with scopes and a description"
)]
pub(super) enum BundleFile {
    Scopes(Vec<String>),
    Described {
        scopes: Vec<String>,
        description: String,
    },
}

/// The catalogue of these scopes and bundles; none where none are declared.
pub(super) fn catalogue(
    scopes: &ScopesFile,
    bundles: &BundlesFile,
) -> Result<Option<Catalogue>, Failure> {
    check(scopes, bundles)?;
    if scopes.is_empty() {
        return Ok(None);
    }
    let declared: Vec<DeclaredScope> = scopes
        .iter()
        .map(|(name, description)| DeclaredScope::new(leaked(name), leaked(description)))
        .collect();
    let bundled = bundles.iter().map(|(name, bundle)| {
        let (parts, description) = bundle.parts();
        let of_it = |scope: &&DeclaredScope| parts.iter().any(|part| part == scope.name());
        let scopes: Vec<DeclaredScope> = declared.iter().filter(of_it).copied().collect();
        Bundle::new(leaked(name), leaked(description), scopes.leak())
    });
    let bundled: Vec<Bundle> = bundled.collect();
    Ok(Some(Catalogue::new(declared.leak(), bundled.leak())))
}

/// Says what the catalogue would not be made of.
fn check(scopes: &ScopesFile, bundles: &BundlesFile) -> Result<(), Failure> {
    for name in scopes.keys() {
        check_name(name).map_err(|problem| flaw("scopes", name, &problem))?;
    }
    for (name, bundle) in bundles {
        check_name(name).map_err(|problem| flaw("bundles", name, &problem))?;
        if scopes.contains_key(name) {
            let problem = "a scope has the same name: give the bundle another";
            return Err(flaw("bundles", name, problem));
        }
        let (parts, _) = bundle.parts();
        if parts.is_empty() {
            return Err(flaw("bundles", name, "it has no scope: name some"));
        }
        if let Some(part) = parts.iter().find(|part| !scopes.contains_key(*part)) {
            let problem = format!("{part:?} is not declared: write it under [scopes]");
            return Err(flaw("bundles", name, &problem));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), String> {
    let scope: Scope = name
        .parse()
        .map_err(|error: keygate::ScopeError| error.to_string())?;
    match scope.has_wildcard() {
        true => Err("a service declares scopes without wildcards, which only keys hold".into()),
        false => Ok(()),
    }
}

fn flaw(part: &str, name: &str, problem: &str) -> Failure {
    Failure::usage(format!("[{part}] {name:?}: {problem}"))
}

/// A catalogue is for constants. This program reads one, and ends soon.
fn leaked(text: &str) -> &'static str {
    text.to_owned().leak()
}

impl BundleFile {
    fn parts(&self) -> (&[String], &str) {
        match self {
            Self::Scopes(scopes) => (scopes, ""),
            Self::Described {
                scopes,
                description,
            } => (scopes, description),
        }
    }
}
