use super::advice::{Failure, failures};
use super::document::{Document, Text};
use super::facts::Facts;
use crate::answer::{Answer, grpc_name, phrase, title};
use crate::refusal::{Error, Refusal};

/// How to read a failure, and the table of all.
pub(super) fn write_table(document: &mut Document, facts: &Facts) {
    document.section("failures", "When a call fails");
    reading(document, facts);
    retrying(document);
    let row = |failure: &Failure| {
        let code = failure.refusal.code();
        [
            super::calling::failure(code),
            Text::plain(facts.answers.refuse(&failure.refusal).status.to_string()),
            failure.advice.retry.in_short(),
        ]
    };
    let failures = failures(facts);
    document.table(["Code", "Status", "Retry?"], failures.iter().map(row));
}

fn reading(document: &mut Document, facts: &Facts) {
    document
        .say("A refusal is a problem as in RFC 9457: JSON of the type `application/problem+json`.");
    let kind = match facts.answers.page() {
        Some(page) => Text::from("A URI: ").and_code(page).and(
            " with the code as fragment, which is its section here. Where it is \
                 `about:blank`, go by the code.",
        ),
        None => "Always `about:blank`: the code tells problems apart.".into(),
    };
    document.table(
        ["Member", "What it is"],
        [
            [
                Text::code("code"),
                "What went wrong. It is stable: let programs decide by it.".into(),
            ],
            [Text::code("type"), kind],
            [
                "`title`, `detail`".into(),
                "What went wrong, for people. The words may change: never parse them.".into(),
            ],
            [
                "`required_scopes`, `missing_scopes`".into(),
                Text::from("Only with ")
                    .and(super::calling::failure("scope_insufficient"))
                    .and(": scopes that would do, and those that the key lacks."),
            ],
        ],
    );
    document.say(
        "Routes have codes of their own, and new ones may come: judge one that is not in the table \
         by its status. An answer without a `code` is not from the check of keys, but from what \
         stands before or behind it.",
    );
    if facts.grpc {
        reading_grpc(document, facts);
    }
}

fn reading_grpc(document: &mut Document, facts: &Facts) {
    document.say(
        Text::from(
            "Over gRPC the same code, in capitals, is the `reason` of a `google.rpc.ErrorInfo`, \
             whose `domain` is ",
        )
        .and_code(facts.answers.realm())
        .and(", and `google.rpc.RetryInfo` says when to come back."),
    );
}

fn retrying(document: &mut Document) {
    document.list(vec![
        "`400`, `401` and `403` stay what they are until you change something. Do not retry them \
         in a loop; the table says which may be tried once more, and when."
            .into(),
        "`429` and `503` pass. Wait as long as `Retry-After` says, at least. Double the wait with \
         each further attempt, up to a minute; add a random part, so that not all your processes \
         come back at once; give up after some attempts."
            .into(),
        "The key is checked before a request is carried out. What was refused with a code of the \
         table and `400`, `401`, `403` or `429` has done nothing, so it may be sent again, whatever \
         its method."
            .into(),
    ]);
}

/// A section for each failure, whose anchor is its code.
pub(super) fn write_each(document: &mut Document, facts: &Facts) {
    document.section("each-failure", "Each failure");
    for Failure { refusal, advice } in failures(facts) {
        let code = refusal.code();
        document.heading(3, code, Text::from(title(code)).and(": ").and_code(code));
        document.say(advice.meaning);
        document.code("http", as_sent(facts, &refusal));
        document.list(advice.steps);
        document.say(advice.retry.rule());
        if facts.grpc {
            document.say(as_sent_by_grpc(facts, &refusal));
        }
    }
}

/// The answer as it is on the wire.
fn as_sent(facts: &Facts, refusal: &Refusal) -> String {
    let answer = match refusal {
        Refusal::Failed(Error::Unguarded) => Answer::unguarded(),
        _ => facts.answers.refuse(refusal),
    };
    let mut text = format!("HTTP/1.1 {} {}\n", answer.status, phrase(answer.status));
    for (name, value) in &answer.headers {
        text += &format!("{name}: {value}\n");
    }
    text + "\n" + &String::from_utf8_lossy(&answer.body)
}

fn as_sent_by_grpc(facts: &Facts, refusal: &Refusal) -> Text {
    let answer = facts.answers.refuse_grpc(refusal);
    Text::from("Over gRPC: status ")
        .and_plain(answer.code.to_string())
        .and(" ")
        .and_code(grpc_name(answer.code))
        .and(", reason ")
        .and_code(answer.reason)
        .and(".")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::callers_page::document::Block;
    use crate::{CallersPage, Keygate, MemoryStore, OnExposure, Pepper};

    /// Of a service that gives every answer.
    async fn page() -> CallersPage {
        let builder = Keygate::builder("acme_live").pepper(pepper());
        let builder = builder.decline_prefix("acme_test");
        let builder = builder.keys_from_browsers(OnExposure::Refuse);
        let builder = builder.store(MemoryStore::new());
        let keys = builder.callers_page_url("/docs/keys").build().await;
        keys.unwrap().callers_page().grpc()
    }

    fn pepper() -> Pepper {
        Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap()
    }

    /// The match in `advice` covers every refusal, with an arm for each code. So as many different
    /// codes as arms are all of them.
    #[tokio::test]
    async fn every_code_of_the_catalogue_has_one_sample_and_a_title_of_its_own() {
        let page = page().await;
        let failures = failures(&Facts::of(&page));
        let codes: Vec<&str> = failures.iter().map(|f| f.refusal.code()).collect();
        assert_eq!(codes.len(), 16);
        let different: HashSet<&str> = codes.iter().copied().collect();
        assert_eq!(different.len(), codes.len(), "{codes:?}");
        let titles: HashSet<&str> = codes.iter().map(|code| title(code)).collect();
        assert_eq!(titles.len(), codes.len(), "{titles:?}");
    }

    #[tokio::test]
    async fn no_anchor_stands_twice_and_every_link_within_the_page_leads_somewhere() {
        let full = page().await;
        let builder = Keygate::builder("acme_live").pepper(pepper());
        let keys = builder.store(MemoryStore::new()).build().await;
        for page in [full, keys.unwrap().callers_page()] {
            let mut anchors = HashSet::new();
            for block in &page.document().blocks {
                if let Block::Heading { anchor, .. } = block {
                    assert!(anchors.insert(*anchor), "{anchor}");
                }
            }
            let html = page.html();
            let links: Vec<&str> = html.split("href=\"#").skip(1).collect();
            assert!(links.len() > 20);
            for link in links {
                let anchor = link.split('"').next().unwrap_or_default();
                assert!(anchors.contains(anchor), "#{anchor}");
            }
        }
    }

    #[tokio::test]
    async fn the_type_of_every_problem_leads_to_its_section() {
        let page = page().await;
        let (html, markdown) = (page.html(), page.markdown());
        for Failure { refusal, .. } in failures(&Facts::of(&page)) {
            let body = page.keys.answers.refuse(&refusal).body;
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let kind = problem["type"].as_str().unwrap();
            let anchor = kind.strip_prefix("/docs/keys#").unwrap();
            assert_eq!(html.matches(&format!("<h3 id=\"{anchor}\">")).count(), 1);
            let in_markdown = format!("\n<a id=\"{anchor}\"></a>\n");
            assert_eq!(markdown.matches(&in_markdown).count(), 1);
        }
    }
}
