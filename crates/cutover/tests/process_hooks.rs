//! What a hook of a process is given, and what an agent that died leaves of it.
#![allow(clippy::unwrap_used, reason = "a test may panic, its fixtures too")]

mod process_support;

use std::collections::BTreeMap;
use std::time::Duration;

use cutover::engine::port::{HookKey, HookOrder, HookRun, Runtime};
use cutover_core::spec::{Hook, LimitSpec, ProcessSpec};
use cutover_core::{DeploymentId, ReleaseNo, ServiceName, Timestamp};
use process_support::*;

fn key() -> HookKey {
    let service = ServiceName::new("web").unwrap();
    HookKey { service, deployment: DeploymentId(7), began: Timestamp(1), hook: Hook::BeforeStart }
}

/// A hook of a service with this specification, that runs a script.
fn hook(spec: ProcessSpec, script: &str) -> HookOrder {
    HookOrder {
        key: key(),
        release: ReleaseNo(3),
        spec: run(spec),
        fingerprint: None,
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        variables: BTreeMap::from([("CUTOVER_KEY".to_owned(), key().to_string())]),
        within: LIMIT,
    }
}

async fn ran(world: &World, order: &HookOrder) -> HookRun {
    within("the end of the hook", world.runtime.hook(order)).await.unwrap()
}

/// Broken on purpose: the hook run as the agent's user; a pipe that belongs to the agent.
#[tokio::test]
async fn a_hook_is_given_what_an_instance_is_but_no_port() {
    if !root("a_hook_is_given_what_an_instance_is_but_no_port") {
        return;
    }
    let world = World::new();
    let mut spec = shell("true");
    (spec.user, spec.directory) = (Some("nobody".into()), Some("/usr".into()));
    spec.limits = LimitSpec { memory: None, open_files: Some(77) };
    spec.env.insert("KEY".into(), secret("hush"));
    let told = ran(&world, &hook(spec, "id -un; pwd; ulimit -n; echo $KEY $CUTOVER_KEY > /dev/stdout; env")).await;
    assert_eq!(told.failed, None, "{told:?}");
    assert_eq!(told.output[..4], ["nobody", "/usr", "77", "hush web.d7.1.before_start"], "{told:?}");
    let has = |name: &str| told.output.iter().any(|line| line.starts_with(name));
    assert!(has("CUTOVER_SERVICE=web") && has("CUTOVER_RELEASE=3") && has("HOME="), "{told:?}");
    assert!(!has("PORT=") && !has("CUTOVER_INSTANCE=") && !has("CARGO"), "{told:?}");
    assert_eq!(std::fs::read_dir(world.layout().hooks()).unwrap().count(), 0, "its record is left");
}

#[tokio::test]
async fn how_a_hook_failed_is_told() {
    let world = World::new();
    let failed = async |script: &str| ran(&world, &hook(shell("true"), script)).await.failed;
    assert_eq!(failed("exit 3").await.as_deref(), Some("exited with status 3"));
    assert_eq!(failed("kill -15 $$").await.as_deref(), Some("was ended by signal 15"));
    assert_eq!(failed("sleep 1000 & exit 0").await, None);
    let late = HookOrder { within: Duration::from_millis(200), ..hook(shell("true"), "echo begun; exec sleep 1000") };
    let late = ran(&world, &late).await;
    assert_eq!((late.failed.as_deref(), &late.output[..]), (Some("took longer than 200ms"), &["begun".to_owned()][..]));
    let missing = HookOrder { command: vec!["/no/such/program".to_owned()], ..hook(shell("true"), "") };
    let missing = ran(&world, &missing).await.failed.unwrap();
    assert!(missing.contains("could not be run: /no/such/program: No such file"), "{missing}");
}

/// Dropped is as good as dead: the next agent finds all of it by the record. Broken on purpose: no record written; only the main
/// process ended.
#[tokio::test]
async fn what_is_left_of_a_hook_is_found_by_its_record() {
    let world = World::new();
    let began = world.path("began");
    let script =
        format!("trap '' TERM; (setsid sleep 1000 &) ; sleep 1000 & sleep 1000 & echo x > {}; wait", began.display());
    let order = hook(marked(&world, shell("true")), &script);
    let left = {
        let mut running = Box::pin(world.runtime.hook(&order));
        tokio::select! {
            _ = &mut running => panic!("it ended"),
            _ = text_of(&began) => {}
        }
        // A program that another program is just being put in place of shows no mark.
        let left = until("its shell and the three that it began run", || {
            Some(programs(&world)).filter(|left| left.len() == 4)
        })
        .await;
        // One that was forgotten, as a killed agent forgets.
        std::mem::forget(running);
        left
    };
    let other = |found: &HookKey| found.hook == Hook::AfterWatch;
    world.successor().end_hooks(&other).await.unwrap();
    assert!(left.iter().all(|id| id.lives()), "another hook was meant");
    let it = |found: &HookKey| *found == key();
    world.successor().end_hooks(&it).await.unwrap();
    assert_eq!(programs(&world), []);
    world.successor().end_hooks(&it).await.unwrap();
}
