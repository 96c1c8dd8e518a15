//! Parts of cutover are killed while strict clients use the service. What they had in hand may be lost only where that cannot
//! be otherwise: with the proxy and with instances.

use cutover_core::machine::Event;
use cutover_meter::Load;
use cutover_testkit::host::{App, Host, Role, Scene, answers, kill, until};
use rustix::process::Signal;

fn host(app: &App) -> Host {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    host.configure(app);
    host.done(&["deploy"]);
    host
}

/// Every third point here, every point in the soak. Seen to fail with an engine that does not resume deployments: the command
/// that follows waits in vain.
#[track_caller]
fn killed_at_each_third_point(scene: Scene) {
    let host = host(&App::default());
    let meter = host.meter(Load { sse: 4, websockets: 4, ..host.load(200.0) });
    let last = (1..).step_by(3).find(|at| !host.agent_killed(scene, *at, &meter));
    assert!(last.is_some_and(|last| last > 9), "hardly any events: {last:?}");
    answers(&meter, 20);
    let report = host.clean_report(meter);
    assert_eq!((report.sse.cut, report.websockets.cut), (0, 0), "{report}");
}

#[test]
fn a_deployment_survives_its_agent() {
    killed_at_each_third_point(Scene::Deployment);
}

#[test]
fn a_failing_deployment_is_undone_by_the_next_agent() {
    killed_at_each_third_point(Scene::Failure);
}

#[test]
fn an_aborted_deployment_is_undone_by_the_next_agent() {
    killed_at_each_third_point(Scene::Abort);
}

/// The deployment belongs to the agent, not to the command that asked for it.
#[test]
fn a_deployment_survives_the_command_that_began_it() {
    let host = host(&App::default());
    let meter = host.meter(host.load(200.0));
    for (release, point) in [(2, "planned"), (3, "step_done"), (4, "\"step\":4"), (5, "\"step\":6")] {
        let mut following = host.begin(&["deploy", "--again", "--json"]);
        following.read_to(point);
        following.signal(Signal::KILL);
        until("it is live", || (host.live() == Some(release)).then_some(()));
        host.rests_on(Some(release), 1);
    }
    host.clean_report(meter);
}

/// What it had in hand is lost; the table is not, and the loss is told.
#[test]
fn the_proxy_comes_back_from_its_disk() {
    let host = host(&App { replicas: 2, ..App::default() });
    let meter = host.meter(host.load(300.0));
    let before = host.table().expect("the proxy answers");
    let down = host.proxy_killed();
    println!("a new client was answered after {down:?}");
    // Clients come first, the control socket after them.
    let after = until("the proxy tells its table", || host.table());
    assert!(after.generation >= before.generation);
    assert_eq!((after.listeners, after.services), (before.listeners, before.services));
    until("the journal tells of it", || {
        host.events(None).iter().any(|record| matches!(record.event, Event::RouterReturned { .. })).then_some(())
    });
    host.rests_on(Some(1), 2);
    answers(&meter, 100);
    let report = host.report(meter);
    assert_eq!(report.ledger.as_ref().map(|ledger| ledger.duplicated), Some(0), "{report}");
}

#[test]
fn a_supervisor_is_not_missed() {
    let host = host(&App::default());
    let meter = host.meter(host.load(300.0));
    host.processes_of(Role::Supervisor).into_iter().for_each(kill);
    answers(&meter, 100);
    host.build("next");
    host.done(&["deploy"]);
    host.rests_on(Some(2), 1);
    host.clean_report(meter);
}

/// What it had in hand is lost, a handful at most; everybody else goes to the other one, and it comes back.
#[test]
fn an_instance_that_dies_is_started_again() {
    let host = host(&App { replicas: 2, ..App::default() });
    let meter = host.meter(Load { sse: 0, websockets: 0, uploads: 0, ..host.load(300.0) });
    kill(host.a_serving_process());
    until("it is ready again", || {
        host.events(None).iter().any(|record| matches!(record.event, Event::InstanceBack { .. })).then_some(())
    });
    host.rests_on(Some(1), 2);
    answers(&meter, 100);
    let report = host.report(meter);
    assert!(report.requests.failed < 10, "{report}");
}

/// It takes one call, dies over it, and leaves its socket behind. Seen to fail with a client that only looks once for an agent.
#[test]
fn an_agent_that_dies_under_a_command_is_started_again() {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    host.configure(&App::default());
    host.done(&["deploy"]);
    host.kill_agent();
    let socket = host.state().join("agent.sock");
    std::fs::remove_file(&socket).expect("it leaves its socket behind");
    let dying = std::os::unix::net::UnixListener::bind(&socket).expect("the socket is free");
    let dies = std::thread::spawn(move || drop(dying.accept()));
    host.build("next");
    host.done(&["deploy"]);
    dies.join().expect("it was called");
    host.rests_on(Some(2), 1);
}
