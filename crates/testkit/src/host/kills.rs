//! Kills parts of us at a given point of a deployment, and insists that it ends as it should all the same.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cutover_meter::Running;
use rustix::process::Signal;

use super::command::Following;
use super::{App, Host, Role, kill, until, until_within};

/// The event that announces the watch of a deployment with an old release.
const WATCH_BEGINS: &str = r#""kind":"step_started","step":6,"#;

/// What is under way when the agent is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// A deployment that does what it should.
    Deployment,
    /// One whose release fails its watch, so that the traffic moves there and back.
    Failure,
    /// One that is aborted while it is watched.
    Abort,
}

impl Scene {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deployment, Self::Failure, Self::Abort];

    fn app(self, flag: &Path) -> App {
        match self {
            Self::Deployment => App::default(),
            Self::Failure => {
                let check = format!("command = [\"test\", \"!\", \"-e\", {flag:?}]");
                App { check, watch: "20s", ..App::default() }
            }
            Self::Abort => App { watch: "20s", ..App::default() },
        }
    }

    fn exit_code(self) -> i32 {
        if self == Self::Deployment { 0 } else { 4 }
    }
}

impl Host {
    /// Plays the scene and kills the agent as soon as its event number `at` is seen; whoever follows it starts a new one, which
    /// goes on. Tells whether there were so many events.
    ///
    /// # Panics
    /// Panics if it does not end as it would have without the kill.
    #[track_caller]
    pub fn agent_killed(&self, scene: Scene, at: usize, meter: &Running) -> bool {
        self.configure(&scene.app(&self.flag()));
        self.agent_killed_as_configured(scene, at, meter)
    }

    /// The same with the configuration as it is: one whose probe fails while [`Self::flag`] exists, if that is the scene.
    ///
    /// # Panics
    /// Panics if it does not end as it would have without the kill.
    #[track_caller]
    pub fn agent_killed_as_configured(&self, scene: Scene, at: usize, meter: &Running) -> bool {
        let before = self.live().expect("something is live");
        let _ = std::fs::remove_file(self.flag());
        meter.allow_releases(&[]);
        let mut following = self.begin(&["deploy", "--again", "--json"]);
        let long_enough = self.play(scene, at, &mut following);
        let told = following.wait().expect(scene.exit_code());
        let release = if scene == Scene::Deployment { self.live().expect("something is live") } else { before };
        assert!(scene != Scene::Deployment || release > before, "{scene:?} killed at {at}: {}", told.stdout);
        self.rests_on(Some(release), 1);
        meter.expect_release(&release.to_string());
        long_enough
    }

    fn play(&self, scene: Scene, at: usize, following: &mut Following) -> bool {
        let mut seen = 0;
        while let Some(line) = following.line() {
            seen += 1;
            if seen == at {
                self.kill_agent();
            }
            match scene {
                Scene::Abort if line.contains(WATCH_BEGINS) => following.signal(Signal::INT),
                Scene::Failure if line.contains(WATCH_BEGINS) => std::fs::write(self.flag(), "").expect("write a flag"),
                _ => {}
            }
        }
        seen >= at
    }

    /// While this file exists, the release of a failure fails its probe.
    pub fn flag(&self) -> PathBuf {
        self.root().join("unhealthy")
    }

    /// Ends the agent as a full memory would.
    #[track_caller]
    pub fn kill_agent(&self) {
        let agent = until("there is one agent", || self.only(Role::Agent));
        kill(agent);
    }

    /// Ends the proxy, and measures until a new client is answered.
    #[track_caller]
    pub fn proxy_killed(&self) -> Duration {
        let proxy = until("there is one proxy", || self.only(Role::Proxy));
        let begun = Instant::now();
        kill(proxy);
        until_within(Duration::from_secs(10), "a new client is answered", || {
            self.answers_once().then(|| begun.elapsed())
        })
    }

    fn answers_once(&self) -> bool {
        use std::io::{Read, Write};
        let Ok(mut stream) = std::net::TcpStream::connect(self.address()) else { return false };
        let mut answer = [0; 12];
        let request = b"GET / HTTP/1.1\r\nHost: sample\r\nConnection: close\r\n\r\n";
        stream.write_all(request).is_ok() && stream.read_exact(&mut answer).is_ok() && answer.ends_with(b" 200")
    }
}
