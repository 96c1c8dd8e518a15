//! A service of a real Compose project under cutover, by both versions of Compose.

mod docker_support;

use std::path::{Path, PathBuf};
use std::process::Command;

use cutover_testkit::host::{Host, answers, until};
use docker_support::{Containers, docker, sample};

/// A project that runs, or is about to.
struct Project {
    // In this order: the agent leaves before the containers that it would start again.
    host: Host,
    _containers: Containers,
    compose: PathBuf,
    name: String,
}

fn composes() -> [PathBuf; 2] {
    let target = Path::new(env!("CARGO_BIN_EXE_cutover")).ancestors().nth(2).expect("the target directory");
    let second = target.join("tools/compose-2/usr/libexec/docker/cli-plugins/docker-compose");
    assert!(second.is_file(), "Compose 2 is missing: `cargo xtask test` unpacks it");
    [PathBuf::from("docker-compose"), second]
}

impl Project {
    fn new(compose: PathBuf) -> Self {
        let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
        let containers = Containers(host.state());
        std::fs::write(host.ledger(), "").expect("the ledger");
        let name = host.root().file_name().expect("a name").to_string_lossy().to_lowercase();
        let project = Self { host, _containers: containers, compose, name };
        project.write(1, "");
        project
    }

    /// Writes the Compose file and the configuration for an image.
    fn write(&self, image: u32, more: &str) {
        let (root, ledger, binary) = (self.host.root(), self.host.ledger(), self.host.binary());
        let image = sample(binary, image);
        let file = format!(
            "version: \"3.8\"\nservices:\n  app:\n    image: {image}\n    container_name: {name}-app\n    ports: [\"127.0.0.1:0:8080\"]\n    \
             command: [/cutover, sample, --bind, 0.0.0.0, --port, \"8080\", --service, sample, --ledger, {ledger:?}]\n    \
             environment: {{SAMPLE_RELEASE: \"0\"}}\n    volumes: [\"{binary}:/cutover:ro\", \"{root}:{root}\"]\n    depends_on: [db]\n{more}  \
             db:\n    image: {db}\n    command: [sh, -c, \"sleep 100000\"]\n    stop_grace_period: 0s\n",
            name = self.name,
            root = root.display(),
            binary = binary.display(),
            db = docker_support::busybox(),
        );
        std::fs::write(root.join("docker-compose.yml"), file).expect("the Compose file");
        let listen = self.host.address();
        let toml = format!(
            "project = \"test\"\n[service.sample]\ncompose = {{ files = [\"docker-compose.yml\"], service = \"app\", project = \"{}\" }}\n\
             env = {{ SAMPLE_RELEASE = \"{{release}}\", SAMPLE_INSTANCE = \"{{instance}}\" }}\n\
             [service.sample.ready]\nhttp = \"/healthz\"\nstable_for = \"50ms\"\n\
             [service.sample.route]\nlisten = \"{listen}\"\n[service.sample.rollout]\nwatch = \"300ms\"\n",
            self.name
        );
        std::fs::write(self.host.config(), toml).expect("the configuration");
    }

    fn compose(&self, words: &[&str]) -> String {
        let file = self.host.root().join("docker-compose.yml");
        let mut command = Command::new(&self.compose);
        command.arg("-f").arg(file).args(["-p", &self.name]).args(words);
        let output = command.output().expect("Compose runs");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "compose {words:?}: {out}{err}");
        format!("{out}{err}")
    }

    #[track_caller]
    fn deploy(&self) {
        let mut command = self.host.command(&self.host.state(), &["deploy"]);
        command.env("CUTOVER_COMPOSE", &self.compose);
        let output = command.output().expect("cutover runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
    }

    fn of_service(&self, service: &str) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.name);
        let service = format!("label=com.docker.compose.service={service}");
        let ids = docker(&["ps", "--quiet", "--no-trunc", "--filter", &project, "--filter", &service]);
        ids.lines().map(str::to_owned).collect()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let project = format!("label=com.docker.compose.project={}", self.name);
        for id in docker(&["ps", "--all", "--quiet", "--filter", &project]).lines() {
            docker(&["rm", "--force", "--volumes", id]);
        }
        docker(&["network", "rm", &format!("{}_default", self.name)]);
    }
}

/// Copies of the service come and go under load, its neighbour is brought up once and left alone, and Compose sees them all.
#[test]
fn a_compose_service_moves_without_a_loss_and_compose_knows_its_copies() {
    for compose in composes() {
        let project = Project::new(compose);
        project.deploy();
        let neighbour = project.of_service("db");
        assert_eq!((neighbour.len(), project.of_service("app").len()), (1, 1));
        let meter = project.host.meter(project.host.load(150.0));
        project.write(2, "");
        meter.allow_releases(&["1", "2"]);
        project.deploy();
        meter.expect_release("2");
        answers(&meter, 20);
        meter.allow_releases(&["1", "2"]);
        project.host.done(&["rollback"]);
        meter.expect_release("1");
        answers(&meter, 20);
        project.host.clean_report(meter);
        assert_eq!(project.of_service("db"), neighbour, "the neighbour was touched");
        let listed = project.compose(&["ps", "--quiet"]);
        assert!(listed.contains(&project.of_service("app")[0]), "{listed}");
        until("the old copy has left", || (project.of_service("app").len() == 1).then_some(()));
        // Somebody brings up another service of the project: ours stay.
        let before = project.of_service("app");
        project.compose(&["up", "--detach", "--no-deps", "db"]);
        assert_eq!(project.of_service("app"), before, "Compose has touched the copies");
        project.host.done(&["agent", "stop"]);
        project.compose(&["down", "--timeout", "1"]);
        assert_eq!(project.of_service("app"), Vec::<String>::new(), "`down` leaves copies behind");
    }
}

/// A hook runs in the image, with the mounts and in the networks of the service, and Compose does not take it for a copy.
#[test]
fn a_compose_service_has_hooks() {
    let [compose, _] = composes();
    let project = Project::new(compose);
    let config = std::fs::read_to_string(project.host.config()).expect("the configuration");
    let hooks = "[service.sample.hooks]\nbefore_start = [\"/cutover\", \"--version\"]\nbefore_switch = { command = [\"/cutover\", \"sample\", \"--port\", \"0\"], within = \"2s\" }\n";
    std::fs::write(project.host.config(), format!("{config}{hooks}")).expect("the configuration");
    let mut command = project.host.command(&project.host.state(), &["deploy"]);
    let mut deploy = command.env("CUTOVER_COMPOSE", &project.compose).spawn().expect("cutover runs");
    let of_hook = until("the second hook is under way", || {
        let mark = format!("label=cutover.state={}", project.host.state().display());
        let words = ["ps", "--quiet", "--no-trunc", "--filter", &mark, "--filter", "label=cutover.hook"];
        Some(docker(&words)).filter(|id| !id.is_empty() && project.of_service("app").len() == 1)
    });
    let network = docker(&[
        "inspect",
        "--format",
        "{{range $name, $net := .NetworkSettings.Networks}}{{$name}} {{$net.DNSNames}}{{end}}",
        &of_hook,
    ]);
    assert!(network.starts_with(&format!("{}_default", project.name)) && !network.contains(" app"), "{network}");
    assert!(!project.compose(&["ps", "--quiet"]).contains(&of_hook), "Compose takes it for a copy");
    assert_eq!(deploy.wait().expect("it ends").code(), Some(4), "its limit has passed");
    project.host.done(&["show"]).says(&["| cutover 0", "before_switch failed", "took longer than 2s"]);
}

/// A project that runs under plain Compose comes under cutover: what runs is taken over as it is, serves through the proxy at once, and
/// its traffic moves to the first real release without a loss. Seen to fail with an adoption that starts the container anew.
#[test]
fn what_runs_under_plain_compose_is_taken_over() {
    for compose in composes() {
        let project = Project::new(compose);
        project.compose(&["up", "--detach"]);
        let old = project.of_service("app");
        assert_eq!(old.len(), 1);
        project.write(2, "");
        project.deploy();
        let history = project.host.done(&["history"]).stdout;
        assert!(history.contains("adopt"), "{history}");
        until("the old container has left", || (project.of_service("app").len() == 1).then_some(()));
        let now = project.of_service("app");
        assert!(now.len() == 1 && now != old, "{now:?} after {old:?}");
        assert_eq!(project.host.live(), Some(2));
        project.host.done(&["rollback"]);
        assert_eq!(project.host.live(), Some(1));
    }
}
