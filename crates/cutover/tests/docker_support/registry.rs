//! Debian's registry, with and without a login.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use cutover_testkit::host::{free_port, until};

use super::{busybox, docker};

/// The password of ann, who may log in.
pub const PASSWORD: &str = "hush-hush-hush";

/// Debian's registry, in a folder of its own.
pub struct Registry {
    pub child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Registry {
    pub fn start(with_login: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let at = folder.path().display();
        let mut config = format!(
            "version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {at}/data}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n"
        );
        if with_login {
            let users = Command::new("htpasswd").args(["-Bbn", "ann", PASSWORD]).output().unwrap();
            std::fs::write(folder.path().join("users"), users.stdout).unwrap();
            config.push_str(&format!("auth: {{htpasswd: {{realm: test, path: {at}/users}}}}\n"));
        }
        std::fs::write(folder.path().join("config.yml"), config).unwrap();
        let program = if Path::new("/usr/bin/docker-registry").exists() { "docker-registry" } else { "registry" };
        let mut command = Command::new(program);
        command.arg("serve").arg(folder.path().join("config.yml")).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("docker-registry is missing: `cargo xtask test` installs it");
        until("the registry listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop));
        Self { child, folder, port }
    }

    pub fn name(&self, rest: &str) -> String {
        format!("127.0.0.1:{}/{rest}", self.port)
    }

    /// Docker's folder with the login for this registry.
    pub fn logged_in(&self) -> std::path::PathBuf {
        let folder = self.folder.path().join("docker");
        let mut command = Command::new("docker");
        command
            .args(["login", "--username", "ann", "--password", PASSWORD, &self.name("")])
            .env("DOCKER_CONFIG", &folder);
        assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
        folder
    }

    /// Pushes an image that differs by `number`; it does not stay here.
    pub fn push(&self, name: &str, number: u32) {
        let reference = self.name(name);
        let label = format!("LABEL cutover.test={number}");
        let container = docker(&["create", busybox(), "true"]);
        docker(&["commit", "--change", &label, &container, &reference]);
        docker(&["rm", &container]);
        let mut command = Command::new("docker");
        command.args(["push", "--quiet", &reference]).stdout(Stdio::null());
        if self.folder.path().join("users").exists() {
            command.env("DOCKER_CONFIG", self.logged_in());
        }
        assert!(command.status().unwrap().success(), "{reference} was not pushed");
        docker(&["rmi", &reference]);
    }

    /// Pushes an image with so many megabytes in one layer; it does not stay here.
    pub fn push_large(&self, name: &str, megabytes: u32) -> String {
        let reference = self.name(name);
        let size = format!("count={megabytes}");
        let container = docker(&["run", "--detach", busybox(), "dd", "if=/dev/zero", "of=/large", "bs=1M", &size]);
        docker(&["wait", &container]);
        docker(&["commit", &container, &reference]);
        docker(&["rm", &container]);
        docker(&["push", "--quiet", &reference]);
        docker(&["rmi", &reference]);
        reference
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mine = format!("127.0.0.1:{}/*/*", self.port);
        for id in docker(&["images", "--quiet", "--no-trunc", &mine]).lines() {
            docker(&["rmi", "--force", id]);
        }
    }
}
