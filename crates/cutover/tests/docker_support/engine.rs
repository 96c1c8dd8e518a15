//! A second engine, for what cannot be done to the one of this machine: it is restarted, and its disk is full.
//!
//! It lives in a host's directory, so that what a killed test leaves is ended as all of a host is.

use std::process::{Child, Command, Stdio};

use cutover_testkit::host::{Host, until};
use rustix::process::{Pid, Signal, kill_process};

use super::place::free_range;

/// Another Docker engine, with its own containerd, images, bridge and socket.
pub struct Engine {
    home: Host,
    child: Child,
    options: Vec<String>,
    bridge: String,
}

impl Engine {
    /// Starts one with these options besides its own. Its images have so much room, or what the disk has.
    pub fn start(options: &[&str], room: Option<&str>) -> Self {
        sweep();
        let home = Host::new(env!("CARGO_BIN_EXE_cutover"));
        std::fs::create_dir_all(home.state()).unwrap();
        if let Some(room) = room {
            let size = format!("size={room}");
            // The sweep of hosts unmounts what lies there.
            let words = ["-t", "tmpfs", "-o", &size, "tmpfs"];
            assert!(Command::new("mount").args(words).arg(home.state()).status().unwrap().success(), "no small disk");
        }
        let range = free_range();
        let bridge = format!("cut{}-{}", std::process::id(), range.rsplit('.').next().unwrap());
        ip(&["link", "add", "name", &bridge, "type", "bridge"]);
        ip(&["addr", "add", &format!("{range}.1/24"), "dev", &bridge]);
        ip(&["link", "set", &bridge, "up"]);
        let options = options.iter().map(ToString::to_string).collect();
        let child = serve(&home, &bridge, &options);
        let engine = Self { home, child, options, bridge };
        engine.wait();
        engine
    }

    /// For `DOCKER_HOST`.
    pub fn address(&self) -> String {
        format!("unix://{}", self.home.root().join("docker.sock").display())
    }

    /// What the docker command prints of this engine; nothing if it fails.
    pub fn docker(&self, words: &[&str]) -> String {
        let mut command = Command::new("docker");
        command.args(words).env("DOCKER_HOST", self.address()).stderr(Stdio::null());
        String::from_utf8_lossy(&command.output().unwrap().stdout).trim().to_owned()
    }

    /// Copies an image from the engine of this machine.
    pub fn give(&self, image: &str) {
        let script = "docker save \"$0\" | DOCKER_HOST=\"$1\" docker load --quiet";
        let given = Command::new("sh").args(["-c", script, image, &self.address()]).stdout(Stdio::null()).status();
        assert!(given.unwrap().success(), "{image} could not be copied");
    }

    /// Ends it as an upgrade of its package does, and waits until it has left.
    pub fn stop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        until("the second engine has left", || self.child.try_wait().unwrap());
    }

    /// Starts it again after it has left.
    pub fn start_again(&mut self) {
        self.child = serve(&self.home, &self.bridge, &self.options);
        self.wait();
    }

    fn wait(&self) {
        until("the second engine answers", || {
            (!self.docker(&["info", "--format", "{{.ID}}"]).is_empty()).then_some(())
        });
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|left| left.is_some()) {
            self.child = serve(&self.home, &self.bridge, &self.options);
        }
        let answers = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            !self.docker(&["info", "--format", "{{.ID}}"]).is_empty()
        });
        for id in self.docker(&["ps", "--all", "--quiet"]).lines() {
            self.docker(&["rm", "--force", "--volumes", id]);
        }
        let _ = kill_process(Pid::from_child(&self.child), if answers { Signal::TERM } else { Signal::KILL });
        let _ = self.child.wait();
        // It mounts its folder onto itself, and leaves that behind.
        let _ = Command::new("umount").args(["--quiet", "--lazy", "--recursive"]).arg(self.home.state()).status();
        ip(&["link", "del", &self.bridge]);
    }
}

fn serve(home: &Host, bridge: &str, options: &Vec<String>) -> Child {
    let at = |name: &str| home.root().join(name);
    std::fs::write(at("daemon.json"), "{}").unwrap();
    let mut command = Command::new("dockerd");
    command.arg("--config-file").arg(at("daemon.json")).arg("--data-root").arg(home.state());
    command.arg("--exec-root").arg(at("exec")).arg("--pidfile").arg(at("engine.pid"));
    command.arg("--host").arg(format!("unix://{}", at("docker.sock").display()));
    // The packet filter belongs to the engine of this machine. Its storage driver is slow, but works everywhere.
    command.args(["--bridge", bridge, "--iptables=false", "--ip-forward=false", "--ip-masq=false"]);
    command.args(["--storage-driver", "vfs", "--shutdown-timeout", "5"]).args(options);
    // Where containerd leaves what it has to say when it is ended in the middle of something.
    command.env("TMPDIR", home.root());
    let log = std::fs::OpenOptions::new().create(true).append(true).open(at("engine.log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().expect("dockerd is missing: `cargo xtask test` installs it")
}

fn ip(words: &[&str]) {
    let _ = Command::new("ip").args(words).stderr(Stdio::null()).status();
}

/// Removes the bridges of tests that were killed.
fn sweep() {
    for entry in std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("cut").and_then(|rest| rest.split_once('-')).map(|(owner, _)| owner.to_owned());
        let owner = owner.filter(|owner| owner.chars().all(|c| c.is_ascii_digit()));
        if owner.is_some_and(|owner| !std::path::Path::new("/proc").join(owner).exists()) {
            ip(&["link", "del", &name]);
        }
    }
}
