use app::connect::Health;

use super::{disk, environment_checks};
use crate::environment::Environment;

#[test]
fn what_is_missing_is_bad_and_named() {
    let environment = Environment::read(|_| None).expect("set-up mode");
    let checks = environment_checks(&environment, vec!["LISTEN is odd".to_owned()]);
    let bad: Vec<&str> =
        checks.iter().filter(|check| check.health == Health::Bad).map(|check| check.found.as_str()).collect();
    let missing =
        ["INTERCOM_CLIENT_SECRET", "INTERCOM_ACCESS_TOKEN", "KLAVIYO_API_KEY"].map(|name| format!("{name} is missing"));
    assert_eq!(bad, ["LISTEN is odd", missing[0].as_str(), missing[1].as_str(), missing[2].as_str()]);
}

#[test]
fn a_good_disk_is_good_and_a_held_lock_is_noted() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let health = |checks: Vec<app::connect::Check>| checks.into_iter().map(|check| check.health).collect::<Vec<_>>();
    assert_eq!(health(disk::checks(&data))[2], Health::Good);
    let lock = std::fs::File::create(data.join("state.db.lock")).expect("is made");
    assert_eq!(health(disk::checks(&data))[2], Health::Good);
    lock.lock().expect("is locked");
    assert_eq!(health(disk::checks(&data))[2], Health::Note);
}

#[test]
fn a_directory_that_cannot_be_made_is_bad() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "x").expect("is written");
    let checks = disk::checks(&file.join("data"));
    assert_eq!(checks[0].health, Health::Bad);
    assert!(checks[0].found.contains("cannot be made"), "{}", checks[0].found);
}
