use std::time::Duration;

use super::CallersPage;
use super::document::{Text, one_line};
use crate::answer::Answers;
use crate::credentials::{Credentials, Way};
use crate::environment::Environments;
use crate::key::Prefix;
use crate::manage::Policy;
use crate::scope::Catalogue;

/// What the page is made of.
pub(super) struct Facts<'a> {
    pub(super) title: &'a str,
    contact: Text,
    pub(super) example_url: Option<&'a str>,
    rotate_url: Option<&'a str>,
    pub(super) openapi: Option<Text>,
    pub(super) grpc: bool,
    pub(super) answers: &'a Answers,
    pub(super) environments: &'a Environments,
    pub(super) policy: &'a Policy,
    pub(super) catalogue: Option<Catalogue>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(page: &'a CallersPage) -> Self {
        let keys = &page.keys;
        let contact = page.contact.as_deref().map(one_line);
        Self {
            title: page.title.as_deref().unwrap_or(keys.answers.realm()),
            contact: match contact.filter(|contact| !contact.is_empty()) {
                Some(contact) => linked(&contact),
                None => "whoever gave you the key".into(),
            },
            example_url: given(page.example_url.as_deref()),
            rotate_url: given(page.rotate_url.as_deref()),
            openapi: given(page.openapi_url.as_deref()).map(linked),
            grpc: page.grpc,
            answers: &keys.answers,
            environments: keys.manager.environments(),
            policy: keys.manager.policy(),
            catalogue: keys.catalogue(),
        }
    }

    /// What the other parts of the page mean when they say "ask".
    pub(super) fn whom_to_ask(&self) -> Text {
        Text::from("Questions and requests about keys go to ")
            .and(self.contact.clone())
            .and(". Name a key by its ")
            .and(Text::link("#key-format", "id"))
            .and(": nobody who helps you needs its text.")
    }

    pub(super) fn credentials(&self) -> &Credentials {
        self.answers.credentials()
    }

    /// What the keys of the service begin with.
    pub(super) fn served(&self) -> Text {
        Text::codes(self.environments.all_accepted().map(beginning))
    }

    /// What keys begin with that belong elsewhere, if any are known.
    pub(super) fn declined(&self) -> Option<Text> {
        let declined: Vec<String> = self.environments.all_declined().map(beginning).collect();
        (!declined.is_empty()).then(|| Text::codes(declined))
    }

    /// The line for a shell that makes a call with the key in `$KEY`.
    pub(super) fn curl(&self, way: Way) -> String {
        format!("curl -i {} {}", option(way), self.example())
    }

    /// As [`curl`](Self::curl), with the key in no argument.
    pub(super) fn curl_from_input(&self, way: Way) -> String {
        let (option, input) = match header(way) {
            Some(header) => ("-H @-", header),
            None => ("-K -", r#"user = \"$KEY:\""#.to_owned()),
        };
        format!(r#"curl -i {option} {} <<< "{input}""#, self.example())
    }

    /// The line for a shell that rotates the key in `$KEY`, where callers can.
    pub(super) fn curl_to_rotate(&self) -> Option<String> {
        let (url, way) = (self.rotate_url?, self.credentials().ways().next()?);
        Some(format!("curl -i -X POST {} {}", option(way), quoted(url)))
    }

    fn example(&self) -> String {
        quoted(self.example_url.unwrap_or(PLACEHOLDER))
    }
}

/// The option of curl that sends the key in `$KEY`.
fn option(way: Way) -> String {
    match header(way) {
        Some(header) => format!(r#"-H "{header}""#),
        None => r#"-u "$KEY:""#.to_owned(),
    }
}

/// The header with the key in `$KEY`. That of HTTP Basic is made by curl.
fn header(way: Way) -> Option<String> {
    match way {
        Way::Basic => None,
        Way::Bearer => Some("Authorization: Bearer $KEY".to_owned()),
        Way::Header(name) => Some(format!("{name}: $KEY")),
    }
}

/// The URL that is called where none is given.
pub(super) const PLACEHOLDER: &str = "https://api.example.com/";

fn beginning(prefix: &Prefix) -> String {
    format!("{prefix}_")
}

/// A setting that says something.
fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.trim().is_empty())
}

/// An e-mail address, a URL or a path as a link, and anything else as it is.
fn linked(contact: &str) -> Text {
    let of_uri = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$()*+,;=%&".contains(c);
    let is_url = ["https://", "http://", "/"]
        .iter()
        .any(|scheme| contact.starts_with(scheme));
    let is_address = contact.contains('@') && !contact.contains([':', '/', '?', '&', '#']);
    match contact.chars().all(of_uri) {
        true if is_url => Text::link(contact, contact),
        true if is_address => Text::link(format!("mailto:{contact}"), contact),
        _ => Text::plain(contact),
    }
}

/// One word to a shell, whatever it holds.
fn quoted(url: &str) -> String {
    format!("'{}'", one_line(url).replace('\'', r"'\''"))
}

/// A duration in words: `90 days`, `1 hour 30 minutes`.
pub(super) fn spelt(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [
        (seconds / 86_400, "day"),
        (seconds / 3_600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
        (u64::from(duration.subsec_millis()), "millisecond"),
    ];
    let spelt = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| {
        let plural = if *n == 1 { "" } else { "s" };
        format!("{n} {unit}{plural}")
    });
    let spelt: Vec<String> = spelt.collect();
    match spelt.is_empty() {
        true => "no time".into(),
        false => spelt.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callers_page::document::Span;

    #[test]
    fn what_is_set_to_nothing_is_not_set() {
        assert_eq!(given(Some(" ")), None);
        assert_eq!(given(Some("https://a.example")), Some("https://a.example"));
    }

    #[test]
    fn durations_are_spelt_in_the_units_that_people_use() {
        for (millis, expected) in [
            (0, "no time"),
            (1_000, "1 second"),
            (86_400_000, "1 day"),
            (90 * 86_400_000, "90 days"),
            (129_600_000, "1 day 12 hours"),
            (5_400_000, "1 hour 30 minutes"),
            (2_500, "2 seconds 500 milliseconds"),
        ] {
            assert_eq!(spelt(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn only_addresses_and_web_pages_become_links() {
        for (contact, expected) in [
            ("keys@acme.example", Some("mailto:keys@acme.example")),
            (
                "https://acme.example/help",
                Some("https://acme.example/help"),
            ),
            ("/openapi.json", Some("/openapi.json")),
            ("javascript:alert(1)", None),
            ("javascript:alert@1", None),
            ("https://acme.example/\"onclick=x", None),
            ("keys@acme.example?bcc=thief@x.example", None),
            ("your account manager", None),
        ] {
            let to = match linked(contact).0.as_slice() {
                [Span::Link { to, .. }] => Some(to.clone()),
                _ => None,
            };
            assert_eq!(to.as_deref(), expected, "{contact}");
        }
    }

    #[test]
    fn a_url_is_one_word_to_a_shell() {
        assert_eq!(quoted("https://a/?b&c"), "'https://a/?b&c'");
        assert_eq!(quoted("x'; rm -rf ~'\n"), r"'x'\''; rm -rf ~'\'''");
    }
}
