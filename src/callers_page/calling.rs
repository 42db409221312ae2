use super::document::{Document, Text};
use super::facts::{Facts, PLACEHOLDER};
use crate::credentials::Way;
use crate::key::{CHECKSUM_LEN, ID_LEN, SECRET_LEN, TAIL_LEN};

/// From the key in hand to the first call.
pub(super) fn write(document: &mut Document, facts: &Facts) {
    first_call(document, facts);
    sending(document, facts);
    format(document, facts);
}

fn first_call(document: &mut Document, facts: &Facts) {
    document.section("first-call", "The first call");
    document.say(
        "In bash or zsh, type this, paste your key and press Enter. The key is not shown, and \
         stays out of the shell's history:",
    );
    document.code("sh", "read -rs KEY");
    document.say("Then call:");
    let first = facts.credentials().ways().next();
    if let Some(way) = first {
        document.code("sh", facts.curl(way));
    }
    if facts.example_url.is_none() {
        let replace = Text::from("Put the URL that you want to call in the place of ");
        document.say(replace.and_code(PLACEHOLDER).and("."));
    }
    document.say(
        Text::from("If the answer is a success, you are done. If not, its `code` is explained in ")
            .and(Text::link("#failures", "When a call fails"))
            .and("."),
    );
    if let Some(way) = first {
        document.say(
            "Where others use the machine too, `ps` shows them the key in that line, and not in \
             this one:",
        );
        document.code("sh", facts.curl_from_input(way));
    }
}

fn sending(document: &mut Document, facts: &Facts) {
    document.section("sending", "Sending a key");
    let ways: Vec<Way> = facts.credentials().ways().collect();
    document.say(match ways.len() {
        1 => "A key is sent in this way, and in no other:",
        _ => "A key is sent in one of these ways:",
    });
    for way in ways {
        document.say(match way {
            Way::Basic => {
                "HTTP Basic, with the key as user name, and any password or none (RFC 7617):".into()
            }
            Way::Bearer => Text::from("The header `Authorization: Bearer KEY` (RFC 6750):"),
            Way::Header(name) => Text::from("The header ")
                .and_code(format!("{name}: KEY"))
                .and(":"),
        });
        document.code("sh", facts.curl(way));
    }
    let mut rules = vec![
        Text::from("Send exactly one, once. Two are refused as ")
            .and(failure("key_duplicated"))
            .and(", also if they are equal."),
        Text::from(
            "Never put a key into a URL, where logs and histories keep it: it is refused as ",
        )
        .and(failure("key_in_url"))
        .and(", and has then leaked. Keys are not read from bodies either."),
        "Send it over HTTPS alone.".into(),
        "Keep it on servers. A key in a web page, an app or a repository is public.".into(),
    ];
    if facts.answers.refused_exposure().is_some() {
        let refused = Text::from("A key that comes otherwise may be refused as ");
        rules.push(refused.and(failure("key_exposed")).and("."));
    }
    if facts.grpc {
        rules.push("Over gRPC, the same names are keys of the metadata, in lower case.".into());
    }
    document.list(rules);
}

fn format(document: &mut Document, facts: &Facts) {
    const ID: &str = "4KX9vQ2mB7tZ";
    document.section("key-format", "What a key looks like");
    let prefix = facts.environments.primary();
    let shape = format!(
        "{prefix}_{ID}_<{SECRET_LEN} characters of secret><{CHECKSUM_LEN} characters of checksum>"
    );
    document.code("text", shape);
    let length = prefix.as_str().len() + TAIL_LEN;
    document.table(
        ["Part", "In the example", "What it is"],
        [
            [
                "prefix".into(),
                Text::code(prefix.as_str()),
                "The environment that the key belongs to. Not secret.".into(),
            ],
            [
                "id".into(),
                Text::code(ID),
                Text::plain(format!(
                    "{ID_LEN} characters. It stays the same for the life of the key. Not secret."
                )),
            ],
            [
                "secret".into(),
                Text::plain(format!("{SECRET_LEN} characters")),
                "What proves that you hold the key. A rotation replaces it.".into(),
            ],
        ],
    );
    document.say(Text::plain(format!(
        "This example would be {length} characters long. Between underscores, only letters and \
         digits are used. Upper and lower case matter."
    )));
    let served = Text::from("Keys that work here begin with ").and(facts.served());
    document.say(served.and("."));
    if let Some(declined) = facts.declined() {
        let elsewhere = Text::from("Keys that begin with ").and(declined);
        let elsewhere = elsewhere.and(" belong to another environment, and are refused as ");
        document.say(elsewhere.and(failure("wrong_environment")).and("."));
    }
}

/// A link to the section of a failure.
pub(super) fn failure(code: &'static str) -> Text {
    Text::link(format!("#{code}"), code)
}
