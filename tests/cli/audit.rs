//! Reading the audit log.

use serde_json::Value;

use crate::held::HeldStore;
use crate::service::{DAY, Service, lasting};
use crate::support::{World, snapshot};
use crate::terminal::Terminal;

fn actions(log: &Value) -> Vec<&str> {
    let events = log["events"].as_array().unwrap().iter();
    events
        .map(|event| event["action"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn events_are_told_in_the_order_in_which_they_happened() {
    let world = World::new();
    let (text, id) = world.issue([
        "--owner",
        "org_42",
        "--name",
        "CI",
        "--scope",
        "orders:read",
    ]);
    let (past, clock) = Service::begin(&world, std::time::Duration::ZERO).await;
    let manager = past.keys.manager().as_user("grace@example.com");
    let id_of = id.parse().unwrap();
    for _ in 0..3 {
        past.request(&text, "orders:write").await.unwrap_err();
    }
    clock.advance(std::time::Duration::from_millis(10));
    let change = keygate::Change::new().name("Deploy").expires_in(9 * DAY);
    manager.change(&id_of, change).await.unwrap();
    clock.advance(std::time::Duration::from_millis(10));
    manager.revoke(&id_of, "found in a log").await.unwrap();
    // Only now the store hears of the requests.
    past.stop().await;

    let shown = world.run(["audit"]).done();
    snapshot!("audit", shown.shown_of([id.as_str()]));
    let of_one = world.run(["audit", "--key", &id]).done();
    assert!(!of_one.out.contains("OWNER"), "{}", of_one.out);
    let log = world.run(["audit", "--json"]).json();
    assert_eq!(actions(&log), ["issued", "refused", "changed", "revoked"]);
    assert_eq!(log["events"][0]["actor"]["user"], "ada");
    assert_eq!(log["events"][1]["requests"]["count"], 3);
    assert_eq!(
        (&log["left_out"], &log["unreadable"]),
        (&0.into(), &Value::Array(vec![]))
    );
}

#[test]
fn of_many_the_newest_are_shown_and_the_others_counted() {
    let world = World::new();
    let ids: Vec<String> = (0..5)
        .map(|_| world.issue(["--owner", "org_42"]).1)
        .collect();
    let log = world.run(["audit", "--limit", "2", "--json"]).json();
    let events = log["events"].as_array().unwrap();
    let told: Vec<&str> = events
        .iter()
        .map(|e| e["key_id"].as_str().unwrap())
        .collect();
    assert_eq!(
        (told, &log["left_out"]),
        (vec![&*ids[3], &*ids[4]], &3.into())
    );
    let ran = world.run(["audit", "--limit", "2"]).done();
    assert!(
        ran.err.starts_with("not shown: 3 older events"),
        "{}",
        ran.err
    );
}

#[test]
fn long_reading_is_shown_until_it_is_done_and_not_beside_json() {
    const READING: &[u8] = b"AS audit";
    let Some(mut store) = HeldStore::start() else {
        return;
    };
    store.world = store.world.with("TERM", "xterm");
    store.world.issue(["--owner", "org_42"]);
    store.hold(READING);
    let mut terminal = Terminal::run(&store.world, ["audit"]);
    terminal.expect("reading events");
    store.release();
    terminal.expect("\u{1b}[2K").expect("WHEN");
    let (code, screen) = terminal.end();
    let behind = screen.split_once("WHEN").unwrap().1;
    assert!(code == 0 && !behind.contains("reading"), "{screen}");

    store.hold(READING);
    let mut terminal = Terminal::run(&store.world, ["audit", "--json"]);
    store.wait();
    // By then it would be shown.
    std::thread::sleep(std::time::Duration::from_millis(800));
    store.release();
    let (code, screen) = terminal.end();
    assert!(code == 0 && !screen.contains("reading"), "{screen}");
}

#[tokio::test]
async fn events_are_chosen_by_key_owner_action_kind_and_time() {
    let world = World::new();
    let (past, _) = Service::begin(&world, 10 * DAY).await;
    let old = past.issue(lasting("org_42", "CI")).await;
    past.request(old.key.expose(), "orders:void")
        .await
        .unwrap_err();
    past.stop().await;
    let (_, id) = world.issue(["--owner", "org_43"]);

    let of = |more: &[&str]| {
        let log = world.run(["audit", "--json"].iter().chain(more)).json();
        actions(&log).join(" ")
    };
    assert_eq!(of(&[]), "issued", "not what lies longer back than a week");
    assert_eq!(of(&["--since", "11d"]), "issued refused issued");
    assert_eq!(of(&["--since", "11d", "--until", "9d"]), "issued refused");
    assert_eq!(
        of(&["--until", "9d"]),
        "issued refused",
        "a week before that"
    );
    assert_eq!(
        of(&["--since", "2026-01-01", "--owner", "org_42"]),
        "issued refused"
    );
    assert_eq!(
        of(&["--since", "2026-01-01T00:00:00Z", "--key", &id]),
        "issued"
    );
    assert_eq!(of(&["--since", "11d", "--action", "refused"]), "refused");
    assert_eq!(
        of(&["--since", "11d", "--kind", "authentication"]),
        "refused"
    );
    assert_eq!(
        of(&["--since", "11d", "--kind", "lifecycle"]),
        "issued issued"
    );
    snapshot!(
        "audit_nothing",
        world.run(["audit", "--owner", "org_42"]).done().shown()
    );
    let mistyped = world.run(["audit", "--key", "4KX9vQ2mB7tZ"]).failed(3);
    assert!(mistyped.out.is_empty(), "{}", mistyped.out);
    for wrong in [
        ["--action", "reissued"],
        ["--kind", "all"],
        ["--since", "yesterday"],
        ["--key", "org_42"],
        ["--limit", "0"],
    ] {
        world.run(["audit"].iter().chain(&wrong)).failed(2);
    }
    snapshot!(
        "audit_no_time",
        world
            .run(["audit", "--since", "yesterday"])
            .failed(2)
            .shown()
    );
}
