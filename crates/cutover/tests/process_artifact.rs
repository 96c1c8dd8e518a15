//! Artifacts are copied whole, or not at all.
#![allow(clippy::unwrap_used, reason = "a test may panic, its fixtures too")]

mod process_support;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use cutover::engine::port::{Exit, Progress, ReleaseOrder, Runtime, RuntimeError};
use cutover_core::spec::ProcessSpec;
use cutover_core::{ReleaseNo, ServiceName};
use process_support::*;

/// What the release runs.
fn process(release: &ReleaseOrder) -> ProcessSpec {
    release.spec.process().unwrap().clone()
}

async fn planned(world: &World, release: u32, artifact: &Path) -> ReleaseOrder {
    let spec = ProcessSpec { artifact: Some(artifact.to_owned()), ..spec(&["sh", "{artifact}"]) };
    let spec = run(spec);
    let fingerprint = world.runtime.fingerprint(&spec).await.unwrap();
    ReleaseOrder { service: web(), release: ReleaseNo(release), spec, fingerprint }
}

fn web() -> ServiceName {
    ServiceName::new("web").unwrap()
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// What is left below the releases of the service.
fn releases(world: &World) -> Vec<String> {
    let entries = std::fs::read_dir(world.layout().releases(&web())).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_release_runs_its_copy_whatever_happens_to_the_original() {
    let world = World::new();
    let original = world.path("app.sh");
    write(&original, "echo first; echo $0", 0o755);
    let release = planned(&world, 1, &original).await;
    world.runtime.prepare(&release, &Progress::unheard()).await.unwrap();
    write(&original, "echo second", 0o755);
    // Done already: the original does not matter any more.
    world.runtime.prepare(&release, &Progress::unheard()).await.unwrap();
    let order = order("web.r1.i1", process(&release));
    world.start(&order).await;
    assert_eq!(within("the end", world.runtime.exited(&order.instance)).await, Exit::Code(0));
    let lines = world.last_lines(&order.instance, 9).await;
    assert_eq!(lines[0], "first");
    assert!(lines[1].ends_with("/content/app.sh"), "{lines:?}");
    for _ in 0..2 {
        world.runtime.discard(&web(), ReleaseNo(1)).await.unwrap();
        assert!(releases(&world).is_empty());
    }
}

/// Broken on purpose: permissions, links and names each left out of the digest.
#[tokio::test]
async fn a_directory_is_copied_as_it_is_and_each_part_of_it_counts() {
    let world = World::new();
    let original = world.path("app");
    write(&original.join("bin/run"), "#!/bin/sh\npwd; cat conf/name\n", 0o755);
    write(&original.join("conf/real"), "shop\n", 0o640);
    symlink("real", original.join("conf/name")).unwrap();
    symlink("/nowhere", original.join("dangling")).unwrap();
    std::fs::create_dir(original.join("empty")).unwrap();
    std::fs::set_permissions(original.join("empty"), PermissionsExt::from_mode(0o500)).unwrap();
    let mut release = planned(&world, 1, &original).await;
    world.runtime.prepare(&release, &Progress::unheard()).await.unwrap();
    let copy = world.layout().copy(&web(), ReleaseNo(1), &original);
    let copied = ProcessSpec { artifact: Some(copy.clone()), ..process(&release) };
    assert_eq!(world.runtime.fingerprint(&run(copied)).await.unwrap(), release.fingerprint);
    assert_eq!(copy.join("conf/name").read_link().unwrap(), PathBuf::from("real"));

    release.spec = run(ProcessSpec { command: vec!["bin/run".into()], ..process(&release) });
    let order = order("web.r1.i1", process(&release));
    world.start(&order).await;
    within("the end", world.runtime.exited(&order.instance)).await;
    assert_eq!(world.last_lines(&order.instance, 9).await, [copy.to_str().unwrap(), "shop"]);

    let changes: [&dyn Fn(); 5] = [
        &|| write(&original.join("conf/real"), "Shop\n", 0o640),
        &|| write(&original.join("conf/real"), "shop\n", 0o600),
        &|| std::fs::rename(original.join("conf/real"), original.join("conf/really")).unwrap(),
        &|| std::fs::remove_dir(original.join("empty")).unwrap(),
        &|| {
            std::fs::remove_file(original.join("dangling")).unwrap();
            symlink("/elsewhere", original.join("dangling")).unwrap();
        },
    ];
    let mut seen = vec![release.fingerprint];
    for change in changes {
        change();
        let now = world.runtime.fingerprint(&release.spec).await.unwrap();
        assert!(!seen.contains(&now), "a change was not seen");
        seen.push(now);
    }
}

#[tokio::test]
async fn a_changed_artifact_is_refused_and_nothing_stays() {
    let world = World::new();
    let original = world.path("app.sh");
    write(&original, "echo first", 0o644);
    let release = planned(&world, 1, &original).await;
    write(&original, "echo other", 0o644);
    let error = world.runtime.prepare(&release, &Progress::unheard()).await.unwrap_err();
    assert!(matches!(&error, RuntimeError::ArtifactChanged(path) if *path == original), "{error:?}");
    assert!(releases(&world).is_empty());
}

/// Broken on purpose: the scratch directory left as it was (then it cannot be made anew).
#[tokio::test]
async fn a_copy_that_was_cut_short_is_begun_anew() {
    let world = World::new();
    let original = world.path("app.sh");
    write(&original, "echo first", 0o644);
    let release = planned(&world, 1, &original).await;
    let scratch = world.layout().releases(&web()).join(".1.tmp");
    write(&scratch.join("content/app.sh"), "echo fir", 0o644);
    write(&scratch.join("content/rubbish"), "x", 0o644);
    world.runtime.prepare(&release, &Progress::unheard()).await.unwrap();
    assert_eq!(releases(&world), ["1"]);
    let copy = world.layout().copy(&web(), ReleaseNo(1), &original);
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), "echo first");
    assert!(!copy.with_file_name("rubbish").exists());
}

#[tokio::test]
async fn a_file_that_vanishes_is_named() {
    let world = World::new();
    let original = world.path("app");
    write(&original.join("z"), "last", 0o644);
    let first = std::fs::File::create(original.join("a")).unwrap();
    first.set_len(32 << 20).unwrap();
    let release = ReleaseOrder { fingerprint: None, ..planned(&world, 1, &original).await };
    let copying = {
        let (runtime, release) = (world.runtime.clone(), release.clone());
        tokio::spawn(async move { runtime.prepare(&release, &Progress::unheard()).await })
    };
    let scratch = world.layout().releases(&web()).join(".1.tmp/content/app/a");
    until("the copy has begun", || scratch.exists().then_some(())).await;
    std::fs::remove_file(original.join("z")).unwrap();
    let error = within("the copy", copying).await.unwrap().unwrap_err();
    let RuntimeError::Artifact { path, source } = &error else { panic!("{error:?}") };
    assert_eq!((path, source.kind()), (&original.canonicalize().unwrap().join("z"), std::io::ErrorKind::NotFound));
    assert!(releases(&world).is_empty());
    std::fs::remove_dir_all(&original).unwrap();
    assert!(world.runtime.fingerprint(&release.spec).await.unwrap_err().to_string().contains("/app"));
}

/// A file system with hardly any room.
struct Tiny(PathBuf);

impl Tiny {
    fn mount(at: PathBuf) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tiny"]).arg(&at).status().unwrap();
        assert!(status.success());
        Self(at)
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().unwrap();
    }
}

/// Broken on purpose: the scratch directory not removed after a failure (the small copy then finds no room either).
#[tokio::test]
async fn a_full_disk_leaves_no_half_copy() {
    if !root("a full disk") {
        return;
    }
    let world = World::new();
    let original = world.path("app");
    write(&original.join("small"), "fits", 0o644);
    write(&original.join("large"), &"x".repeat(4 << 20), 0o644);
    let _tiny = Tiny::mount(world.layout().releases(&web()));
    let error = world.runtime.prepare(&planned(&world, 1, &original).await, &Progress::unheard()).await.unwrap_err();
    let RuntimeError::Artifact { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    assert!(releases(&world).is_empty());
    std::fs::remove_file(original.join("large")).unwrap();
    world.runtime.prepare(&planned(&world, 1, &original).await, &Progress::unheard()).await.unwrap();
}
