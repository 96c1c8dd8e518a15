//! The real adapters keep the contracts that the simulated ones keep: what the simulation proves of the engine holds with them.

mod docker_support;

use std::path::Path;
use std::sync::Arc;

use cutover::engine::port::{Journal, Runtime};
use cutover::runtime::process::ProcessRuntime;
use cutover::store::SqliteJournal;
use cutover_testkit::contract::{self, Programs};
use cutover_testkit::fixture;

#[tokio::test]
async fn the_journal_in_sqlite_keeps_the_contract() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || -> Arc<dyn Journal> { Arc::new(SqliteJournal::open(dir.path()).expect("it opens")) };
    contract::journal(open).await;
}

#[tokio::test]
async fn the_runtime_of_processes_keeps_the_contract() {
    let dir = tempfile::tempdir().expect("a directory");
    let shell = |script: &str| fixture::run(["sh", "-c", script].map(str::to_owned).to_vec());
    let programs = Programs {
        good: shell("exec sleep 600"),
        exits: shell("sleep 0.05; exit 3"),
        stubborn: shell("trap '' TERM; while :; do sleep 0.05; done"),
        broken: fixture::run(vec!["/no/such/program".to_owned()]),
    };
    let executable = Path::new(env!("CARGO_BIN_EXE_cutover"));
    let open = || -> Arc<dyn Runtime> { Arc::new(ProcessRuntime::new(dir.path(), executable)) };
    contract::runtime(open, &programs).await;
}

/// Seen to fail when a repeated start did not look for what the first had made.
#[tokio::test]
async fn the_runtime_of_containers_keeps_the_contract() {
    let world = docker_support::World::new();
    let shell = |script: &str| docker_support::run(docker_support::shell(script));
    let programs = Programs {
        good: shell("trap 'exit 0' TERM; while :; do sleep 0.1; done"),
        exits: shell("sleep 0.05; exit 3"),
        stubborn: shell("trap '' TERM; while :; do sleep 0.05; done"),
        broken: docker_support::run(cutover_core::spec::ContainerSpec {
            entrypoint: Some(vec!["/no/such/program".to_owned()]),
            ..docker_support::shell("true")
        }),
    };
    let open = || -> Arc<dyn Runtime> { Arc::new(world.successor()) };
    contract::runtime(open, &programs).await;
}
