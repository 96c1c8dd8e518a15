//! Measuring while a command runs.

use std::ffi::OsString;

use cutover_meter::{Load, RunError, run_during};

use crate::rogue::{Rogue, right};

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// Seen to fail with the load stopped as soon as the command has ended.
#[tokio::test]
async fn the_load_runs_before_during_and_after_the_command() {
    let load = Load::new(Rogue::answering(right));
    let (report, status) = run_during(load, &words(&["sh", "-c", "sleep 0.3; exit 3"])).await.unwrap();
    assert_eq!(status.code(), Some(3));
    assert!(report.clean() && report.elapsed.as_millis() >= 500 + 300 + 1500, "{report}");
    assert!(report.requests.answered > 100, "{report}");
}

#[tokio::test]
async fn a_command_that_is_not_there_is_named() {
    let load = Load::new(Rogue::answering(right));
    let error = run_during(load.clone(), &words(&["/no/such/command"])).await.unwrap_err();
    assert_eq!(error.to_string(), "could not run \"/no/such/command\"");
    assert!(matches!(run_during(load, &[]).await, Err(RunError::NoCommand)));
}
