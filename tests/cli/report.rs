//! Reports: which keys want something done about them.

use serde_json::Value;

use crate::service::{DAY, Service, lasting};
use crate::support::{World, snapshot};

fn ids(keys: &Value) -> Vec<&str> {
    let keys = keys.as_array().unwrap().iter();
    keys.map(|key| key["key_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn idle_keys_are_told_apart_from_those_that_were_not_watched_for_long_enough() {
    let world = World::new();
    let (past, clock) = Service::begin(&world, 100 * DAY).await;
    let idle = past.issue(lasting("org_42", "Night job")).await;
    let used = past.issue(lasting("org_42", "CI")).await;
    past.request(idle.key.expose(), "orders:read")
        .await
        .unwrap();
    clock.advance(99 * DAY);
    let young = past.issue(lasting("org_43", "Deploy")).await;
    past.request(used.key.expose(), "orders:read")
        .await
        .unwrap();
    past.stop().await;
    let [idle, young] = [&idle, &young].map(|key| key.info.key_id.as_str());

    let shown = world.run(["report", "idle"]).done();
    snapshot!("report_idle", shown.shown_of([idle, young]));
    let told = world.run(["report", "idle", "--json"]).json();
    assert_eq!(told["keys"][0]["key_id"], idle);
    assert_eq!(told["keys"].as_array().unwrap().len(), 1);
    assert_eq!(told["keys"][0]["usage"]["requests"], 1);
    assert_eq!(
        told["keys"][0]["idle_since"],
        told["keys"][0]["usage"]["last_used_at"]
    );
    assert_eq!(ids(&told["unproved"]), [young]);
    let provable_at = told["unproved"][0]["provable_at"].as_str().unwrap();
    assert!(provable_at > "2026", "{provable_at}");

    let too_long = world
        .run(["report", "idle", "--for", "200d", "--owner", "org_43"])
        .done();
    snapshot!("report_idle_not_yet", too_long.shown_of([young]));
    snapshot!(
        "report_idle_nothing",
        world
            .run(["report", "idle", "--owner", "org_44"])
            .done()
            .shown()
    );
}

#[test]
fn where_nobody_counts_no_key_is_called_idle() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "org_42", "--never-expires"]);
    let ran = world.run(["report", "idle", "--for", "0s"]).done();
    snapshot!("report_idle_unwatched", ran.shown_of([id.as_str()]));
    let told = world
        .run(["report", "idle", "--for", "0s", "--json"])
        .json();
    assert_eq!(told["unproved"][0]["watched_since"], Value::Null);
}

#[tokio::test]
async fn of_a_key_that_was_never_used_it_is_told_since_when_that_is_known() {
    let world = World::new();
    let (past, _) = Service::begin(&world, 100 * DAY).await;
    let early = past.issue(lasting("org_42", "CI")).await;
    let hand = rusqlite::Connection::open(world.path("keys.db")).unwrap();
    past.stop().await;
    let id = early.info.key_id.as_str();
    let told = world.run(["report", "idle"]).done();
    assert!(told.out.contains("never used"), "{}", told.out);
    // It is older than the counting.
    let age = "UPDATE keygate_keys SET created_at = 1000 WHERE id = ?1";
    hand.execute(age, [id]).unwrap();
    let told = world.run(["report", "idle"]).done();
    assert!(told.out.contains("when counting began"), "{}", told.out);
}

#[tokio::test]
async fn every_key_is_told_once_page_by_page() {
    let world = World::new();
    let (past, _) = Service::begin(&world, 100 * DAY).await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(past.issue(lasting("org_42", "")).await.info.key_id);
    }
    past.stop().await;
    all.sort();
    let (mut told, mut after) = (Vec::<keygate::KeyId>::new(), "000000000000".to_owned());
    for pages in 1.. {
        let arguments = [
            "report", "idle", "--limit", "2", "--json", "--after", &after,
        ];
        let page = world.run(arguments).json();
        for key in page["keys"].as_array().unwrap() {
            told.push(key["key_id"].as_str().unwrap().parse().unwrap());
        }
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => {
                assert_eq!(pages, 3);
                break;
            }
        }
    }
    assert_eq!(told, all);
}

#[tokio::test]
async fn keys_that_may_do_more_than_they_needed_are_told_with_what_they_would_lose() {
    let world = World::new();
    let (past, clock) = Service::begin(&world, 100 * DAY).await;
    let more = past.issue(lasting("org_42", "CI")).await;
    let enough = past.issue(lasting("org_42", "Deploy")).await;
    clock.advance(99 * DAY);
    for (key, scope) in [
        (&more, "orders:read"),
        (&enough, "orders:read"),
        (&enough, "orders:write"),
    ] {
        past.request(key.key.expose(), scope).await.unwrap();
    }
    past.stop().await;
    let id = more.info.key_id.as_str();
    let shown = world.run(["report", "over-privileged"]).done();
    snapshot!("report_over_privileged", shown.shown_of([id]));
    let told = world
        .run(["report", "over-privileged", "--within", "30d", "--json"])
        .json();
    assert_eq!(told["keys"].as_array().unwrap().len(), 1);
    assert_eq!(told["keys"][0]["key_id"], id);
    assert_eq!(
        told["keys"][0]["privileges"]["dropped"],
        serde_json::json!(["orders:write"])
    );
}

#[tokio::test]
async fn secrets_that_are_old_are_told_and_new_ones_of_old_keys_are_not() {
    let world = World::new();
    let (past, clock) = Service::begin(&world, 100 * DAY).await;
    let old = past.issue(lasting("org_42", "CI")).await;
    let rotated = past.issue(lasting("org_42", "Deploy")).await;
    clock.advance(50 * DAY);
    let manager = past.keys.manager();
    let _newer = manager.rotate(&rotated.info.key_id).await.unwrap();
    past.stop().await;
    let [old, rotated] = [&old, &rotated].map(|key| key.info.key_id.as_str());
    snapshot!(
        "report_old",
        world.run(["report", "old"]).done().shown_of([old])
    );
    let told = world
        .run(["report", "old", "--age", "40d", "--json"])
        .json();
    let mut both = [old, rotated];
    both.sort_unstable();
    assert_eq!(ids(&told["keys"]), both);
}

#[test]
fn keys_that_end_soon_are_told_in_the_order_of_their_ends() {
    let world = World::new();
    for (name, time) in [("late", "20d"), ("soon", "10d"), ("far", "40d")] {
        let expires = ["--owner", "org_42", "--name", name, "--expires-in", time];
        world.issue(expires);
    }
    let told = world.run(["report", "expiring", "--json"]).json();
    let keys = told["keys"].as_array().unwrap();
    let names: Vec<&str> = keys.iter().map(|k| k["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["soon", "late"]);
    let shown = world.run(["report", "expiring"]).done();
    snapshot!("report_expiring", shown.shown_of(ids(&told["keys"])));
}

#[tokio::test]
async fn peppers_are_told_with_whose_keys_need_them_and_what_comes_next() {
    let world = World::new();
    let first = world.read("pepper");
    for owner in ["org_42", "org_42", "org_43"] {
        world.issue(["--owner", owner]);
    }
    let second = keygate::Pepper::generate_base64().unwrap();
    world.write("pepper", &format!("2:{}\n1:{first}", *second));
    world.issue(["--owner", "org_44"]);
    snapshot!(
        "report_pepper",
        world.run(["report", "pepper"]).done().shown()
    );
    let told = world.run(["report", "pepper", "--json"]).json();
    assert_eq!(
        told["peppers"][0],
        serde_json::json!({"id": 1, "state": "verify_only", "keys": 3,
            "owners": [{"owner": "org_42", "keys": 2}, {"owner": "org_43", "keys": 1}]})
    );

    // As where somebody has taken it out too early.
    world.write("pepper", &format!("2:{}", *second));
    snapshot!(
        "report_pepper_missing",
        world.run(["report", "pepper"]).done().shown()
    );
    world.write("pepper", &format!("2:{}\n1:{first}", *second));
    let (past, _) = Service::begin(&world, DAY).await;
    for owner in ["org_42", "org_43"] {
        let ended = past.keys.manager().revoke_owner(owner, "").await.unwrap();
        assert!(ended.failed.is_empty());
    }
    past.stop().await;
    snapshot!(
        "report_pepper_unneeded",
        world.run(["report", "pepper"]).done().shown()
    );
}

#[test]
fn a_time_that_is_none_is_refused() {
    let world = World::new();
    for arguments in [
        ["report", "idle", "--for", "ninety"],
        ["report", "old", "--age", "3 moons"],
        ["report", "expiring", "--within", "-1d"],
    ] {
        let ran = world.run(arguments).failed(2);
        assert!(ran.out.is_empty());
    }
}
