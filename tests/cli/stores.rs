//! Every command that touches a store answers the same on each of them.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

use crate::servers::postgres::PostgresServer;
use crate::servers::redis::RedisServer;
use crate::support::World;

/// A step: what is typed, what is on standard input, and the name of the key that it makes. `{a}` is the id
/// of the key that was named so, and `<a>` its text.
struct Step {
    typed: &'static str,
    input: &'static str,
    makes: &'static str,
    code: i32,
}

const fn step(typed: &'static str) -> Step {
    Step {
        typed,
        input: "",
        makes: "",
        code: 0,
    }
}

impl Step {
    const fn with(self, input: &'static str) -> Self {
        Self { input, ..self }
    }

    const fn makes(self, makes: &'static str) -> Self {
        Self { makes, ..self }
    }

    const fn ends(self, code: i32) -> Self {
        Self { code, ..self }
    }
}

const STEPS: &[Step] = &[
    step("issue --owner org_1 --name CI --scope orders:read,write --expires-in 30d --allow-ip 10.0.0.0/8 --rate-limit 60/min --metadata team=payments").makes("a"),
    step("issue --owner org_2 --scope orders:read --never-expires").makes("b"),
    step("issue --like {a} --owner org_3 --name copy").makes("c"),
    step("issue --owner org_4 --canary").makes("d"),
    step("issue --owner org_5 --like 000000000000").ends(3),
    step("list"),
    step("list --owner org_1"),
    step("list --status canary"),
    step("list --match payments"),
    step("show {a}"),
    step("show 000000000000").ends(3),
    step("rotate {a} --overlap 1h").makes("e"),
    step("rotate {a}").ends(4),
    step("show {a}"),
    step("verify --scope orders:read --from 10.1.2.3").with("<a>"),
    step("verify --scope orders:read --from 10.1.2.3").with("<e>"),
    step("verify --scope orders:void --from 10.1.2.3").with("<e>").ends(5),
    step("verify --from 192.0.2.1").with("<e>").ends(5),
    step("verify").with("<d>").ends(5),
    step("rotate {a} --supersede --yes").makes("f"),
    step("verify --from 10.1.2.3").with("<e>").ends(5),
    step("rotate {a} --finish --yes"),
    step("verify --from 10.1.2.3").with("<a>").ends(5),
    step("disable {b} --yes"),
    step("verify").with("<b>").ends(5),
    step("enable {b}"),
    step("scopes {a}"),
    step("scopes {a} --add orders:void"),
    step("scopes {a} --drop orders:write --yes"),
    step("change {a} --name Nightly --never-expires --metadata ticket=7"),
    step("scan --identify").with("x <f> y <e> z").ends(5),
    step("import - --format old").with("hash,owner,scopes\n1111111111111111111111111111111111111111111111111111111111111111,org_6,orders:read\n"),
    step("import - --format old").with("hash,owner,scopes\n1111111111111111111111111111111111111111111111111111111111111111,org_6,orders:read\n"),
    step("report idle --for 1d"),
    step("report old --age 0s"),
    step("report over-privileged --within 1d"),
    step("report expiring --within 60d"),
    step("report pepper"),
    step("pepper retire 1 --yes").ends(2),
    step("leak --yes --source https://example.com/x").with("<c>"),
    step("leak --yes").with("<c>"),
    step("rotate {c}").ends(4),
    step("enable {c}").ends(4),
    step("revoke {a} {b} --yes --reason gone"),
    step("revoke {a} --yes"),
    step("revoke --owner org_2 --yes"),
    step("revoke --owner nobody --yes").ends(3),
    step("verify --from 10.1.2.3").with("<f>").ends(5),
    step("audit"),
    step("audit --key {a} --action revoked"),
    step("list --status revoked"),
    step("report pepper"),
    step("init"),
];

/// Commands that touch none.
const WITHOUT_STORE: [&str; 3] = ["completions", "man", "rules"];

const FOREIGN: &str =
    "\n[foreign.old]\nhashing = \"sha256\"\nalphabet = \"hex\"\nlength = [40, 40]\n";

/// What all steps have answered on a store, with names for ids and texts, and one moment for all.
fn answers(store: &str) -> Vec<String> {
    let world = World::on(store);
    let settings = world.read("keygate.toml");
    world.write("keygate.toml", &format!("{settings}{FOREIGN}"));
    let mut known: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut answers = Vec::new();
    for step in STEPS {
        let filled = |text: &str| {
            known
                .iter()
                .fold(text.to_owned(), |text, (name, (id, key))| {
                    text.replace(&format!("{{{name}}}"), id)
                        .replace(&format!("<{name}>"), key)
                })
        };
        let typed = filled(step.typed);
        let arguments = typed.split(' ').chain(["--json"]);
        let ran = world.run_with(filled(step.input), arguments);
        assert_eq!(ran.code, step.code, "{}", ran.shown());
        let answer: Value = serde_json::from_str(&ran.out).unwrap_or_default();
        has_the_form_of_all(&answer, &typed);
        if !step.makes.is_empty() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let key = (text(&answer["info"]["key_id"]), text(&answer["key"]));
            known.insert(step.makes.into(), key);
        }
        let mut shown = serde_json::to_string_pretty(&sorted(answer)).unwrap();
        shown.push_str(&ran.err);
        // Texts first: there are ids in them.
        for (name, (_, key)) in &known {
            shown = shown.replace(key, &format!("<{name}>"));
        }
        for (name, (id, _)) in &known {
            let named = format!("{{{name}}}");
            shown = shown.replace(id, &named);
            shown = shown.replace(&format!("_{}…", &id[..4]), &format!("_{named}…"));
        }
        answers.push(format!("$ {}\n{}", step.typed, without_moments(&shown)));
    }
    answers
}

/// What the documentation promises of every answer.
fn has_the_form_of_all(answer: &Value, typed: &str) {
    for (field, part) in [
        ("keys", "key_id"),
        ("unreadable", "problem"),
        ("failed", "problem"),
    ] {
        let Some(items) = answer.get(field) else {
            continue;
        };
        let items = items.as_array().unwrap();
        let has_part = items.iter().all(|item| item[part].is_string());
        assert!(has_part, "{typed}: {field}: {answer}");
    }
    if let Some(info) = answer.get("info") {
        assert!(
            info.is_null() || info["key_id"].is_string(),
            "{typed}: {answer}"
        );
    }
}

/// Keys are in the order of their ids, which are made at random.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(mut items) => {
            if items.iter().any(|item| item.get("key_id").is_some()) {
                items.sort_by_key(|item| (item["owner"].to_string(), item["name"].to_string()));
            }
            items.into_iter().map(sorted).collect()
        }
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, sorted(value)))
            .collect(),
        other => other,
    }
}

fn without_moments(text: &str) -> String {
    let moment = Regex::new(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d\.\d{3}Z| UTC)").unwrap();
    moment.replace_all(text, "[moment]").into_owned()
}

#[test]
fn every_command_answers_the_same_on_every_store() {
    let expected = answers("keys.db");
    let typed: Vec<&str> = STEPS
        .iter()
        .map(|step| step.typed.split(' ').next().unwrap())
        .collect();
    let world = World::empty();
    let help = world.run(["--help"]).done().out;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let lines = commands.lines().take_while(|line| !line.is_empty());
    // What is said of one may take several lines.
    for line in lines.filter(|line| !line.starts_with("   ")) {
        let command = line.split_whitespace().next().unwrap();
        let is_known = typed.contains(&command) || WITHOUT_STORE.contains(&command);
        assert!(is_known, "no step has the command {command}");
    }
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let servers = [
        postgres.as_ref().map(PostgresServer::url),
        redis.as_ref().map(RedisServer::url),
    ];
    for url in servers.into_iter().flatten() {
        let scheme = url.split(':').next().unwrap().to_owned();
        for (there, here) in answers(&url).iter().zip(&expected) {
            assert_eq!(there, here, "{scheme}");
        }
    }
}
