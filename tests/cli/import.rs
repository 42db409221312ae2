//! Taking over keys of another system.

use std::fmt::Write as _;

use keygate::{Attempt, ForeignFormat, Keygate};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::{PREFIX, World, snapshot};

const LARAVEL: &str = include_str!("../data/imports/laravel-sanctum.json");

/// The tokens of a shop on Laravel.
const SHOP: &str = "[foreign.shop]\nrecipe = \"laravel_sanctum\"\n";

/// A store whose settings accept them.
fn shop() -> World {
    World::declaring(SHOP)
}

fn import<'a>(world: &World, more: impl IntoIterator<Item = &'a str>) -> crate::support::Ran {
    let arguments = ["import", "tokens.csv", "--format", "shop"];
    world.run(arguments.into_iter().chain(more))
}

/// The texts of the first keys that Laravel has made, and what it has stored of them.
fn tokens() -> Vec<(String, String)> {
    let data: Value = serde_json::from_str(LARAVEL).unwrap();
    let keys = data["variants"][0]["keys"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    keys.iter()
        .map(|key| (text(&key["text"]), text(&key["stored"])))
        .collect()
}

/// So many rows of other texts, each numbered.
fn many(rows: usize) -> String {
    let mut table = "label,hash\n".to_owned();
    for row in 1..=rows {
        let hash = Sha256::digest(format!("{row:040}"));
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(table, "{row},{hex}").unwrap();
    }
    table
}

async fn gate(world: &World) -> Keygate {
    let format = ForeignFormat::laravel_sanctum("shop");
    let builder = world.gate().await.accept_foreign(format);
    builder.build().await.unwrap()
}

fn keys(world: &World) -> Vec<Value> {
    let listed = world.run(["list", "--limit", "100000", "--json"]).json();
    listed["keys"].as_array().unwrap().clone()
}

#[tokio::test]
async fn old_texts_open_and_have_what_their_rows_say() {
    let world = shop();
    let tokens = tokens();
    let table = format!(
        "label,hash,owner,name,scopes,environment,expires_at,never_expires,allowed_ips,metadata.team\n\
         1,{},org_1,One,orders:read orders:write,acme_live,2999-01-31,,10.0.0.0/8 10.1.2.3,Payments\n\
         2,{},org_2,,,,,true,,\n\
         3,{},,,,,,,,\n",
        tokens[0].1, tokens[1].1, tokens[2].1
    );
    world.write("tokens.csv", &table);
    let flags = [
        "--owner",
        "shop",
        "--scope",
        "orders:see",
        "--expires-in",
        "30d",
        "--metadata",
        "from=shop",
        "--metadata",
        "team=none",
    ];
    let dry = flags.into_iter().chain(["--dry-run"]);
    snapshot!("import_dry_run", import(&world, dry).done().shown());
    assert!(keys(&world).is_empty());
    snapshot!("import", import(&world, flags).done().shown());
    let again = import(&world, flags.into_iter().chain(["--json"])).json();
    snapshot!(
        "import_again_json",
        serde_json::to_string_pretty(&again).unwrap()
    );

    let keys = keys(&world);
    let of = |owner: &str| keys.iter().find(|key| key["owner"] == owner).unwrap();
    let (one, two, three) = (of("org_1"), of("org_2"), of("shop"));
    assert_eq!(one["name"], "One");
    assert_eq!(
        one["scopes"],
        serde_json::json!(["orders:read", "orders:write"])
    );
    assert_eq!(one["expires_at"], "2999-01-31T00:00:00.000Z");
    assert_eq!(one["allowed_ips"].as_array().unwrap().len(), 2);
    assert_eq!(
        one["metadata"],
        serde_json::json!({ "from": "shop", "team": "Payments" })
    );
    assert_eq!(
        (&two["name"], &two["expires_at"]),
        (&"shop 2".into(), &Value::Null)
    );
    assert_eq!(two["scopes"], serde_json::json!(["orders:see"]));
    assert!(three["expires_at"].is_string());

    let gate = gate(&world).await;
    for (n, opens) in [(1, true), (2, true), (3, false)] {
        let attempt = Attempt::new(&tokens[n].0);
        let opened = gate.authenticator().authenticate(attempt).await;
        assert_eq!(opened.is_ok(), opens, "{n}");
    }
}

#[test]
fn nothing_is_imported_where_any_row_is_bad_and_each_is_named() {
    let world = shop();
    let hash = &tokens()[0].1;
    let mut table = "label,hash,owner,scopes,expires_at,never_expires,allowed_ips\n".to_owned();
    writeln!(table, "1,{hash},org_1,,,,").unwrap();
    for bad in [
        "2,zz,a,,,,".to_owned(),
        format!("2,{},a,,,,", &hash[..62]),
        format!(",{hash},a,,,,"),
        format!("x,{hash},a,,,,"),
        format!("2,{hash},,,,,"),
        "2,,a,,,,".into(),
        format!("2,{hash},a,orders read**,,,"),
        format!("2,{hash},a,,2001-01-01,,"),
        format!("2,{hash},a,,soon,,"),
        format!("2,{hash},a,,,maybe,"),
        format!("2,{hash},a,,2999-01-01,true,"),
        format!("2,{hash},a,,,,10.0.0.0/33"),
        format!("1,{hash},org_2,,,,"),
        format!("2,{hash},a"),
    ] {
        writeln!(table, "{bad}").unwrap();
    }
    for _ in 0..8 {
        writeln!(table, "2,zz,a,,,,").unwrap();
    }
    world.write("tokens.csv", &table);
    snapshot!("import_bad_rows", import(&world, []).failed(2).shown());
    assert!(keys(&world).is_empty());
}

#[test]
fn columns_are_those_that_are_known_and_values_of_others_are_not_shown() {
    let world = shop();
    let (text, hash) = &tokens()[0];
    world.write(
        "tokens.csv",
        &format!("label,hash,scope\n1,{hash},orders:read\n"),
    );
    snapshot!(
        "import_unknown_column",
        import(&world, []).failed(2).shown()
    );
    for headings in [
        "label,owner".to_owned(),
        "label,hash,hash".into(),
        "label,hash,metadata.".into(),
        String::new(),
        format!("1,{hash}"),
        format!("1,{text}"),
        format!("label,hash\n1,{text}"),
        format!("label,hash,scopes\n1,{hash},{text}**"),
    ] {
        world.write("tokens.csv", &format!("{headings}\n"));
        let ran = import(&world, ["--owner", "a"]).failed(2);
        assert!(
            !ran.err.contains(hash) && !ran.err.contains(&text[2..]),
            "{}",
            ran.err
        );
    }
    assert!(keys(&world).is_empty());
}

#[test]
fn a_format_is_declared_before_keys_of_it_come() {
    let world = shop();
    world.write("tokens.csv", &many(1));
    let of = |format| world.run(["import", "tokens.csv", "--owner", "a", "--format", format]);
    snapshot!("import_unknown_format", of("laravel").failed(2).shown());
    let world = World::new();
    snapshot!(
        "import_no_format",
        world
            .run(["import", "tokens.csv", "--format", "shop"])
            .failed(2)
            .shown()
    );
}

#[test]
fn a_row_that_fails_in_the_middle_is_named_with_what_was_done() {
    let world = shop();
    let table = many(3);
    let rows: Vec<&str> = table.lines().collect();
    world.write("tokens.csv", &format!("{}\n{}\n", rows[0], rows[2]));
    import(&world, ["--owner", "other"]).done();
    world.write("tokens.csv", &table);
    let ran = import(&world, ["--owner", "a"]).failed(4);
    snapshot!("import_broken_off", ran.shown());
    assert_eq!(keys(&world).len(), 2);
}

#[test]
fn a_table_can_come_on_standard_input_and_be_missing() {
    let world = shop();
    let arguments = ["import", "-", "--format", "shop", "--owner", "a", "--json"];
    let done = world.run_with(many(2), arguments).json();
    assert_eq!((&done["imported"], &done["known"]), (&2.into(), &0.into()));
    snapshot!("import_no_file", import(&world, []).failed(2).shown());
}

/// A format as it is declared, how its hashes are written, and a key that the other system has made.
fn of_other_systems() -> Vec<(&'static str, &'static str, Value)> {
    let key = |file: &str, variant: usize| {
        let data: Value = serde_json::from_str(file).unwrap();
        data["variants"][variant]["keys"][0].clone()
    };
    vec![
        (
            "recipe = \"better_auth\"",
            "base64",
            key(include_str!("../data/imports/better-auth.json"), 0),
        ),
        (
            "recipe = \"djangorestframework_api_key\"",
            "django",
            key(
                include_str!("../data/imports/djangorestframework-api-key.json"),
                0,
            ),
        ),
        (
            "recipe = \"laravel_sanctum\"\nsecret_prefix = \"acme_pat_\"",
            "hex",
            key(LARAVEL, 1),
        ),
        (
            "recipe = \"prefixed_api_key\"\nprefix = \"mycompany\"",
            "hex",
            key(include_str!("../data/imports/prefixed-api-key.json"), 0),
        ),
        (
            "recipe = \"unkey\"\nprefix = \"acme_\"",
            "base64",
            key(include_str!("../data/imports/unkey.json"), 0),
        ),
        (
            "hashing = \"sha256\"\nalphabet = \"alphanumeric\"\nlength = [40, 48]\n\
             hashes_secret_alone = true\nenvironment = \"acme_live\"\n\
             label = { alphabet = { of = \"0123456789\" }, length = [1, 20], separator = \"|\" }",
            "hex",
            key(LARAVEL, 0),
        ),
    ]
}

#[test]
fn keys_of_every_recipe_are_found_by_their_texts() {
    for (declaration, encoding, key) in of_other_systems() {
        let world = World::declaring(&format!("[foreign.old]\n{declaration}\n"));
        let text = key["text"].as_str().unwrap();
        let labelled = [("id", "|"), ("shortToken", "_")];
        let label = labelled
            .iter()
            .find_map(|(name, _)| match &key["columns"][name] {
                Value::Number(number) => Some(number.to_string()),
                Value::String(text) if encoding == "hex" => Some(text.clone()),
                _ => None,
            });
        let hash = key["stored"].as_str().unwrap();
        let table = match label {
            Some(label) => format!("hash,label\n{hash},{label}\n"),
            None => format!("hash\n{hash}\n"),
        };
        let arguments = [
            "import",
            "-",
            "--format",
            "old",
            "--owner",
            "org_42",
            "--hash-encoding",
            encoding,
        ];
        world.run_with(table, arguments).done();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let found = runtime.block_on(async {
            let builder = world.gate().await.accept_foreign(format(declaration));
            let manager = builder.build_manager().await.unwrap();
            manager.find(text).await.unwrap()
        });
        assert_eq!(found.unwrap().info.owner, "org_42", "{declaration}");
    }
}

/// The same format, as a service declares it.
fn format(declaration: &str) -> ForeignFormat {
    let is = |recipe: &str| declaration.contains(recipe);
    match () {
        () if is("better_auth") => ForeignFormat::better_auth("old"),
        () if is("djangorestframework") => ForeignFormat::djangorestframework_api_key("old"),
        () if is("acme_pat_") => ForeignFormat::laravel_sanctum("old").secret_prefix("acme_pat_"),
        () if is("prefixed_api_key") => ForeignFormat::prefixed_api_key("old", "mycompany"),
        () if is("unkey") => ForeignFormat::unkey("old").prefix("acme_"),
        () => ForeignFormat::laravel_sanctum("old"),
    }
}

#[tokio::test]
async fn the_key_of_an_hmac_is_read_from_its_file() {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let world = World::declaring(
        "[foreign.old]\nhashing = \"hmac_sha256\"\nhash_key_file = \"hash.key\"\n\
         alphabet = \"hex\"\nlength = [64, 64]\nprefix = \"old-\"\n",
    );
    world.write("hash.key", "the key of the others\n");
    let text = format!("old-{}", "0123456789abcdef".repeat(4));
    let mut mac = Hmac::<Sha256>::new_from_slice(b"the key of the others").unwrap();
    mac.update(text.as_bytes());
    let hash = mac.finalize().into_bytes();
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let arguments = ["import", "-", "--format", "old", "--owner", "org_42"];
    world.run_with(format!("hash\n{hex}\n"), arguments).done();
    let hashing = keygate::Hashing::hmac_sha256(b"the key of the others").unwrap();
    let same = ForeignFormat::new("old", hashing, keygate::Alphabet::HEX, 64..=64).prefix("old-");
    let builder = world.gate().await.accept_foreign(same);
    let manager = builder.build_manager().await.unwrap();
    let found = manager.find(&text).await.unwrap();
    assert_eq!(found.unwrap().info.environment.as_str(), PREFIX);
    // Under another key they would not open, and that is said at once.
    world.write("hash.key", "another key");
    let ran = world.run(["list"]).failed(2);
    assert!(ran.err.contains("\"old\""), "{}", ran.err);
    assert!(!ran.err.contains("another key"));
}
