//! What the program says of itself beside its commands: in its help, and in its manual pages.

mod page;

pub(crate) use page::{Page, pages};

use std::fmt::Write as _;

use crate::failure::EXIT_CODES;

/// What is told under one heading.
struct Section {
    title: &'static str,
    body: Body,
}

enum Body {
    /// Words, and what each is.
    Terms(&'static [(&'static str, &'static str)]),
    /// Lines as they are typed.
    Lines(&'static str),
}

const SECTIONS: [Section; 6] = [
    Section {
        title: "Settings file",
        body: Body::Lines(include_str!("settings.toml")),
    },
    Section {
        title: "Environment",
        body: Body::Terms(&[
            ("KEYGATE_CONFIG", "as --config"),
            ("KEYGATE_STORE", "as --store, and may hold a password"),
            ("KEYGATE_PREFIX", "as --prefix"),
            ("KEYGATE_PEPPER_FILE", "as --pepper-file"),
            (
                "KEYGATE_PEPPER",
                "the peppers themselves, as their file has them",
            ),
            (
                "KEYGATE_USER",
                "as --user; else SUDO_USER, USER or LOGNAME counts",
            ),
        ]),
    },
    Section {
        title: "Files",
        body: Body::Terms(&[
            (
                "keygate.toml",
                "the settings, where no other file is named, and nobody else can have written it",
            ),
            (
                "pepper",
                "the peppers, where init makes them: 2:BASE64 1:BASE64, the active one first",
            ),
        ]),
    },
    Section {
        title: "JSON",
        body: Body::Terms(&[
            ("keys", "several keys, each with what else is said of it"),
            ("info", "the key, where the answer is about one"),
            ("key, pepper", "a new text; null where --out has it"),
            (
                "changed",
                "false where it was so before, or nothing was to be done",
            ),
            (
                "unreadable, failed",
                "what could not be read or done: a list, each with its problem",
            ),
            (
                "next",
                "what --after takes for the next page; null at the end",
            ),
            ("*_at, *_since", "times, as 2027-01-31T12:00:00.000Z"),
        ]),
    },
    Section {
        title: "Exit codes",
        body: Body::Terms(EXIT_CODES),
    },
    Section {
        title: "Examples",
        body: Body::Lines(include_str!("examples.sh")),
    },
];

/// What stands at the end of the long help.
pub(crate) fn help() -> String {
    let mut text = String::new();
    for Section { title, body } in &SECTIONS {
        let _ = writeln!(text, "{title}:");
        match body {
            Body::Terms(terms) => {
                let width = terms.iter().map(|(term, _)| term.len()).max().unwrap_or(0);
                for (term, what) in *terms {
                    let _ = writeln!(text, "  {term:width$}  {what}");
                }
            }
            Body::Lines(lines) => {
                for line in lines.lines() {
                    let indent = if line.is_empty() { "" } else { "  " };
                    let _ = writeln!(text, "{indent}{line}");
                }
            }
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}
