//! The agent, killed at each event that a deployment writes down.

use std::path::Path;

use cutover_meter::Load;
use cutover_testkit::host::{App, Host, Scene, answers};

use super::row;

/// Plays each scene as often as it has events, and kills the agent at another one each time.
pub fn run(binary: &Path) -> Result<(), String> {
    for scene in Scene::ALL {
        let host = Host::new(binary);
        host.configure(&App::default());
        host.done(&["deploy"]);
        let meter = host.meter(Load { sse: 10, websockets: 10, ..host.load(500.0) });
        let points = (1..).find(|at| !host.agent_killed(scene, *at, &meter)).unwrap_or_default() - 1;
        answers(&meter, 20);
        let report = host.report(meter);
        let (answered, failed) = (report.requests.answered, report.requests.failed);
        row(&format!("agent killed, {scene:?}"), format!("{points} points, {answered} requests, {failed} lost"));
        if !report.clean() {
            return Err(format!("something was lost: {:#?}", report.failures));
        }
    }
    Ok(())
}

/// The same with containers, by the test that kills at every fifth point otherwise.
pub fn of_containers(binary: &Path) -> Result<(), String> {
    super::tests("docker_kills", binary, &[("CUTOVER_KILL_EVERY", "1")])
        .map_err(|()| "something was lost, or left behind, when the agent of containers was killed".to_owned())?;
    row("agent killed, containers", "at every event of three scenes, 0 lost, nobody left behind");
    Ok(())
}
