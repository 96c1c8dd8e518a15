//! Accessories with a real engine, by the real binary.

mod docker_support;

use cutover_testkit::host::Host;
use docker_support::place::Network;
use docker_support::{busybox, docker};

/// A project whose database is a busybox that keeps a file in a volume.
struct Shop {
    host: Host,
    project: String,
}

impl Shop {
    fn new() -> Self {
        let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
        let name = host.root().file_name().expect("a name").to_string_lossy().to_lowercase();
        let shop = Self { project: name.replace("cutover-host-", "acc-"), host };
        shop.write("one", "tcp = true", "");
        shop
    }

    fn write(&self, setting: &str, ready: &str, more: &str) {
        let (project, image) = (&self.project, busybox());
        let toml = format!(
            "project = \"{project}\"\n\
             [accessory.web]\nimage = \"{image}\"\ncommand = [\"sleep\", \"100000\"]\ndepends_on = [\"db\"]\nstop = {{ grace = \"0s\" }}\n\
             [accessory.db]\nimage = \"{image}\"\nport = 5432\nenv = {{ SETTING = \"{setting}\", PASSWORD = \"hush-hush\" }}\n\
             command = [\"sh\", \"-c\", \"echo $SETTING >> /data/starts; exec httpd -f -p 5432 -h /data\"]\n\
             volumes = [\"{project}-data:/data\"]\nready = {{ {ready}, within = \"5s\" }}\nstop = {{ grace = \"0s\" }}\n\
             [service.sample]\ncommand = [\"{}\", \"sample\", \"--port\", \"{{port}}\"]\n{more}\n\
             [service.sample.ready]\nhttp = \"/healthz\"\nstable_for = \"50ms\"\n[service.sample.rollout]\nwatch = \"300ms\"\n\
             [service.sample.route]\nlisten = \"{}\"\n",
            self.host.binary().display(),
            self.host.address(),
        );
        std::fs::write(self.host.config(), toml).expect("the configuration");
    }

    fn container(&self, name: &str) -> String {
        docker(&[
            "ps",
            "--quiet",
            "--no-trunc",
            "--filter",
            &format!("label=cutover.accessory={}/{name}", self.project),
        ])
    }

    fn starts(&self) -> String {
        docker(&["exec", &self.container("db"), "cat", "/data/starts"])
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        for name in ["db", "web"] {
            let label = format!("label=cutover.accessory={}/{name}", self.project);
            for id in docker(&["ps", "--all", "--quiet", "--filter", &label]).lines() {
                docker(&["rm", "--force", id]);
            }
        }
        docker(&["volume", "rm", "--force", &format!("{}-data", self.project)]);
    }
}

/// Seen to fail when other settings were a reason to make it anew.
#[test]
fn accessories_are_brought_up_once_and_updated_only_when_asked() {
    let shop = Shop::new();
    let told = shop.host.done(&["deploy"]);
    told.says(&["db was made and is ready", "web was made and is ready"]);
    let db = shop.container("db");
    shop.host.done(&["deploy", "--again"]);
    assert_eq!((shop.container("db"), shop.starts().as_str()), (db.clone(), "one"));

    shop.write("two", "tcp = true", "");
    shop.host.done(&["accessory", "up"]).says(&["db differs from the configuration", "cutover accessory update db"]);
    assert_eq!(shop.container("db"), db, "it was touched without being asked");
    shop.host.done(&["accessory", "list"]).says(&["running", "differs"]);
    shop.host.done(&["accessory", "update", "db"]);
    assert_ne!(shop.container("db"), db);
    assert_eq!(shop.starts(), "one\ntwo", "the volume did not outlive it");

    shop.host.done(&["accessory", "stop", "db"]);
    assert_eq!(shop.container("db"), "");
    shop.host.done(&["deploy", "--again"]).says(&["db did not run; it was started"]);
    shop.host.done(&["accessory", "remove", "db"]).says(&["its volumes stay"]);
    let volume = format!("{}-data", shop.project);
    assert_eq!(docker(&["volume", "ls", "--quiet", "--filter", &format!("name={volume}")]), volume);
    shop.host.run(&["accessory", "remove", "db", "--volumes"]).expect(2).says(&["--yes"]);
    shop.host.done(&["accessory", "remove", "db", "--volumes", "--yes"]);
    assert_eq!(docker(&["volume", "ls", "--quiet", "--filter", &format!("name={volume}")]), "");
}

/// Seen to fail with a deployment that does not wait for its neighbours.
#[test]
fn nothing_is_deployed_before_its_accessories_are_ready() {
    let shop = Shop::new();
    shop.write("one", "http = \"/nowhere\"", "");
    let told = shop.host.run(&["deploy"]).expect(1);
    let told = told.says(&["db was not ready", "404", "docker logs"]);
    assert!(!told.stderr.contains("hush-hush") && !told.stdout.contains("hush-hush"), "a secret is shown");
    assert!(shop.host.status().services.is_empty(), "it was deployed all the same");
    assert_eq!(shop.container("web"), "", "what depends on it was started");
}

/// A database that is reached by two networks, and whose port on the host a stranger has.
#[test]
fn an_accessory_is_in_all_its_networks_and_a_port_that_is_taken_is_said_by_whom() {
    let (first, second) = (Network::made(), Network::made());
    let shop = Shop::new();
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = stranger.local_addr().expect("its address").port();
    let with = |publish: &str| {
        let networks = format!("network = {{ name = \"{}\" }}\nnetworks = [\"{}\"]\n", first.name, second.name);
        let text = std::fs::read_to_string(shop.host.config()).expect("the configuration");
        text.replace("port = 5432\n", &format!("port = 5432\n{networks}{publish}"))
    };
    let taken = with(&format!("publish = [\"127.0.0.1:{port}:5432\"]\n"));
    let free = with("");
    std::fs::write(shop.host.config(), taken).expect("the configuration");
    shop.host.run(&["accessory", "up"]).expect(1).says(&["did not start", &format!("port {port} is held by ")]);
    docker(&["rm", "--force", &format!("{}-db", shop.project)]);
    drop(stranger);
    std::fs::write(shop.host.config(), free).expect("the configuration");
    shop.host.done(&["accessory", "up"]);
    let networks = docker(&[
        "inspect",
        "--format",
        "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}",
        &shop.container("db"),
    ]);
    assert!(networks.contains(&first.name) && networks.contains(&second.name), "{networks}");
}
