//! Images from a real registry, with and without a login.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

mod docker_support;

use std::sync::{Arc, Mutex};

use cutover::engine::port::Progress;
use cutover::image::{Images, login};
use cutover::runtime::docker::connect;
use cutover_core::spec::{ImageSpec, Login, Pull, Secret};
use docker_support::registry::{PASSWORD, Registry};
use docker_support::{busybox, docker};

fn image(reference: String) -> ImageSpec {
    ImageSpec { reference, pull: Pull::Auto, platform: None, login: None }
}

async fn images() -> Images {
    Images::new(connect().await.unwrap())
}

/// Seen to fail with a release that is pulled by its tag.
#[tokio::test]
async fn a_tag_that_moves_changes_nothing_that_was_resolved() {
    let registry = Registry::start(false);
    registry.push("shop/web:1", 1);
    let web = image(registry.name("shop/web:1"));
    let images = images().await;
    let first = images.resolve(&web).await.unwrap();
    assert!(first.starts_with(&registry.name("shop/web@sha256:")), "{first}");
    registry.push("shop/web:1", 2);
    assert_ne!(images.resolve(&web).await.unwrap(), first);
    let lines = Arc::new(Mutex::new(Vec::new()));
    let to = lines.clone();
    images.ensure(&web, &first, &Progress::new(move |line| to.lock().unwrap().push(line))).await.unwrap();
    let here = docker(&["image", "inspect", "--format", "{{index .Config.Labels \"cutover.test\"}}", &first]);
    assert_eq!(here, "1", "another image was pulled than was resolved");
    let lines = lines.lock().unwrap().clone();
    assert!(lines.first().is_some_and(|line| line.starts_with("pulling")), "{lines:?}");
    // Present already: nothing is pulled again, also when the registry is gone.
    let mut registry = registry;
    registry.child.kill().unwrap();
    images.ensure(&web, &first, &Progress::unheard()).await.unwrap();
}

/// Seen to fail with a login that is not sent along.
#[tokio::test]
async fn a_private_registry_gives_to_those_with_a_login() {
    let registry = Registry::start(true);
    registry.push("shop/web:1", 1);
    let images = images().await;
    let web = image(registry.name("shop/web:1"));
    let told = images.resolve(&web).await.unwrap_err();
    assert!(
        told.summary.contains("without a login") && told.hint.as_ref().unwrap().contains("docker login"),
        "{told:?}"
    );
    let wrong = Login { user: "ann".into(), password: Secret::new("not-hush") };
    let told = images.resolve(&ImageSpec { login: Some(wrong), ..web.clone() }).await.unwrap_err();
    assert!(told.summary.contains("as ann"), "{told:?}");
    assert!(!format!("{told:?}").contains("not-hush"), "{told:?}");
    let kept = login::of_image(&web.reference, &registry.logged_in()).unwrap();
    assert_eq!(kept.as_ref().map(|login| login.password.reveal()), Some(PASSWORD));
    let web = ImageSpec { login: kept, ..web };
    let resolved = images.resolve(&web).await.unwrap();
    images.ensure(&web, &resolved, &Progress::unheard()).await.unwrap();
    images.discard(&resolved).await.unwrap();
    assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", &resolved]), "", "it was not removed");
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let registry = Registry::start(false);
    registry.push("shop/web:1", 1);
    let images = images().await;
    let missing = images.resolve(&image(registry.name("shop/web:2"))).await.unwrap_err();
    assert!(missing.summary.contains("has no image"), "{missing:?}");
    let never = ImageSpec { pull: Pull::Never, ..image(registry.name("shop/web:1")) };
    let never = images.resolve(&never).await.unwrap_err();
    assert!(never.summary.contains("pull = \"never\""), "{never:?}");
    let web = image(registry.name("shop/web:1"));
    let resolved = images.resolve(&web).await.unwrap();
    images.ensure(&web, &resolved, &Progress::unheard()).await.unwrap();
    docker(&["tag", &resolved, &web.reference]);
    let mut registry = registry;
    registry.child.kill().unwrap();
    registry.child.wait().unwrap();
    // What is here and came from there stands for it; what is not here cannot.
    assert_eq!(images.resolve(&web).await.unwrap(), resolved);
    let away = images.resolve(&image(registry.name("shop/other:1"))).await.unwrap_err();
    assert!(away.summary.contains("could not be reached"), "{away:?}");
}

/// Seen to fail with an image that is removed by force.
#[tokio::test]
async fn an_image_that_something_uses_stays() {
    let images = images().await;
    let local = image(busybox().to_owned());
    let id = images.resolve(&local).await.unwrap();
    assert!(id.starts_with("sha256:"), "an image that exists only here is known by its id: {id}");
    images.ensure(&local, &id, &Progress::unheard()).await.unwrap();
    let container = docker(&["create", &id, "true"]);
    images.discard(&id).await.unwrap();
    assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", busybox()]), id, "an image in use was removed");
    docker(&["rm", &container]);
}

/// Nobody could get it again: a service that is removed does not take the image along that somebody has made for it.
///
/// Seen to fail when only what uses an image kept it.
#[tokio::test]
async fn an_image_that_exists_only_here_stays_while_it_has_a_name() {
    let images = images().await;
    let name = format!("cutover-test/only-here-{}", std::process::id());
    let container = docker(&["create", busybox(), "true"]);
    let id = docker(&["commit", "--change", "LABEL cutover.test=only-here", &container, &name]);
    docker(&["rm", &container]);
    images.discard(&id).await.unwrap();
    assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", &name]), id, "it was removed");
    // Its name has moved on to a newer one.
    docker(&["tag", busybox(), &name]);
    images.discard(&id).await.unwrap();
    assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", &id]), "", "it has no name, and stays");
    docker(&["rmi", &name]);
}
