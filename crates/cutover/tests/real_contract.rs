//! The real adapters keep the contracts that the simulated ones keep: what the simulation proves of the engine holds with them.

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
    let shell = |script: &str| fixture::process(["sh", "-c", script].map(str::to_owned).to_vec());
    let programs = Programs {
        good: shell("exec sleep 600"),
        exits: shell("sleep 0.05; exit 3"),
        stubborn: shell("trap '' TERM; while :; do sleep 0.05; done"),
        broken: fixture::process(vec!["/no/such/program".to_owned()]),
    };
    let executable = Path::new(env!("CARGO_BIN_EXE_cutover"));
    let open = || -> Arc<dyn Runtime> { Arc::new(ProcessRuntime::new(dir.path(), executable)) };
    contract::runtime(open, &programs).await;
}
