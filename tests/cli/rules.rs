//! Rules for the scanners of others.

use crate::support::{PREFIX, World, snapshot};

#[test]
fn rules_are_of_all_prefixes_and_need_nothing_else() {
    let world = World::empty();
    world.write(
        "keygate.toml",
        "prefix = \"acme_live\"\naccept_prefixes = [\"acme_test\"]\n",
    );
    let run = |scanner: &str| world.run(["rules", scanner]).done().shown();
    snapshot!("rules_gitleaks", run("gitleaks"));
    snapshot!("rules_trufflehog", run("trufflehog"));
    snapshot!("rules_github", run("github"));
    let json = world.run(["rules", "github", "--json"]).json();
    assert_eq!(json["after_secret"], r"\z|[\s\S]");
    let json = world.run(["rules", "gitleaks", "--json"]).json();
    assert!(json["rules"].as_str().unwrap().starts_with("[[rules]]"));
}

#[test]
fn a_prefix_that_is_none_is_refused() {
    let world = World::empty();
    world.run(["rules", "gitleaks"]).failed(2);
    world
        .run(["rules", "gitleaks", "--prefix", "Acme"])
        .failed(2);
    world.run(["rules", "nosuch", "--prefix", PREFIX]).failed(2);
}
