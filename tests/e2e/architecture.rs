//! The arrows of ARCHITECTURE.md, held against what cargo knows.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{CargoOpt, DependencyKind, MetadataCommand, Package};

/// Which of our own crates each crate may name. Siblings do not know each other.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("domain", &[][..]),
        ("app", &["domain"][..]),
        ("sqlite", &["app", "domain"][..]),
        ("aws", &["app", "domain"][..]),
        ("clients", &["app", "domain"][..]),
        ("console", &["app", "domain"][..]),
        ("sandbox", &[][..]),
        ("intercom-klaviyo", &["app", "clients", "console", "domain", "sandbox", "sqlite"][..]),
        ("lambdas", &["app", "aws", "clients", "console", "domain"][..]),
        ("benches", &["app", "clients", "domain", "sandbox", "sqlite"][..]),
        ("function-floor", &[][..]),
        ("tests", &[][..]),
    ])
}

fn packages() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .no_deps()
        .exec()
        .expect("cargo metadata");
    metadata.packages
}

fn dependencies(package: &Package, kind: DependencyKind) -> BTreeSet<String> {
    package.dependencies.iter().filter(|d| d.kind == kind).map(|d| d.name.clone()).collect()
}

#[test]
fn arrows_point_down() {
    let allowed = allowed();
    let packages = packages();
    let names: BTreeSet<_> = packages.iter().map(|package| package.name.to_string()).collect();
    let known: BTreeSet<_> = allowed.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(names, known, "a crate was added or removed: say in this test what it may know");
    for package in &packages {
        let may = allowed[package.name.as_str()];
        for dependency in dependencies(package, DependencyKind::Normal) {
            assert!(
                !names.contains(&dependency) || may.contains(&dependency.as_str()),
                "{} may not depend on {dependency}",
                package.name
            );
        }
    }
}

#[test]
fn the_domain_has_no_io_and_the_app_no_runtime() {
    const IO: [&str; 14] = [
        "tokio",
        "reqwest",
        "hyper",
        "axum",
        "rusqlite",
        "aws-config",
        "aws-sdk-sqs",
        "aws-sdk-dynamodb",
        "rand",
        "getrandom",
        "chrono",
        "futures-util",
        "tracing",
        "async-trait",
    ];
    const RUNTIME: [&str; 8] =
        ["tokio", "reqwest", "hyper", "axum", "rusqlite", "aws-config", "aws-sdk-sqs", "aws-sdk-dynamodb"];
    for package in packages() {
        let forbidden: &[&str] = match package.name.as_str() {
            "domain" => &IO,
            "app" => &RUNTIME,
            _ => continue,
        };
        for dependency in dependencies(&package, DependencyKind::Normal) {
            assert!(!forbidden.contains(&dependency.as_str()), "{} may not depend on {dependency}", package.name);
        }
    }
}

#[test]
fn fakes_are_never_shipped() {
    for package in packages().iter().filter(|package| package.name.as_str() != "benches") {
        let testing = package
            .dependencies
            .iter()
            .filter(|d| d.name == "app" && d.kind == DependencyKind::Normal)
            .any(|d| d.features.iter().any(|feature| feature == "testing"));
        assert!(!testing, "{} ships the fakes of app", package.name);
    }
}
