//! Texts that others have written into the store, and secrets where they do not belong.

use rusqlite::Connection;

use crate::support::{PREFIX, World};
use crate::terminal::Terminal;

/// What would clear a screen, colour it, turn text round, hide some of it or begin a line of its own.
const TRAP: &str = "org\u{202e}42\u{2028}x\u{ad}y\u{e0041}z";
const RAW: [char; 7] = [
    '\u{1b}',
    '\u{9b}',
    '\u{202e}',
    '\u{2028}',
    '\u{ad}',
    '\u{e0041}',
    '\u{7}',
];

fn by_hand(world: &World) -> Connection {
    let hand = Connection::open(world.path("keys.db")).unwrap();
    hand.execute_batch("PRAGMA ignore_check_constraints = ON")
        .unwrap();
    hand
}

#[track_caller]
fn assert_harmless(shown: &str) {
    let raw = RAW.into_iter().find(|c| shown.contains(*c));
    assert_eq!(raw, None, "{shown:?}");
    assert!(!shown.contains("\nkeygate: all is well"), "{shown}");
}

#[test]
fn no_text_of_a_record_acts_on_a_terminal() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "org_42", "--name", "CI", "--metadata", "a=b"]);
    let hand = by_hand(&world);
    let metadata = serde_json::json!({ TRAP: TRAP }).to_string();
    hand.execute(
        "UPDATE keygate_keys SET owner = ?1, name = ?1, metadata = ?2",
        [TRAP, &metadata],
    )
    .unwrap();
    for arguments in [&["list"] as &[&str], &["show", &id], &["report", "pepper"]] {
        let (code, screen) = Terminal::run(&world, arguments.iter().copied()).end();
        assert_eq!(code, 0, "{screen}");
        assert_harmless(&screen);
        assert!(screen.contains("\\u{202e}"), "{screen}");

        let json: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let ran = world.run(&json);
        assert_harmless(&ran.out);
        assert!(ran.json().to_string().contains(TRAP), "{arguments:?}");
    }
    let mut terminal = Terminal::run(&world, ["revoke", &id]);
    terminal.expect("[y/N]").type_line("y");
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert_harmless(&screen);
    assert!(screen.contains("\\u{202e}"), "{screen}");
    for arguments in [["audit"], ["list"]] {
        let (code, screen) = Terminal::run(&world, arguments).end();
        assert_eq!(code, 0, "{screen}");
        assert_harmless(&screen);
    }
}

#[test]
fn what_no_record_may_hold_is_named_and_acts_on_no_terminal() {
    let world = World::new();
    world.issue(["--owner", "org_42"]);
    let (_, damaged) = world.issue(["--owner", "org_43"]);
    let hand = by_hand(&world);
    for (column, code) in [
        ("owner", 0),
        ("name", 0),
        // Such a record cannot be read, and an answer without it is not whole.
        ("revocation_reason", 1),
        ("scopes", 1),
    ] {
        let sql = format!("UPDATE keygate_keys SET {column} = ?1 WHERE id = ?2");
        let text = "\u{1b}[2J\u{9b}31m\u{7}\nkeygate: all is well\u{1b}]0;x\u{7}";
        hand.execute(&sql, [text, &damaged]).unwrap();
        for arguments in [
            &["list"] as &[&str],
            &["list", "--json"],
            &["list", "--status", "active"],
        ] {
            let (ended, screen) = Terminal::run(&world, arguments.iter().copied()).end();
            assert_eq!(ended, code, "{screen}");
            assert_harmless(&screen);
            assert!(screen.contains(&damaged), "{column}: {screen}");
        }
        let listed = world.run(["list", "--json"]).json_with(code);
        assert!(
            listed["keys"]
                .as_array()
                .unwrap()
                .iter()
                .any(|key| key["owner"] == "org_42")
        );
        let (_, screen) = Terminal::run(&world, ["show", &damaged]).end();
        assert_harmless(&screen);
    }
}

#[test]
fn what_was_typed_acts_on_no_terminal_either() {
    let world = World::new();
    let text = "x\u{1b}[2J\u{202e}\nkeygate: all is well";
    for arguments in [
        vec![text],
        vec!["list", text],
        vec!["x\nkeygate: all is well"],
        vec!["list", "--status", "\nkeygate: all is well"],
        vec!["list", "--status", text],
        vec!["list", "--store", text],
        vec!["list", "--config", text],
        vec!["list", "--pepper-file", text],
        vec!["list", "--owner", text],
        vec!["list", "--prefix", text],
        vec![
            "issue",
            "--owner",
            "o",
            "--out",
            "no/\u{1b}[2J\nkeygate: all is well",
        ],
        vec!["issue", "--owner", "o", "--scope", text],
        vec!["issue", "--owner", text],
    ] {
        let ran = world.run(&arguments);
        assert_harmless(&ran.out);
        assert_harmless(&ran.err);
    }
}

#[test]
fn a_whole_key_among_the_arguments_is_refused_in_every_shape() {
    let world = World::new();
    let (text, _) = world.issue(["--owner", "org_42"]);
    let (_, secret) = text.rsplit_once('_').unwrap();
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let twice: String = encoded.replace('%', "%25");
    for shape in [
        text.clone(),
        format!("'{text}'"),
        format!("\"{text}\""),
        format!(" {text}\n"),
        format!("--{text}"),
        format!("-{text}"),
        format!("--x={text}"),
        format!("--metadata=note={text}"),
        format!("Bearer {text}"),
        format!("https://example.com/?key={text}&b=c"),
        text.replace('_', "%5F"),
        encoded,
        twice,
    ] {
        for arguments in [
            vec!["list", &shape],
            vec!["list", "--match", &shape],
            vec![&shape],
        ] {
            let ran = world.run(&arguments).failed(2);
            assert!(
                ran.err.contains("a whole key stands among the arguments"),
                "{shape}: {}",
                ran.err
            );
            assert!(!ran.err.contains(&secret[..12]), "{}", ran.err);
        }
    }
}

#[test]
fn what_may_be_a_secret_is_not_repeated() {
    let world = World::new();
    let (text, id) = world.issue(["--owner", "org_42"]);
    let (_, secret) = text.rsplit_once('_').unwrap();
    let pepper = world.read("pepper");
    let pepper = pepper.trim();
    let half = &secret[..25];
    let url = "postgres://u:hiddenword@h/db";
    for (argument, hidden) in [
        (text[..text.len() - 6].to_owned(), &secret[..10]),
        (secret.to_owned(), &secret[..10]),
        (format!("--{secret}"), &secret[..10]),
        (format!("-{secret}"), &secret[..10]),
        (format!("{PREFIX}_{id}_{half}"), &secret[..10]),
        (half.to_owned(), &secret[..10]),
        (format!("--{half}"), &secret[..10]),
        (format!("{half}\n{}", &secret[25..]), &secret[..10]),
        (
            half.bytes().map(|byte| format!("%{byte:02x}")).collect(),
            "%",
        ),
        (pepper.to_owned(), &pepper[..10]),
        (format!("--{}", pepper.trim_end_matches('=')), &pepper[..10]),
        (format!("--pepper={pepper}"), &pepper[..10]),
        (url.to_owned(), "hiddenword"),
        (format!("--{url}"), "hiddenword"),
        (format!("--json={url}"), "hiddenword"),
        ("u:hiddenword@h".to_owned(), "hiddenword"),
    ] {
        for before in [
            &[] as &[&str],
            &["list"],
            &["list", "--limit"],
            &["list", "--status"],
            &["list", "--older-than"],
        ] {
            let arguments: Vec<&str> = before.iter().copied().chain([argument.as_str()]).collect();
            let ran = world.run(&arguments).failed(2);
            assert!(!ran.err.contains(hidden), "{arguments:?}: {}", ran.err);
        }
    }
    // A slip of the pen is.
    let ran = world.run(["lsit"]).failed(2);
    assert!(
        ran.err.contains("'lsit'") && ran.err.contains("'list'"),
        "{}",
        ran.err
    );
}

#[test]
fn the_password_of_a_store_is_in_no_error() {
    let stores = [
        "postgres://u:hiddenword@127.0.0.1:1/db",
        "postgres://u:hiddenword@host:port/db",
        "postgres://u:hiddenword%zz@127.0.0.1:1/db",
        "postgres://u:hid/hiddenword@127.0.0.1:1/db",
        "postgres://127.0.0.1:1/db?user=u&password=hiddenword",
        "postgres://127.0.0.1:1/db?sslmode=hiddenword",
        "redis://u:hiddenword@127.0.0.1:1/",
        "redis://u:hiddenword@127.0.0.1:x/",
        "redis://:hiddenword@/",
        "rediss://u:hiddenword@127.0.0.1:1/",
        "mysql://u:hiddenword@127.0.0.1/db",
        "POSTGRES://u:hiddenword@127.0.0.1/db",
        "postgres:/u:hiddenword@127.0.0.1/db",
        "//u:hiddenword@127.0.0.1/db",
        "u:hiddenword@127.0.0.1/db",
        "host=127.0.0.1 password=hiddenword",
    ];
    // Some wait for a server that is not there.
    std::thread::scope(|scope| {
        for store in stores {
            scope.spawn(move || {
                let world = World::empty().with("KEYGATE_STORE", store);
                for command in [&["list"] as &[&str], &["init", "--json"]] {
                    let ran = world.run(command.iter().chain(&["--prefix", PREFIX]));
                    assert!([2, 6].contains(&ran.code), "{store}: {}", ran.shown());
                    assert!(!ran.shown().contains("hiddenword"), "{}", ran.shown());
                }
            });
        }
    });
}
