//! What the file of settings declares: scopes, bundles, and keys of other systems.

use crate::support::{World, snapshot};

const SCOPES: &str = r#"
[scopes]
"orders:read" = "See orders."
"orders:write" = "Create orders."
"keys:read" = "See keys."

[bundles]
"orders:admin" = ["orders:read", "orders:write"]
"all:read" = { scopes = ["orders:read", "keys:read"], description = "See everything." }
"#;

#[test]
fn a_misspelt_scope_is_refused_and_the_nearest_named() {
    let world = World::declaring(SCOPES);
    let issue = |scope| world.run(["issue", "--owner", "org_42", "--scope", scope, "--json"]);
    snapshot!("catalogue_misspelt", issue("ordres:read").failed(2).shown());
    for (scope, granted) in [
        ("orders:admin", ["orders:read", "orders:write"]),
        ("all:read", ["keys:read", "orders:read"]),
        ("orders:write,read", ["orders:read", "orders:write"]),
    ] {
        let issued = issue(scope).json();
        assert_eq!(issued["info"]["scopes"], serde_json::json!(granted));
    }
}

#[test]
fn what_is_wrong_with_a_declaration_is_named() {
    for (declaration, says) in [
        (
            "[scopes]\n\"orders read\" = \"\"",
            "[scopes] \"orders read\"",
        ),
        (
            "[scopes]\n\"orders:*\" = \"\"",
            "[scopes] \"orders:*\": a service declares",
        ),
        (
            "[scopes]\n\"orders:read,write\" = \"\"",
            "a comma only abbreviates",
        ),
        ("[scopes]\na = \"\"\na = \"\"", "line 7"),
        (
            "[scopes]\na = \"\"\n[bundles]\na = [\"a\"]",
            "[bundles] \"a\": a scope has the same name",
        ),
        (
            "[scopes]\na = \"\"\n[bundles]\nb = [\"c\"]",
            "[bundles] \"b\": \"c\" is not declared",
        ),
        (
            "[bundles]\nb = [\"c\"]",
            "[bundles] \"b\": \"c\" is not declared",
        ),
        (
            "[scopes]\na = \"\"\n[bundles]\nb = []",
            "[bundles] \"b\": it has no scope",
        ),
        (
            "[scopes]\na = \"\"\n[bundles]\n\"b:**\" = [\"a\"]",
            "[bundles] \"b:**\"",
        ),
        (
            "[scopes]\na = \"\"\n[bundles]\nb = 1",
            "a bundle is a list of scopes",
        ),
        ("[foreign.old]", "[foreign.old] alphabet: it is missing"),
        (
            "[foreign.old]\nrecipe = \"nosuch\"",
            "line 6: unknown variant `nosuch`",
        ),
        (
            "[foreign.old]\nrecipe = \"unkey\"\nlength = [1, 2]",
            "[foreign.old] length: the recipe",
        ),
        (
            "[foreign.old]\nrecipe = \"prefixed_api_key\"",
            "[foreign.old] prefix: it is missing",
        ),
        (
            "[foreign.old]\nrecipe = \"unkey\"\nenvironment = \"acme_test\"",
            "\"old\" is of the environment",
        ),
        (
            "[foreign.Old]\nrecipe = \"unkey\"",
            "\"Old\" does not name a format",
        ),
        (
            "[foreign.a]\nrecipe = \"unkey\"\n[foreign.b]\nrecipe = \"unkey\"",
            "\"a\" and of \"b\" alike",
        ),
        (
            "[foreign.old]\nalphabet = \"nosuch\"",
            "an alphabet is alphanumeric",
        ),
        (
            "[foreign.old]\nalphabet = { of = \"a b\" }\nlength = [40, 48]",
            "[foreign.old] alphabet: ' ' cannot",
        ),
        (
            "[foreign.old]\nalphabet = \"hex\"\nlength = [64, 64]",
            "[foreign.old] hashing: it is missing",
        ),
        (
            "[foreign.old]\nalphabet = \"hex\"\nlength = [8, 64]\nhashing = \"sha256\"",
            "\"old\" has 32 bits",
        ),
        (
            "[foreign.old]\nalphabet = \"hex\"\nlength = [64, 64]\nhashing = \"sha512\"\nhash_key_file = \"k\"",
            "[foreign.old] hash_key_file: this hashing has no key",
        ),
        (
            "[foreign.old]\nalphabet = \"hex\"\nlength = [64, 64]\nhashing = \"hmac_sha256\"",
            "[foreign.old] hash_key_file: it is missing",
        ),
        (
            "[foreign.old]\nalphabet = \"hex\"\nlength = [64, 64]\nhashing = \"hmac_sha256\"\nhash_key_file = \"k\"",
            "k cannot be read",
        ),
    ] {
        let ran = World::declaring(declaration).run(["list"]).failed(2);
        assert!(ran.err.contains(says), "{declaration}: {}", ran.err);
    }
}
