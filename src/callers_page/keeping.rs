use std::time::Duration;

use super::calling::failure;
use super::document::{Document, Text};
use super::facts::{Facts, spelt};
use crate::answer::{EXPIRES, ROTATE_BY};
use crate::changes::FRESH_FOR;
use crate::key::{CHECKSUM_LEN, ID_LEN, Prefix, SECRET_LEN};
use crate::scope::{Bundle, Catalogue, DeclaredScope, Scope, ScopeSet};

/// What is to be known for as long as a key is held.
pub(super) fn write(document: &mut Document, facts: &Facts) {
    scopes(document, facts);
    lifetimes(document, facts);
    rotation(document, facts);
    leaks(document, facts);
    operators(document);
}

fn scopes(document: &mut Document, facts: &Facts) {
    document.section("scopes", "Scopes");
    document.say("A key may do what its scopes allow, and without any only what every key may.");
    if let Some(catalogue) = facts.catalogue {
        let row =
            |scope: &DeclaredScope| [Text::code(scope.name()), Text::plain(scope.description())];
        document.table(
            ["Scope", "What it allows"],
            catalogue.scopes().iter().map(row),
        );
        bundles(document, catalogue.bundles());
        wildcards(document, catalogue);
    }
    document.say(
        Text::from("A route that asks for more answers ")
            .and(failure("scope_insufficient"))
            .and(", and names what is missing in `missing_scopes`. Ask for that alone."),
    );
}

fn bundles(document: &mut Document, bundles: &[Bundle]) {
    if bundles.is_empty() {
        return;
    }
    document.say(
        "These names stand for several scopes when you ask for a key. The key gets the \
         scopes themselves, as they are then:",
    );
    let row = |bundle: &Bundle| {
        [
            Text::code(bundle.name()),
            Text::codes(bundle.scopes().iter().map(|scope| scope.name())),
            Text::plain(bundle.description()),
        ]
    };
    document.table(
        ["Bundle", "Stands for", "What it allows"],
        bundles.iter().map(row),
    );
}

/// What a `*` would open, by the first scope that has segments.
fn wildcards(document: &mut Document, catalogue: Catalogue) {
    let example = catalogue.scopes().iter().find_map(|scope| {
        let (parent, _) = scope.name().rsplit_once(':')?;
        Some(format!("{parent}:*"))
    });
    let Some(example) = example else {
        return;
    };
    let Ok(granted) = ScopeSet::parse([&example]) else {
        return;
    };
    let opened = |scope: &&DeclaredScope| {
        let scope = scope.name().parse::<Scope>();
        scope.is_ok_and(|scope| granted.grants(&scope))
    };
    let opened = catalogue.scopes().iter().filter(opened);
    document.say(
        Text::from(
            "In the scopes of a key, `*` stands for any one segment, and `**` at the end \
             for one or more: ",
        )
        .and_code(&example)
        .and(" opens ")
        .and(Text::codes(opened.map(|scope| scope.name())))
        .and(", and what is added there later."),
    );
}

fn lifetimes(document: &mut Document, facts: &Facts) {
    document.section("lifetimes", "How long a key lasts");
    let policy = facts.policy;
    let lasts = format!(
        "A key lasts {} from its issue, unless something else was agreed.",
        spelt(policy.default_lifetime)
    );
    let mut items = vec![
        Text::plain(lasts),
        match policy.max_lifetime {
            Some(max) => Text::plain(format!(
                "No key lasts longer than {} from its issue.",
                spelt(max)
            )),
            None => "A key may also be agreed to last longer, or not to expire at all.".into(),
        },
        Text::from("From its end on, it is refused as ")
            .and(failure("key_expired"))
            .and(
                ". A key that has ended is not brought back: ask in time for a later end, or \
                 for another key.",
            ),
        Text::from("A key that is revoked is refused as ")
            .and(failure("key_revoked"))
            .and(", in every process of the service, ")
            .and_plain(spelt(FRESH_FOR))
            .and(" after the revocation at the latest."),
    ];
    items.extend(facts.answers.end_notice().map(end_notice));
    document.list(items);
}

fn end_notice(within: Duration) -> Text {
    Text::from("From ")
        .and_plain(spelt(within))
        .and(" before the end of a key on, responses have the header ")
        .and_code(EXPIRES)
        .and(", with its moment as in RFC 3339. If the text that you send ends before its key, it is ")
        .and_code(ROTATE_BY)
        .and(": use the newer text, or ")
        .and(Text::link("#rotation", "rotate"))
        .and(". Have your programs look for both, and tell you.")
}

fn rotation(document: &mut Document, facts: &Facts) {
    let policy = facts.policy;
    document.section("rotation", "Rotation without an outage");
    document.say(
        "A rotation gives a key a new secret. Its id, its scopes and its end stay: no text works \
         past the end of the key.",
    );
    if let Some(age) = policy.max_secret_age {
        document.say(
            Text::plain(format!(
                "It has to be done in time: no text works for longer than {} from when it was made. ",
                spelt(age)
            ))
            .and("Then it is refused as ")
            .and(failure("key_expired"))
            .and(", and only whoever runs the service can give the key a new one."),
        );
    }
    if policy.max_overlap.is_zero() {
        document.say(
            "This service allows no overlap: a rotation ends the old text at once. For a change \
             without an outage, ask for a second key, put it in the place of the first one \
             everywhere, and then have the first one revoked.",
        );
        if let Some(line) = facts.curl_to_rotate() {
            document.say("To rotate without a second key, send this, with the old text in `$KEY`:");
            document.code("sh", line);
        }
        return;
    }
    document.say("For a while, the overlap, the old text and the new one both work:");
    document.table(
        ["Overlap", "How long"],
        [
            [
                "unless you ask for another".into(),
                Text::plain(spelt(policy.default_overlap)),
            ],
            ["at most".into(), Text::plain(spelt(policy.max_overlap))],
        ],
    );
    let line = facts.curl_to_rotate();
    document.say(match (&line, policy.default_overlap.is_zero()) {
        (None, false) => "Ask for a rotation.",
        (None, true) => {
            "Ask for a rotation, and say how long the overlap is to be: without that, the old \
             text ends at once."
        }
        (Some(_), false) => "Send this, with the old text in `$KEY`:",
        (Some(_), true) => {
            "Send this, with the old text in `$KEY`. Unless it asks for an overlap, the old text \
             ends at once:"
        }
    });
    if let Some(line) = line {
        document.code("sh", line);
    }
    document.say("Then:");
    document.steps(vec![
        "You get a new text, which is shown once. Store it where you store secrets.".into(),
        "Put it in the place of the old one everywhere, and call once with it.".into(),
        Text::from(
            "When nothing uses the old text any more, ask for the rotation to be \
             finished, or wait: at the end of the overlap the old text is refused as ",
        )
        .and(failure("key_expired"))
        .and("."),
    ]);
    document.say(
        "While two texts work, the key cannot be rotated once more (`409`). If the new text is lost, ask \
         for it to be superseded: the old one works on until its end.",
    );
}

fn leaks(document: &mut Document, facts: &Facts) {
    document.section("leaks", "When a key leaks");
    document.say(
        "A key has leaked as soon as anybody may have seen it: in a repository, a log, a chat, a \
         URL. In this order:",
    );
    let pattern = pattern(facts);
    document.steps(vec![
        "Ask for it to be revoked at once, and for another. If you cannot be without it that \
         long, ask for a rotation with no overlap instead: with one, the leaked text works on \
         until the overlap ends."
            .into(),
        "Put the new text in its place.".into(),
        Text::from("Call with the leaked one. It must be refused, as ")
            .and(failure("key_revoked"))
            .and(" or ")
            .and(failure("key_expired"))
            .and("."),
        Text::from("Search for other copies, in history and logs too. This pattern finds keys: ")
            .and_code(pattern)
            .and("."),
        "Ask what the key was used for since it leaked, and close the leak. To delete the text \
         where it was seen does not make it secret again."
            .into(),
    ]);
}

/// What finds keys in other text, as an extended regular expression.
fn pattern(facts: &Facts) -> String {
    let environments = facts.environments;
    let declared = environments
        .all_accepted()
        .chain(environments.all_declined());
    let prefixes: Vec<&str> = declared.map(Prefix::as_str).collect();
    let rest = SECRET_LEN + CHECKSUM_LEN;
    format!(
        "({})_[0-9A-Za-z]{{{ID_LEN}}}_[0-9A-Za-z]{{{rest}}}",
        prefixes.join("|")
    )
}

fn operators(document: &mut Document) {
    document.section("operators", "What the operators of the service see");
    document.list(vec![
        "They see of a key: its prefix and id, its name and owner, its scopes, its times, its \
         networks, what was changed about it and when, and notes of their own."
            .into(),
        "They never see its secret. Only a keyed MAC of it is stored (HMAC-SHA-256), made with a \
         secret of the service that the database does not hold. The check of keys writes no key \
         to a log."
            .into(),
        "So a lost text cannot be shown again. Ask for a rotation: it gives the same key a new \
         one."
            .into(),
    ]);
}
