//! The statements that meet large tables, run against large tables: the number of steps SQLite takes must not grow with them.

use rusqlite::{Connection, Params, StatementStatus, params};

use crate::{dead_letters, overview, parked, queue, schema};

/// 200,000 rows each: waiting, deferred, parked, dead; and as much in the tables that are cleaned. All but the deferred ones
/// are ripe at moment 1,000,000.
const FILL: &str = "
CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT i FROM n;
INSERT INTO messages SELECT i, 0, 0, i, x'00' FROM n;
INSERT INTO queue (lane, id, visible_at) SELECT 0, i, i FROM n;
INSERT INTO messages SELECT 200000 + i, 0, 0, i, x'00' FROM n;
INSERT INTO queue (lane, id, visible_at) SELECT 0, 200000 + i, 2000000 FROM n;
INSERT INTO messages SELECT 400000 + i, 0, 0, i, x'00' FROM n;
INSERT INTO parked SELECT 400000 + i, i, i, i, 0, 0, 0 FROM n;
INSERT INTO parked_contacts SELECT 'c' || i, 400000 + i FROM n;
INSERT INTO messages SELECT 600000 + i, 0, 0, i, x'00' FROM n;
INSERT INTO dead_letters SELECT 600000 + i, i, 'refused', 'ticket.created', 0 FROM n;
INSERT INTO cache SELECT 'k' || i, 'v', i FROM n;
INSERT INTO recent_events SELECT i, i, 'm', 'k', NULL, NULL, 'sent', NULL FROM n;";

const RIPE: i64 = 1_000_000;

#[track_caller]
fn check(connection: &Connection, statement: &str, parameters: impl Params, most_steps: i32) {
    let mut prepared = connection.prepare(statement).expect("prepared");
    let changes = {
        let mut rows = prepared.query(parameters).expect("run");
        let mut count = 0;
        while rows.next().expect("stepped").is_some() {
            count += 1;
        }
        count
    };
    let status = |which| prepared.get_status(which);
    assert_eq!(status(StatementStatus::Sort), 0, "sorts: {statement}");
    let steps = status(StatementStatus::VmStep);
    assert!(steps <= most_steps, "{steps} steps for {changes} rows: {statement}");
}

#[test]
fn the_work_does_not_grow_with_what_waits() {
    let mut connection = Connection::open_in_memory().expect("memory");
    schema::migrate(&mut connection, schema::STEPS).expect("migrated");
    connection.execute_batch(FILL).expect("filled");
    let connection = &connection;
    check(connection, queue::NEXT, params![0, RIPE, 10], 400);
    check(connection, queue::NEXT_VISIBLE, params![0], 50);
    check(connection, overview::OLDEST, params![], 50);
    check(connection, parked::DUE, params![RIPE, 10], 200);
    check(connection, parked::EXPIRED, params![RIPE, 10], 300);
    check(connection, dead_letters::PAGE, params![i64::MAX, i64::MAX, 10], 300);
    check(connection, dead_letters::PAGE, params![100_000, 0, 10], 300);
    check(connection, overview::CLEAN_CACHE, params![RIPE, 10], 600);
    check(connection, overview::CLEAN_RECENT, params![500, 10], 600);
    check(connection, overview::CLEAN_RECENT, params![500_000, 10], 100);
    // Nothing ripe: not even a look at the millions that wait.
    check(connection, queue::NEXT, params![0, 0, 10], 50);
    check(connection, queue::NEXT, params![1, RIPE, 10], 50);
    check(connection, parked::DUE, params![0, 10], 50);
}
