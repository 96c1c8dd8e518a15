//! Taking a service down for maintenance, and up again: at the proxy alone. Instances and deployments do not notice.

use std::sync::Arc;

use cutover_core::ServiceName;
use cutover_core::machine::{Event, ServiceState};
use cutover_core::plan::Refusal;
use cutover_core::rules::Maintenance;
use cutover_core::spec::{ProxyRoute, RouteKind, RouteSpec};

use super::command::{CommandError, known};
use super::ledger::View;
use super::port::RouterError;
use super::{Engine, Parts};
use cutover_core::Failure;

impl Engine {
    /// Takes a service down, or changes what its clients get meanwhile. When this returns, the proxy answers in its place.
    pub async fn take_down(
        &self,
        service: &ServiceName,
        by: &str,
        reason: &str,
        settings: Maintenance,
    ) -> Result<(), CommandError> {
        let event = Event::MaintenanceBegan { by: by.to_owned(), reason: reason.to_owned(), settings };
        let service = service.clone();
        self.parts.to_its_end(|parts| async move { parts.maintain(&service, event).await }).await
    }

    /// Takes it up again. Fine if it was not down.
    pub async fn take_up(&self, service: &ServiceName, by: &str) -> Result<(), CommandError> {
        let (service, event) = (service.clone(), Event::MaintenanceEnded { by: by.to_owned() });
        self.parts.to_its_end(|parts| async move { parts.maintain(&service, event).await }).await
    }
}

impl Parts {
    async fn maintain(self: &Arc<Self>, service: &ServiceName, event: Event) -> Result<(), CommandError> {
        let route = self.board.route_of(service);
        let decide = |view: &View, state: &ServiceState| {
            known(view, service)?;
            let begins = matches!(event, Event::MaintenanceBegan { .. });
            if begins {
                can_be_down(service, route.as_ref())?;
            }
            let matters = begins || state.maintenance.is_some();
            Ok::<_, CommandError>(if matters { vec![event] } else { Vec::new() })
        };
        self.ledger.decide(service, decide).await?;
        match self.board.publish_own().await {
            Ok(()) => Ok(()),
            Err(error) => {
                // It is recorded; whoever waits is told the truth, and it comes into force when the proxy answers.
                let service = service.clone();
                self.spawn(|parts| async move { parts.publish(&service).await });
                Err(CommandError::Failed(not_yet(&error)))
            }
        }
    }
}

fn not_yet(error: &RouterError) -> Failure {
    let hint =
        "it is recorded, and comes into force as soon as the proxy takes it; `cutover status` shows both generations";
    Failure::because("the proxy did not take the change", &error).hint(hint)
}

/// Only our own proxy can answer in place of a service.
fn can_be_down(service: &ServiceName, route: Option<&RouteSpec>) -> Result<(), Refusal> {
    let (reason, hint) = match route {
        Some(RouteSpec::Proxy(ProxyRoute { kind: RouteKind::Http { .. }, .. })) => return Ok(()),
        Some(RouteSpec::Proxy(_)) => ("its route carries TCP, which has no pages", "`cutover stop` stops it"),
        Some(RouteSpec::Nginx(_)) => ("its traffic comes by way of an nginx", "show the page with that nginx"),
        None => ("it has no route yet", "deploy it first"),
    };
    let (reason, hint) = (format!("{service} cannot be taken down for maintenance: {reason}"), Some(hint.to_owned()));
    Err(Refusal::Preflight { service: service.clone(), reason, hint })
}
