//! What the service keeps is not the program's to forget.

use crate::support::World;

#[test]
fn events_stay_for_as_long_as_the_service_has_it() {
    let world = World::new();
    let hand = rusqlite::Connection::open(world.path("keys.db")).unwrap();
    let columns = "(at, action, kind, actor_unknown, changes, requests, last_at, code)";
    let old = "(1000, 'refused', 'authentication', 1, '[]', 1, 1000, 'key_invalid')";
    let insert = format!("INSERT INTO keygate_audit {columns} VALUES {old}");
    hand.execute(&insert, ()).unwrap();
    for arguments in [
        &["init"] as &[&str],
        &["list"],
        &["issue", "--owner", "org_42"],
        &["list"],
    ] {
        world.run(arguments).done();
        let count = "SELECT count(*) FROM keygate_audit WHERE at = 1000";
        let left: i64 = hand.query_row(count, (), |row| row.get(0)).unwrap();
        assert_eq!(left, 1, "{arguments:?}");
    }
}
