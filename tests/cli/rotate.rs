//! A new secret for a key, and what becomes of the old one.

use crate::service::{Service, opens};
use crate::support::{World, snapshot};
use crate::terminal::Terminal;

#[tokio::test]
async fn the_new_text_is_all_of_standard_output_and_the_old_one_works_for_a_while() {
    let world = World::new();
    let (old, id) = world.issue(["--owner", "org_42", "--scope", "a"]);
    let ran = world.run(["rotate", &id, "--overlap", "7d"]).done();
    let new = ran.out.trim_end();
    let key = keygate::PresentedKey::parse(new).unwrap();
    assert_eq!(key.id().as_str(), id);
    assert!(!ran.err.contains(&new[new.len() - 49..]));
    snapshot!("rotate", ran.shown_of([id.as_str()]));
    assert!(opens(&world, new, "a").await && opens(&world, &old, "a").await);

    // Two secrets are enough, and no file is left of a third.
    let ran = world.run(["rotate", &id, "--out", "third"]).failed(4);
    assert!(ran.err.contains("supersede"), "{}", ran.err);
    assert!(!world.path("third").exists());

    snapshot!(
        "rotate_finish",
        world
            .run(["rotate", &id, "--finish", "--yes"])
            .done()
            .shown_of([id.as_str()])
    );
    assert!(opens(&world, new, "a").await && !opens(&world, &old, "a").await);
    let again = world.run(["rotate", &id, "--finish", "--json"]).json();
    assert_eq!(again["changed"], false);
}

#[tokio::test]
async fn a_file_gets_the_new_text_alone() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "org_42", "--scope", "a"]);
    let ran = world.run(["rotate", &id, "--out", "key", "--json"]).done();
    let text = world.read("key");
    let text = text.trim_end();
    assert!(!ran.shown().contains(&text[text.len() - 49..]));
    assert!(opens(&world, text, "a").await);
}

#[test]
fn what_ends_something_at_once_is_asked_about() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "org_42", "--name", "CI"]);
    let ran = world.run(["rotate", &id, "--overlap", "0s"]).failed(8);
    snapshot!("rotate_not_asked", ran.shown_of([id.as_str()]));
    world.run(["rotate", &id]).done();
    for ends in ["--supersede", "--finish"] {
        let before = world.info(&id)["version"].as_u64().unwrap();
        let ran = world.run(["rotate", &id, ends]).failed(8);
        assert!(ran.out.is_empty());
        for answer in ["n", ""] {
            let mut terminal = Terminal::run(&world, ["rotate", &id, ends]);
            terminal.expect("\"CI\" of org_42").expect("[y/N]");
            let (code, screen) = terminal.type_line(answer).end();
            assert_eq!(code, 8, "{screen}");
        }
        assert_eq!(world.info(&id)["version"], before);
        let mut terminal = Terminal::run(&world, ["rotate", &id, ends]);
        let (code, screen) = terminal.expect("[y/N]").type_line("y").end();
        assert_eq!(code, 0, "{screen}");
        assert_eq!(world.info(&id)["version"], before + 1);
    }
}

#[test]
fn who_rotates_twice_is_told_how_to_go_on() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "org_42"]);
    world.run(["rotate", &id]).done();
    let ran = world.run(["rotate", &id]).failed(4);
    let told = format!("keygate rotate {id} --finish ends the older one");
    assert!(ran.err.contains(&told), "{}", ran.err);
}

#[test]
fn a_service_that_ends_old_secrets_at_once_has_it_asked_about_too() {
    let world = World::declaring("[policy]\ndefault_overlap = \"0s\"\n");
    let (_, id) = world.issue(["--owner", "org_42"]);
    world.run(["rotate", &id]).failed(8);
    // So short that nobody goes over meanwhile.
    for overlap in ["1ms", "59s"] {
        world.run(["rotate", &id, "--overlap", overlap]).failed(8);
    }
    world.run(["rotate", &id, "--overlap", "1min"]).done();
}

#[test]
fn what_others_have_rotated_meanwhile_is_neither_superseded_nor_finished() {
    for ends in ["--supersede", "--finish"] {
        let world = World::new();
        let (_, id) = world.issue(["--owner", "org_42"]);
        world.run(["rotate", &id]).done();
        let mut terminal = Terminal::run(&world, ["rotate", &id, ends]);
        terminal.expect("[y/N]");
        // Somebody else has this text.
        world.run(["rotate", &id, "--supersede", "--yes"]).done();
        let before = world.info(&id);
        let (code, screen) = terminal.type_line("y").end();
        assert_eq!(code, 4, "{ends}: {screen}");
        assert_eq!(world.info(&id), before);
    }
}

#[tokio::test]
async fn the_advice_about_a_lost_text_is_true() {
    let world = World::new();
    let (first, id) = world.issue(["--owner", "org_42", "--scope", "a"]);
    let lose = |arguments: &[&str]| world.run_unread(arguments).failed(1).err;
    let follow = |err: &str, flags: &str| {
        let advice = format!("keygate rotate {id} {flags}");
        assert!(
            err.contains("its text is lost") && err.contains(&advice),
            "{err}"
        );
        let words = advice.split_whitespace().skip(1).chain(["--yes"]);
        world.run(words).done().out.trim_end().to_owned()
    };
    let err = lose(&["rotate", &id]);
    assert!(err.contains("the old one works until"), "{err}");
    let second = follow(&err, "--supersede");
    assert!(opens(&world, &first, "a").await && opens(&world, &second, "a").await);
    world.run(["rotate", &id, "--finish", "--yes"]).done();

    let err = lose(&["rotate", &id, "--overlap", "0s", "--yes"]);
    assert!(!opens(&world, &second, "a").await);
    let third = follow(&err, "--overlap 0s");
    assert!(opens(&world, &third, "a").await);
}

#[tokio::test]
async fn a_rotation_narrows_what_was_asked_about_and_nothing_that_came_meanwhile() {
    let world = World::new();
    let service = Service::start(&world).await;
    let (text, id) = world.issue(["--owner", "org_42", "--scope", "a", "--scope", "b"]);
    assert!(service.opens(&text, "a").await);
    service.stop().await;

    let mut terminal = Terminal::run(&world, ["rotate", &id, "--narrow", "90d"]);
    terminal.expect("it loses b, and keeps a").expect("[y/N]");
    world.run(["scopes", &id, "--add", "c"]).done();
    let (code, screen) = terminal.type_line("y").end();
    assert_eq!(code, 4, "{screen}");
    let shown = world.run(["show", &id, "--json"]).json();
    assert_eq!(shown["info"]["scopes"], serde_json::json!(["a", "b", "c"]));
    assert_eq!(shown["info"]["secrets"].as_array().unwrap().len(), 1);

    world
        .run(["rotate", &id, "--narrow", "90d", "--yes"])
        .done();
    let shown = world.run(["show", &id, "--json"]).json();
    assert_eq!(shown["info"]["scopes"], serde_json::json!(["a"]));
}
