//! How things look in words: one file per kind of thing. All of it is text made from values; nothing here asks anybody.

pub mod chart;
pub mod event;
pub mod history;
pub mod plan;
pub mod progress;
pub mod proof;
pub mod status;
pub mod story;
pub mod time;
pub mod verdict;

use cutover_core::plan::Refusal;
use cutover_core::{DeploymentId, Failure, ServiceName};

use crate::agent::api::{Problem, Status};
use crate::client::Client;

/// Whether the problem is that there is nothing to do.
pub fn is_unchanged(problem: &Problem) -> bool {
    matches!(problem.refusal, Some(Refusal::Unchanged { .. }))
}

/// Says that there is nothing to do.
pub fn unchanged(problem: &Problem) -> String {
    let hint = problem.error.hint.as_deref().unwrap_or_default();
    format!("{}\n  {hint}", problem.error.summary)
}

/// Says that a hook failed although the deployment is done: somebody has to see to it.
pub fn hook_failed(failure: &Failure, deployment: DeploymentId) -> String {
    let log: String = failure.log.iter().map(|line| format!("  | {line}\n")).collect();
    format!(
        "warning: {failure}\n{log}  the release is live all the same: see to what the hook should have done; `cutover show {deployment}` \
         has all that it wrote"
    )
}

/// What a service is now: `release 2 is live at http://…`.
pub async fn now_live(client: &Client, service: &ServiceName) -> String {
    let status: Option<Status> = client.get("/v1/status").await.ok();
    let found = status.and_then(|status| status.services.into_iter().find(|found| found.name == *service));
    match found.map(|found| (found.live, found.address)) {
        Some((Some(release), Some(address))) => format!("release {release} is live at {address}"),
        Some((Some(release), None)) => format!("release {release} is live"),
        Some((None, _)) => format!("{service} is stopped"),
        None => format!("{service} is removed"),
    }
}

/// What is live of a service, in a sentence; `None` if the agent does not say.
pub async fn live_line(client: &Client, service: &ServiceName) -> Option<String> {
    let status: Status = client.get("/v1/status").await.ok()?;
    let found = status.services.into_iter().find(|found| found.name == *service)?;
    Some(match found.live {
        Some(release) => format!("release {release} of {service} is live, as before"),
        None => format!("nothing of {service} is live"),
    })
}
