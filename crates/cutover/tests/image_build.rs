//! `cutover build` by the real binary: what is built, how it is named, and that exactly this is deployed.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

mod docker_support;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use cutover_testkit::host::Told;
use docker_support::place::Image;
use docker_support::registry::Registry;
use docker_support::shop::{Service, Shop};
use docker_support::{busybox, docker};

/// A service that is built from a folder with a git repository.
struct Source {
    // In this order: the containers go before their images.
    shop: Shop,
    repository: String,
    _images: Image,
}

impl Source {
    fn new(repository: &str) -> Self {
        let source =
            Self { shop: Shop::new(), repository: repository.to_owned(), _images: Image(repository.to_owned()) };
        std::fs::create_dir(source.folder()).unwrap();
        // The builder's cache gives two repositories one image if nothing tells them apart.
        let dockerfile = format!(
            "FROM {base} AS early\nCMD [\"false\"]\nFROM {base} AS final\nARG WORDS\nLABEL words=$WORDS cutover.test={repository}\n\
             COPY page /www/index.html\n\
             CMD [\"sh\", \"-c\", \"trap 'exit 0' TERM; httpd -p 80 -h /www; while :; do sleep 0.05; done\"]\n\
             FROM {base} AS late\nCMD [\"false\"]\n",
            base = busybox()
        );
        source.write("Dockerfile.prod", &dockerfile);
        source.write("page", "one");
        source.configure("push = true");
        source
    }

    fn folder(&self) -> PathBuf {
        self.shop.host.root().join("source")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder().join(name), text).unwrap();
    }

    fn configure(&self, more: &str) {
        let build = format!(
            "[service.sample.build]\ncontext = \"source\"\ndockerfile = \"source/Dockerfile.prod\"\ntarget = \"final\"\n\
             args = {{ WORDS = \"said at the build\" }}\n{more}"
        );
        self.shop.write(&Service {
            lines: format!("image = \"{}\"\nport = 80", self.repository),
            ready: "http = \"/\"\nstable_for = \"50ms\"\nwithin = \"20s\"".to_owned(),
            tables: format!("{}\n{build}", Service::default().tables),
            ..Service::default()
        });
    }

    fn commit(&self) -> String {
        let git = |words: &[&str]| {
            let mut command = Command::new("git");
            command.arg("-C").arg(self.folder()).args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(words);
            let output = command.stderr(Stdio::null()).output().unwrap();
            assert!(output.status.success(), "git {words:?}");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        git(&["init", "--quiet"]);
        git(&["add", "."]);
        git(&["commit", "--quiet", "--message", "one"]);
        git(&["rev-parse", "--short=12", "HEAD"])
    }

    /// Builds, and gives the name that was told.
    #[track_caller]
    fn build(&self) -> String {
        let told = self.shop.host.done(&["build"]);
        let name = told.stdout.trim().to_owned();
        assert_eq!(name.lines().count(), 1, "the name alone is said on standard output: {name}");
        name
    }

    /// Removes an image from this host, so that only the registry has it.
    fn forget(&self, name: &str) {
        docker(&["rmi", "--force", name]);
        assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", name]), "");
    }

    #[track_caller]
    fn serves(&self, page: &str) {
        assert_eq!(self.shop.get("/").as_deref(), Some(page));
    }
}

/// Built and pushed with the login of whoever calls; deployed by name from the registry, where it is the same whatever else was built since.
///
/// Seen to fail with the target, the arguments or the Dockerfile left out of the command, with a deployment that builds once more in place of
/// taking `--image`, and with one tag for a commit and for changes beside it.
#[test]
fn what_was_built_and_pushed_is_what_is_deployed() {
    let registry = Registry::start(true);
    let mut source = Source::new(&registry.name("shop/web"));
    let refused = source.shop.host.run(&["build"]).expect(1);
    refused.says(&["docker push", "`docker login` for the registry of", &source.repository]);
    source.shop.host.set("DOCKER_CONFIG", registry.logged_in().display().to_string());

    let untracked = source.build();
    let tag = untracked.rsplit(':').next().unwrap();
    assert!(tag.starts_with('t') && tag[1..].chars().all(|c| c.is_ascii_digit()), "{untracked}");
    let commit = source.commit();
    let clean = source.build();
    assert_eq!(clean, format!("{}:{commit}", source.repository));
    source.write("page", "two");
    let dirty = source.build();
    assert!(dirty.starts_with(&format!("{clean}-dirty-")), "{dirty}");
    let told: serde_json::Value = source.shop.host.done(&["--json", "build"]).json();
    assert_eq!(told["service"], "sample", "{told}");
    let again = told["image"].as_str().unwrap();
    assert!(again.starts_with(&format!("{clean}-dirty-")), "{again}");

    assert_eq!(docker(&["inspect", "--format", "{{.Config.Labels.words}}", &clean]), "said at the build");
    let pushed = docker(&["inspect", "--format", "{{index .RepoDigests 0}}", &clean]);
    [&untracked, &clean, &dirty, again].into_iter().for_each(|name| source.forget(name));
    source.shop.host.done(&["deploy", "--image", &clean]);
    source.serves("one");
    let runs = docker(&["inspect", "--format", "{{.Config.Image}}", &source.shop.running()[0]]);
    assert_eq!(runs, pushed);
    source.shop.host.done(&["deploy", "--image", &dirty]);
    source.serves("two");
    source.shop.host.done(&["rollback"]);
    source.serves("one");
}

/// Without `--image`, a deployment builds what is there now; one that only exists here is deployed too.
///
/// Seen to fail with a build whose failure is taken for a success, and with images that are built without a label.
#[test]
fn a_deployment_builds_what_is_there_and_a_failing_build_deploys_nothing() {
    let source = Source::new(&format!("cutover-test/built-{}", std::process::id()));
    source.configure("");
    source.commit();
    source.shop.host.done(&["deploy"]);
    source.serves("one");
    source.write("page", "two");
    source.shop.host.done(&["deploy"]);
    source.serves("two");
    let fails = |dockerfile: &str, words: &[&str]| -> Told {
        source.write("Dockerfile.prod", dockerfile);
        let told = source.shop.host.run(&["deploy"]).expect(1).says(words);
        source.serves("two");
        told
    };
    let base = busybox();
    let ours = [
        "docker build",
        "failed",
        "its own message stands above; nothing was deployed",
        "release 2 of sample is live, as before",
    ];
    let missing = format!("FROM {base} AS final\nCOPY no-such-file /\n");
    fails(&missing, &[&ours[..], &["no-such-file"]].concat());
    let words = format!("the tests of {} are red", std::process::id());
    let broken = format!("FROM {base} AS final\nRUN echo {words}; exit 3\n");
    fails(&broken, &[&ours[..], &[words.as_str()]].concat());
    // The builder keeps the container of a step that failed.
    let all = docker(&["ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Command}}"]);
    let left = all.lines().filter(|line| line.contains(&words)).filter_map(|line| line.split(' ').next());
    left.for_each(|id| drop(docker(&["rm", id])));
    assert_eq!(source.shop.host.live(), Some(2));
    // What was built for a service goes with it; what it was built from stays.
    source.shop.host.done(&["remove"]);
    assert_eq!(docker(&["images", "--quiet", &source.repository]), "");
    assert_ne!(docker(&["images", "--quiet", base]), "");
}
