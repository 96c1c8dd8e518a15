//! Networks, strangers and images that are gone when the test ends.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{busybox, docker};

/// The beginning of the names of networks; the process that they belong to follows.
const PREFIX: &str = "cutover-test-net";

/// A network's name and a free range for it. It is removed when this is dropped, whoever made it.
pub struct Network {
    pub name: String,
    /// The first three bytes of its addresses: `10.200.7`.
    pub range: String,
}

impl Network {
    /// Not made yet.
    pub fn new() -> Self {
        sweep();
        let range = free_range();
        Self { name: format!("{PREFIX}-{}-{}", std::process::id(), range.replace('.', "-")), range }
    }

    /// Made already.
    pub fn made() -> Self {
        let network = Self::new();
        let made = docker(&["network", "create", "--subnet", &network.subnet(), &network.name]);
        assert!(!made.is_empty(), "the network {} could not be made", network.name);
        network
    }

    pub fn subnet(&self) -> String {
        format!("{}.0/24", self.range)
    }

    pub fn at(&self, last: u8) -> String {
        format!("{}.{last}", self.range)
    }

    /// One of the engine's answers about it.
    pub fn says(&self, format: &str) -> String {
        docker(&["network", "inspect", "--format", format, &self.name])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        docker(&["network", "rm", &self.name]);
    }
}

/// The images of a name, removed when this is dropped. Whoever drops it has removed their containers.
pub struct Image(pub String);

impl Drop for Image {
    fn drop(&mut self) {
        for id in docker(&["images", "--quiet", "--no-trunc", &self.0]).lines() {
            docker(&["rmi", "--force", id]);
        }
    }
}

/// Somebody else's container, gone when this is dropped, and by itself if the test is killed.
pub struct Stranger(pub String);

impl Stranger {
    /// One that does nothing, with these options.
    pub fn with(options: &[&str]) -> Self {
        let run = ["run", "--detach", "--rm", "--label", "cutover.test=stranger", "--stop-timeout", "0"];
        let id = docker(&[&run[..], options, &[busybox(), "sleep", "600"]].concat());
        assert!(!id.is_empty(), "the stranger with {options:?} does not start");
        Self(id)
    }

    /// A name that nobody else has.
    pub fn name(what: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        format!("cutover-test-{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// What a command inside it prints.
    pub fn run(&self, words: &[&str]) -> String {
        docker(&[&["exec", &self.0], words].concat())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        docker(&["rm", "--force", &self.0]);
    }
}

/// A range of the private addresses that nothing here routes to, and that the engine does not take by itself.
pub fn free_range() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let routes = Command::new("ip").args(["-4", "route"]).output().expect("ip runs");
    let routes = String::from_utf8_lossy(&routes.stdout).into_owned();
    loop {
        let number = std::process::id().wrapping_mul(13).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let range = format!("10.{}.{}", 200 + number / 256 % 50, number % 256);
        if !routes.contains(&format!("{range}.")) {
            return range;
        }
    }
}

/// Removes the networks of tests that were killed.
fn sweep() {
    let filter = format!("name={PREFIX}-");
    for name in docker(&["network", "ls", "--filter", &filter, "--format", "{{.Name}}"]).lines() {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.trim_start_matches('-').split('-').next());
        if owner.is_some_and(|owner| !std::path::Path::new("/proc").join(owner).exists()) {
            docker(&["network", "rm", name]);
        }
    }
}
