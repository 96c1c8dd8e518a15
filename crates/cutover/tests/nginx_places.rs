//! An nginx in a container, and one on another host behind a real ssh: the same switch, and nothing is lost.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

mod nginx_support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cutover_meter::Load;
use cutover_testkit::host::{App, Host, Role, answers, kill, until};
use nginx_support::{Conf, Nginx, PASS, configure, including, status_of};

fn host() -> Host {
    Host::new(env!("CARGO_BIN_EXE_cutover"))
}

/// An nginx as its container sees it, and the file that says who serves.
fn for_a_container(host: &Host) -> (Nginx, PathBuf) {
    let nginx = Nginx::prepare(host, &Conf { http: "include /etc/nginx/conf.d/*.conf;", server: PASS });
    let file = nginx.write("app.conf", "upstream app { server 127.0.0.1:1; }\n");
    (nginx, file)
}

#[track_caller]
fn loses_nothing(host: &Host, nginx: &Nginx) {
    let before = nginx.reloads();
    let meter =
        host.meter(Load { reused: 0, peek: 0, fresh: 8, sse: 1, websockets: 1, uploads: 1, ..host.load(200.0) });
    for number in 2..=3 {
        let (old, new) = ((number - 1).to_string(), number.to_string());
        host.build(&format!("build {number}"));
        meter.allow_releases(&[&old, &new]);
        host.done(&["deploy"]);
        meter.expect_release(&new);
        answers(&meter, 20);
    }
    assert_eq!(nginx.reloads() - before, 2, "one reload for each switch");
    host.clean_report(meter);
}

/// Seen to fail when the old workers are looked for in the container's own numbering: none was found, and the switch hung.
#[test]
fn an_nginx_in_a_container_is_switched() {
    let host = host();
    let (nginx, file) = for_a_container(&host);
    let container = Container::run(&host, &nginx);
    let route = |file: &Path, more: &str| container.route(&host, file, more);
    let config = format!("config = {:?}\n", nginx.config());
    // A file that the container does not see, and a container that has no nginx.
    configure(&host, &App::default(), &route(&host.root().join("app.conf"), &config));
    host.run(&["deploy"]).expect(3).says(&["no folder of it is mounted into the container"]);
    configure(&host, &App::default(), &route(&file, "command = [\"no-such-nginx\"]\n"));
    host.run(&["deploy"]).expect(3).says(&["in the container", "no-such-nginx", "install nginx"]);
    configure(&host, &App::default(), &route(&file, &config));
    host.done(&["deploy"]);
    loses_nothing(&host, &nginx);
    // It is recreated: it finds the right state on disk, and the next deployment finds it.
    drop(container);
    let _container = Container::run(&host, &nginx);
    until("nginx answers again", || (status_of(&host, "/") == Some(200)).then_some(()));
    host.build("once more");
    host.done(&["deploy"]);
    assert_eq!(status_of(&host, "/"), Some(200));
}

/// What a switch runs is written to a shell that stays open. One that has ended meanwhile is opened again, and none outlives the agent.
///
/// Seen to fail with a shell for each switch, and with one asked that has ended.
#[test]
fn a_shell_waits_in_a_container_that_has_one() {
    let host = host();
    let (nginx, file) = for_a_container(&host);
    let container = Container::with_shell(&host, &nginx);
    let name = &container.name;
    let route = container.route(&host, &file, &format!("config = {:?}\n", nginx.config()));
    configure(&host, &App::default(), &route);
    host.done(&["deploy"]);
    let since = docker(&["info", "--format", "{{.SystemTime}}"]);
    loses_nothing(&host, &nginx);
    let until_now = docker(&["info", "--format", "{{.SystemTime}}"]);
    let of_name = format!("container={name}");
    let events = docker(&["events", "--since", &since, "--until", &until_now, "--filter", &of_name]);
    let opened = events.lines().filter(|line| line.contains("exec_create: sh ")).count();
    assert_eq!((opened, container.shells()), (0, 1), "two switches by the shell that is there: {events}");
    // The shell that was opened for a deployment goes in the middle of it.
    let [begun, go] = ["begun", "go"].map(|name| host.root().join(name).display().to_string());
    let waits = format!("touch {begun}; until test -e {go}; do sleep 0.02; done");
    configure(
        &host,
        &App::default(),
        &format!("{route}[service.sample.hooks]\nbefore_switch = [\"sh\", \"-c\", {waits:?}]\n"),
    );
    host.build("another");
    let deploying = host.begin(&["deploy"]);
    until("the hook runs", || Path::new(&begun).exists().then_some(()));
    docker(&["restart", "--time", "1", name]);
    until("nginx answers again", || (status_of(&host, "/") == Some(200)).then_some(()));
    assert_eq!(container.shells(), 0);
    std::fs::write(&go, "").unwrap();
    deploying.wait().expect(0);
    assert_eq!(host.live(), Some(4));
    until("one waits again", || (container.shells() == 1).then_some(()));
    kill(host.only(Role::Agent).expect("one agent"));
    until("it went with the agent", || (container.shells() == 0).then_some(()));
}

#[test]
fn an_nginx_on_another_host_is_switched_over_ssh() {
    let host = host();
    let nginx = Nginx::prepare(&host, &Conf { http: &including(&host), server: PASS });
    let file = nginx.write("app.conf", "upstream app { server 127.0.0.1:1; }\n");
    nginx.run();
    let ssh = Sshd::start(&host);
    let url = format!("http://{}/", host.address());
    let lines =
        format!("upstream = \"app\"\nurl = {url:?}\nssh = \"root@127.0.0.1\"\nssh_options = {:?}\n", ssh.options);
    configure(&host, &App::default(), &nginx.route(&file, &lines));
    host.done(&["deploy"]);
    let opened = ssh.sessions();
    loses_nothing(&host, &nginx);
    // Who asks while it is in use has a shell of its own.
    assert!(ssh.sessions() < opened + 10, "two switches hardly need more than the shell that is there: {}", ssh.log());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o644);
    // The host cannot be reached: said before anything has begun, and the service goes on.
    drop(ssh);
    host.build("another");
    host.run(&["deploy"]).expect(3).says(&["could not reach the nginx on root@127.0.0.1", "ssh -o BatchMode=yes"]);
    assert_eq!((host.live(), status_of(&host, "/")), (Some(3), Some(200)));
}

/// A container with this machine's nginx in it, on the host's network.
struct Container {
    name: String,
}

impl Container {
    /// Of nothing but nginx.
    #[track_caller]
    fn run(host: &Host, nginx: &Nginx) -> Self {
        Self::of(&image(host, "cutover-test/nginx-of-this-machine", &[]), host, nginx)
    }

    #[track_caller]
    fn with_shell(host: &Host, nginx: &Nginx) -> Self {
        Self::of(&image(host, "cutover-test/nginx-with-a-shell", &["sh"]), host, nginx)
    }

    #[track_caller]
    fn of(image: &str, host: &Host, nginx: &Nginx) -> Self {
        end_what_the_dead_left();
        let name = format!("cutover-test-nginx-{}-{}", std::process::id(), host.address().port());
        let conf_d = format!("{}:/etc/nginx/conf.d", nginx.folder.join("conf.d").display());
        let folder = format!("{0}:{0}", nginx.folder.display());
        let label = format!("cutover.test={}", std::process::id());
        let config = nginx.config().display().to_string();
        docker(&[
            "run",
            "-d",
            "--name",
            &name,
            "--label",
            &label,
            "--network",
            "host",
            "-v",
            &conf_d,
            "-v",
            &folder,
            image,
            "nginx",
            "-c",
            &config,
            "-g",
            "daemon off;",
        ]);
        let container = Self { name };
        until("nginx runs in its container", || nginx.master());
        until("it answers", || status_of(host, "/"));
        container
    }

    /// The table of a route by way of it.
    fn route(&self, host: &Host, file: &Path, more: &str) -> String {
        let (name, url) = (&self.name, format!("http://{}/", host.address()));
        format!(
            "[service.sample.route.nginx]\nfile = {file:?}\ncontainer = {name:?}\nupstream = \"app\"\nurl = {url:?}\n{more}"
        )
    }

    /// How many shells run in it.
    fn shells(&self) -> usize {
        docker(&["top", &self.name, "-eo", "pid,args"]).lines().filter(|line| line.ends_with(" sh")).count()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", &self.name]).output();
    }
}

#[track_caller]
fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker is installed");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn end_what_the_dead_left() {
    let format = "{{.ID}} {{.Names}} {{.Label \"cutover.test\"}}";
    let ours = docker(&["ps", "-a", "--filter", "name=cutover-test-nginx-", "--format", format]);
    for line in ours.lines() {
        let mut words = line.split(' ');
        let (id, owner) = (words.next().unwrap(), words.nth(1).unwrap_or_default());
        if !Path::new("/proc").join(owner).exists() {
            let _ = Command::new("docker").args(["rm", "-f", id]).output();
        }
    }
}

/// An image of nothing but nginx, its libraries and the folders that it wants, and these programs of busybox.
fn image(host: &Host, name: &str, programs: &[&str]) -> String {
    let linked = Command::new("ldd").arg("/usr/sbin/nginx").output().expect("nginx is installed");
    let linked = String::from_utf8(linked.stdout).unwrap();
    let libraries = linked.split_ascii_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    let root = host.root().join("image");
    for folder in ["bin", "etc/nginx/conf.d", "var/log/nginx", "var/lib/nginx", "run", "tmp", "usr/sbin"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/:\n").unwrap();
    std::fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
    for file in libraries.chain([PathBuf::from("/usr/sbin/nginx")]) {
        let to = root.join(file.strip_prefix("/").unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(&file, to).unwrap();
    }
    let busybox = Command::new("sh").args(["-c", "command -v busybox"]).output().unwrap();
    let busybox = String::from_utf8(busybox.stdout).unwrap();
    for program in programs {
        std::fs::copy(busybox.trim(), root.join("bin").join(program)).unwrap();
    }
    let mut tar = Command::new("tar").arg("-C").arg(&root).args(["-c", "."]).stdout(Stdio::piped()).spawn().unwrap();
    let import = Command::new("docker").args(["import", "-", name]).stdin(tar.stdout.take().unwrap()).output().unwrap();
    assert!(tar.wait().unwrap().success() && import.status.success(), "{import:?}");
    std::fs::remove_dir_all(root).unwrap();
    name.to_owned()
}

/// A real sshd of our own, with a key that is thrown away.
struct Sshd {
    child: std::process::Child,
    options: Vec<String>,
    log: PathBuf,
}

impl Sshd {
    #[track_caller]
    fn start(host: &Host) -> Self {
        let folder = host.root().join("ssh");
        std::fs::create_dir(&folder).unwrap();
        std::fs::create_dir_all("/run/sshd").unwrap();
        let file = |name: &str| folder.join(name).display().to_string();
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &file(key)]).status();
            assert!(made.expect("ssh is installed (apt-get install openssh-client openssh-server)").success());
        }
        let port = host.another_port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
             LogLevel VERBOSE\nStrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n",
            file("host"),
            file("user.pub")
        );
        std::fs::write(file("config"), config).unwrap();
        let mut command = Command::new("/usr/sbin/sshd");
        let child = command
            .args(["-D", "-f", &file("config"), "-E", &file("log")])
            .stderr(Stdio::null())
            .spawn()
            .expect("sshd is installed");
        until("sshd listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        let port = port.to_string();
        let key = file("user");
        let options = ["-p", &port, "-i", &key, "-F", "none", "-o", "IdentitiesOnly=yes"];
        let unknown = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"];
        let log = folder.join("log");
        Self { child, log, options: options.into_iter().chain(unknown).map(str::to_owned).collect() }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How many commands and shells were begun on it.
    fn sessions(&self) -> usize {
        self.log().matches("Starting session").count()
    }
}

/// The connection that ssh keeps goes with it.
impl Drop for Sshd {
    fn drop(&mut self) {
        let own = self.child.id().to_string();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &own]).output().expect("ps is installed");
        for pid in String::from_utf8_lossy(&children.stdout).split_ascii_whitespace() {
            let _ = Command::new("kill").arg(pid).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
