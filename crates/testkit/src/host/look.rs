//! Looks at a host, as its owner would: by the commands that show.

use cutover::agent::api::{InstanceStatus, ServiceStatus, Status, Story};
use cutover::runtime::process::identity::ProcessId;
use cutover_core::machine::{Duty, Event, Record};
use cutover_core::plan::{Plan, Step};
use cutover_core::table::Table;
use cutover_proxy::client::Client;

use super::{Host, until};

impl Host {
    /// `cutover status`. Starts an agent if none runs.
    #[track_caller]
    pub fn status(&self) -> Status {
        self.done(&["--json", "status"]).json()
    }

    /// The one service that is deployed here.
    #[track_caller]
    pub fn service(&self) -> ServiceStatus {
        let mut services = self.status().services;
        assert_eq!(services.len(), 1, "not one service: {services:?}");
        services.remove(0)
    }

    /// The number of the release that is live.
    #[track_caller]
    pub fn live(&self) -> Option<u32> {
        self.service().live.map(|release| release.0)
    }

    /// The instances that serve.
    #[track_caller]
    pub fn serving(&self) -> Vec<InstanceStatus> {
        let instances = self.service().instances.into_iter();
        instances.filter(|instance| instance.duty == Duty::Serving).collect()
    }

    /// The process of an instance that serves, when there is one.
    #[track_caller]
    pub fn a_serving_process(&self) -> ProcessId {
        until("an instance serves", || {
            let pid = self.serving().into_iter().find_map(|instance| instance.pid)?;
            ProcessId::of(pid.cast_signed())
        })
    }

    /// Everything that the journal tells, or what it tells of one deployment.
    #[track_caller]
    pub fn events(&self, deployment: Option<u64>) -> Vec<Record> {
        let number = deployment.map(|number| number.to_string());
        let mut arguments = vec!["--json", "events"];
        if let Some(number) = &number {
            arguments.extend(["--deployment", number]);
        }
        let told = self.done(&arguments);
        told.stdout.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
    }

    /// The plan of the newest deployment.
    #[track_caller]
    pub fn plan(&self) -> Plan {
        let planned = |record: Record| if let Event::Planned { plan, .. } = record.event { Some(plan) } else { None };
        self.story().events.into_iter().find_map(planned).expect("a deployment begins with its plan")
    }

    /// The fewest instances that had traffic at once in the newest deployment, as the journal tells it.
    #[track_caller]
    pub fn fewest_serving(&self) -> usize {
        let plan = self.plan();
        let (mut serving, mut fewest) = (plan.retires().len(), usize::MAX);
        for record in self.story().events {
            let Event::StepStarted { step, .. } = record.event else { continue };
            if let Step::Shift { to, from } = &plan.steps[step] {
                serving = serving + to.len() - from.len();
                fewest = fewest.min(serving);
            }
        }
        fewest
    }

    /// `cutover show`: the newest deployment.
    #[track_caller]
    pub fn story(&self) -> Story {
        self.done(&["--json", "show"]).json()
    }

    /// The table that the proxy serves now; `None` if it does not answer.
    pub fn table(&self) -> Option<Table> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(Client::of_state(&self.state().join("proxy")).table()).ok()
    }

    /// The instances that the proxy gives new requests, in order.
    pub fn routed(&self) -> Vec<String> {
        let table = self.table().unwrap_or_default();
        let targets = table.services.iter().flat_map(|service| &service.targets);
        let serving = targets.filter(|target| target.serves());
        let mut names: Vec<String> = serving.map(|target| target.instance.to_string()).collect();
        names.sort();
        names
    }
}
