//! What must hold whenever nothing is going on.

use std::time::{Duration, Instant};

use cutover::agent::api::{ServiceStatus, Status};
use cutover::runtime::process::identity::ProcessId;
use cutover_core::machine::Duty;

use super::{Host, LIMIT, Role};

impl Host {
    /// Waits until nothing is going on, and insists on what must hold then: this release is live in so many instances, each
    /// of them runs and no other process does, and the proxy gives requests to exactly these.
    #[track_caller]
    pub fn rests_on(&self, release: Option<u32>, replicas: usize) {
        let begun = Instant::now();
        loop {
            let status = self.status();
            let wrong = self.wrong(&status, release, replicas);
            let Some(wrong) = wrong else { return };
            assert!(begun.elapsed() < LIMIT, "not at rest: {wrong}\n{status:#?}\n{:#?}", self.processes());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wrong(&self, status: &Status, release: Option<u32>, replicas: usize) -> Option<String> {
        let [service] = &status.services[..] else { return Some("not one service".to_owned()) };
        let instances = &service.instances;
        let serving = instances.iter().filter(|instance| instance.duty == Duty::Serving);
        let checks = [
            (service.deployment.is_none(), "a deployment is running"),
            (service.live.map(|release| release.0) == release, "another release is live"),
            (serving.count() == replicas, "not as many instances serve as should"),
            (instances.iter().all(|instance| instance.down.is_none()), "an instance is down"),
            (instances.iter().all(stays), "an instance is on its way"),
            (status.agent.trouble.is_none(), "the agent is in trouble"),
            (status.proxy.as_ref().is_some_and(|proxy| proxy.generation == proxy.wanted), "the table is an old one"),
            (self.routed() == names_of_serving(service), "the proxy gives requests to others"),
        ];
        let failed = checks.into_iter().find(|(holds, _)| !holds).map(|(_, what)| what.to_owned());
        failed.or_else(|| self.wrong_processes(status, service))
    }

    /// The proxy, and those that it has replaced and that are not done.
    fn proxies_are(&self, status: &Status) -> bool {
        let Some(proxy) = &status.proxy else { return false };
        let mut told: Vec<i32> = proxy.leaving.iter().chain([&proxy.pid]).map(|pid| pid.cast_signed()).collect();
        let mut seen: Vec<i32> = self.processes_of(Role::Proxy).into_iter().map(|id| id.pid).collect();
        told.sort_unstable();
        seen.sort_unstable();
        told == seen
    }

    /// One agent, one proxy, and for each instance its program and its supervisor.
    fn wrong_processes(&self, status: &Status, service: &ServiceStatus) -> Option<String> {
        let id = |pid: u32| ProcessId::of(pid.cast_signed());
        let is = |role, pid: u32| self.only(role).is_some_and(|found| Some(found) == id(pid));
        let mut programs = self.processes_of(Role::Program);
        let mut expected: Vec<ProcessId> = service.instances.iter().filter_map(|i| i.pid).filter_map(id).collect();
        programs.sort_by_key(|id| id.pid);
        expected.sort_by_key(|id| id.pid);
        let checks = [
            (is(Role::Agent, status.agent.pid), "not one agent"),
            (self.proxies_are(status), "not one proxy, and those that leave"),
            (programs == expected, "the programs that run are not those of the instances"),
            (self.processes_of(Role::Supervisor).len() <= expected.len(), "a supervisor too many"),
        ];
        checks.into_iter().find(|(holds, _)| !holds).map(|(_, what)| what.to_owned())
    }
}

/// Serving, or retiring with streams in hand; anything else ends soon.
fn stays(instance: &cutover::agent::api::InstanceStatus) -> bool {
    match instance.duty {
        Duty::Serving => instance.pid.is_some(),
        Duty::Retiring { .. } => instance.streams > 0 && instance.pid.is_some(),
        _ => false,
    }
}

fn names_of_serving(service: &ServiceStatus) -> Vec<String> {
    let serving = service.instances.iter().filter(|instance| instance.duty == Duty::Serving);
    let mut names: Vec<String> = serving.map(|instance| instance.instance.to_string()).collect();
    names.sort();
    names
}
