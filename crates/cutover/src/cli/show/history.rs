//! The releases and deployments of a service.

use comfy_table::{Table, presets};
use cutover_core::machine::{Mark, Outcome};

use super::time;
use crate::agent::api::{History, ReleaseRow, Summary};

/// Two tables: what can be gone back to, and what was done.
pub fn text(history: &History) -> String {
    let mut releases = table(["release", "made", "content", ""]);
    for row in &history.releases {
        let digest = row.fingerprint.as_deref().map(|digest| digest.trim_start_matches("sha256:"));
        let content = digest.map_or("in place", |digest| digest.get(..12).unwrap_or(digest));
        releases.add_row([row.release.to_string(), time::moment(row.made), content.to_owned(), mark(row).to_owned()]);
    }
    let mut deployments = table(["deployment", "began", "what", "by", "outcome", "served", "failed"]);
    for summary in &history.deployments {
        deployments.add_row(deployment(summary));
    }
    format!("{}\n{releases}\n\n{deployments}", history.service)
}

/// A table without lines, with a head.
pub fn table<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head);
    table
}

fn mark(row: &ReleaseRow) -> &'static str {
    match (row.live, row.mark) {
        (true, _) => "(live)",
        (false, Mark::Good) => "",
        (false, Mark::New) => "(not live yet)",
        (false, Mark::Failed) => "(failed)",
        (false, Mark::Aborted) => "(aborted)",
        (false, Mark::RolledBack) => "(rolled back)",
    }
}

fn deployment(summary: &Summary) -> [String; 7] {
    let release = |no: Option<cutover_core::ReleaseNo>| no.map_or("-".to_owned(), |no| no.to_string());
    let count =
        |of: fn(&cutover_core::proof::Proof) -> u64| summary.proof.as_ref().map(of).map_or(String::new(), time::number);
    [
        summary.deployment.to_string(),
        time::moment(summary.began),
        format!("{} {} → {}", summary.kind.verb(), release(summary.from), release(summary.to)),
        summary.by.clone(),
        outcome(summary),
        count(|proof| proof.served),
        count(|proof| proof.failed),
    ]
}

/// How a deployment ended, in a few words.
pub fn outcome(summary: &Summary) -> String {
    let took = summary.ended.map(|ended| time::length(ended.since(summary.began))).unwrap_or_default();
    match &summary.outcome {
        None => "running or stuck".to_owned(),
        Some(Outcome::Done) => format!("done in {took}"),
        Some(Outcome::RolledBack { aborted: true, .. }) => format!("aborted after {took}"),
        Some(Outcome::RolledBack { .. }) => format!("rolled back after {took}"),
    }
}
