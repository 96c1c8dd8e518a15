//! A real engine for the tests: small images of busybox, and containers that are gone when the test ends.

#![allow(dead_code, clippy::unwrap_used)] // Each test uses a part of it.

pub mod engine;
pub mod place;
pub mod registry;
pub mod shop;

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use cutover::engine::port::{Progress, ReleaseOrder, Runtime, StartOrder};
use cutover::runtime::docker::DockerRuntime;
use cutover_core::spec::{ContainerSpec, RunSpec};
use cutover_core::{InstanceId, ReleaseNo};

/// A runtime over a state directory of its own.
pub struct World {
    pub state: tempfile::TempDir,
    pub runtime: DockerRuntime,
}

impl World {
    pub fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let runtime = DockerRuntime::new(state.path());
        Self { state, runtime }
    }

    /// Another agent on the same state.
    pub fn successor(&self) -> DockerRuntime {
        DockerRuntime::new(self.state.path())
    }

    /// Starts an instance as the engine would.
    pub async fn start(&self, order: &StartOrder) -> Result<std::net::SocketAddr, String> {
        let release = ReleaseOrder {
            service: order.instance.service.clone(),
            release: order.instance.release,
            spec: order.spec.clone(),
            fingerprint: order.fingerprint.clone(),
        };
        self.runtime.prepare(&release, &Progress::unheard()).await.map_err(|error| error.to_string())?;
        self.runtime.start(order).await.map_err(|error| error.to_string())
    }

    pub async fn lines(&self, instance: &InstanceId) -> Vec<String> {
        self.runtime.logs(instance, 100).await.into_iter().map(|line| line.text).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let mark = format!("label=cutover.state={}", self.state.path().display());
        let ids = docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &mark]);
        for id in ids.lines() {
            docker(&["rm", "--force", "--volumes", id]);
        }
    }
}

/// What the docker command prints; nothing if it fails.
pub fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).stderr(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// An image with busybox and its commands, made once.
pub fn busybox() -> &'static str {
    const NAME: &str = "cutover-test/busybox:1";
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        if docker(&["image", "inspect", "--format", "{{.Id}}", NAME]).is_empty() {
            let script = "set -e; root=$(mktemp -d); mkdir -p $root/bin $root/tmp $root/etc; cp \"$(command -v busybox)\" $root/bin/; \
                 for applet in sh sleep cat echo nc httpd true false kill id env ls seq yes head dd test mkdir; \
                 do ln -s busybox $root/bin/$applet; done; \
                 tar -C $root -c . | docker import --change 'LABEL cutover.test=1' - \"$0\"; rm -r $root";
            let made = Command::new("sh").args(["-c", script, NAME]).stdout(Stdio::null()).status().unwrap();
            assert!(made.success(), "the image of busybox could not be made");
        }
    });
    NAME
}

pub fn id(text: &str) -> InstanceId {
    text.parse().unwrap()
}

/// A container of busybox that runs a script.
pub fn shell(script: &str) -> ContainerSpec {
    let command = Some(["sh", "-c", script].map(str::to_owned).to_vec());
    ContainerSpec { command, ..ContainerSpec::of_image(busybox()) }
}

/// One that answers HTTP with 200 on a port, and leaves when it is asked.
pub fn web(port: u16) -> ContainerSpec {
    let script = format!("mkdir -p /www; echo hello > /www/index.html; exec httpd -f -p {port} -h /www");
    ContainerSpec { port: Some(port), ..shell(&script) }
}

pub fn run(spec: ContainerSpec) -> RunSpec {
    RunSpec::Container(Box::new(spec))
}

pub fn order(instance: &str, spec: ContainerSpec) -> StartOrder {
    StartOrder { instance: id(instance), attempt: 0, spec: run(spec), fingerprint: None }
}

pub fn first_release() -> ReleaseNo {
    ReleaseNo(1)
}

/// An image with the libraries that this test's `cutover` needs, under which the sample runs from a mount. `number` tells images apart that
/// are otherwise alike.
pub fn sample(binary: &std::path::Path, number: u32) -> String {
    let name = format!("cutover-test/sample:{number}");
    let made = docker(&["image", "inspect", "--format", "{{.Id}}", &name]);
    if made.is_empty() {
        let script = "set -e; root=$(mktemp -d); mkdir -p $root/tmp; \
             for file in $(ldd \"$1\" | grep -o '/[^ ]*'); do mkdir -p $root$(dirname $file); cp -L $file $root$file; done; \
             tar -C $root -c . | docker import --change 'LABEL cutover.test=1' --change \"LABEL number=$2\" - \"$0\"; rm -r $root";
        let number = number.to_string();
        let command = ["-c", script, &name, &binary.display().to_string(), &number];
        assert!(Command::new("sh").args(command).stdout(Stdio::null()).status().unwrap().success(), "no image {name}");
    }
    name
}

/// Removes the containers of a host when it is dropped.
pub struct Containers(pub std::path::PathBuf);

impl Drop for Containers {
    fn drop(&mut self) {
        let mark = format!("label=cutover.state={}", self.0.display());
        for id in docker(&["ps", "--all", "--quiet", "--filter", &mark]).lines() {
            docker(&["rm", "--force", "--volumes", id]);
        }
    }
}
