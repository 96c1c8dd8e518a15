//! What `init` writes for real folders: it loads, and the command it proposes starts a program that listens.
//!
//! The tools are the real ones. A machine without Python, Node.js or a JDK fails these tests; it does not skip them.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cutover::config::{Config, Surroundings, load_in};
use cutover::init::{InitError, Proposal, propose, write};
use cutover_core::spec::Check;
use cutover_testkit::host::free_port;

struct Folder(tempfile::TempDir);

impl Folder {
    fn of(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::Builder::new().prefix("shop.").tempdir().unwrap());
        files.iter().for_each(|(name, content)| folder.file(name, content));
        folder
    }

    fn file(&self, name: &str, content: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes the proposal and loads what was written.
    fn loaded(&self) -> (Proposal, Config) {
        let proposal = write(self.path(), true).unwrap();
        let surroundings = Surroundings { directory: self.path().to_owned(), ..Surroundings::of_this_process() };
        let config = load_in(&surroundings, None, None);
        let config = config.unwrap_or_else(|errors| panic!("{}\n{errors}", proposal.file));
        (proposal, config)
    }

    /// The proposed file, with the folder's name replaced.
    fn snapshot(&self) -> String {
        let proposal = propose(self.path());
        let project = proposal.file.lines().find(|line| line.starts_with("project = ")).unwrap().to_owned();
        assert!(project.starts_with("project = \"shop-"), "{project}");
        let notes: String = proposal.notes.iter().map(|note| format!("note: {note}\n")).collect();
        let name = project.trim_start_matches("project = ").trim_matches('"');
        format!("{}----\n{notes}", proposal.file.replace(name, "shop"))
    }
}

fn run(program: &str, arguments: &[&str], dir: &Path) {
    let status = Command::new(program).args(arguments).current_dir(dir).status();
    assert!(status.is_ok_and(|status| status.success()), "{program} is needed for this test");
}

/// Starts the first service as an instance would be, and waits until its port accepts a connection.
fn assert_listens(config: &Config, folder: &Folder) {
    let process = &config.services[0].run.process().unwrap();
    let port = free_port();
    let artifact = process.artifact.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let words: Vec<String> = process
        .command
        .iter()
        .map(|word| word.replace("{port}", &port.to_string()).replace("{artifact}", &artifact))
        .collect();
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .env("PORT", port.to_string())
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let limit = Instant::now() + Duration::from_secs(30);
    let mut listens = false;
    while !listens && child.try_wait().unwrap().is_none() && Instant::now() < limit {
        listens = TcpStream::connect(("127.0.0.1", port)).is_ok();
        std::thread::yield_now();
    }
    child.kill().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    assert!(listens, "{words:?} does not listen: {said}");
}

macro_rules! snapshot {
    ($folder:expr) => {{
        let text = $folder.snapshot();
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(text) })
    }};
}

#[test]
fn static_pages() {
    let folder = Folder::of(&[("index.html", "<h1>Shop</h1>")]);
    snapshot!(folder);
    let (proposal, config) = folder.loaded();
    assert_eq!(proposal.found, ["static pages (index.html)"]);
    assert_listens(&config, &folder);
}

const SERVER_JS: &str = "require('http').createServer((_, answer) => answer.end('ok')).listen(process.env.PORT)";

#[test]
fn a_node_server() {
    let package = r#"{ "scripts": { "start": "node server.js" } }"#;
    let folder = Folder::of(&[("package.json", package), ("server.js", SERVER_JS), (".env", "A=b\n")]);
    snapshot!(folder);
    let (proposal, config) = folder.loaded();
    assert_eq!(proposal.found, ["a Node.js program (package.json)"]);
    assert_eq!(config.services[0].run.process().unwrap().command, ["node", "server.js"]);
    assert_eq!(config.services[0].run.process().unwrap().env["A"].reveal(), "b");
    assert_listens(&config, &folder);
}

const MAIN_JAVA: &str = r#"
public class Main {
    public static void main(String[] arguments) throws Exception {
        int port = Integer.getInteger("server.port", 0);
        for (String argument : arguments) {
            if (argument.startsWith("--server.port=")) port = Integer.parseInt(argument.substring(14));
        }
        com.sun.net.httpserver.HttpServer.create(new java.net.InetSocketAddress(port), 0).start();
    }
}"#;

fn jar(extra: &[(&str, &str)]) -> Folder {
    let folder = Folder::of(&[
        ("src/Main.java", MAIN_JAVA),
        ("target/shop-1.2-sources.jar", ""),
        ("target/original-shop.jar", ""),
    ]);
    run("javac", &["-d", "classes", "src/Main.java"], folder.path());
    extra.iter().for_each(|(name, content)| folder.file(&format!("classes/{name}"), content));
    run("jar", &["--create", "--file", "target/shop.jar", "--main-class", "Main", "-C", "classes", "."], folder.path());
    folder
}

#[test]
fn a_plain_jar() {
    let folder = jar(&[]);
    let (proposal, config) = folder.loaded();
    assert_eq!(proposal.found, ["a jar (target/shop.jar)"]);
    assert_listens(&config, &folder);
}

#[test]
fn a_spring_boot_jar() {
    // To see it fail, look for the file names in the wrong half of the jar's directory.
    let folder = jar(&[("BOOT-INF/classes/x", ""), ("BOOT-INF/lib/spring-boot-actuator-3.4.1.jar", "")]);
    snapshot!(folder);
    let (proposal, config) = folder.loaded();
    assert_eq!(proposal.found, ["a Spring Boot jar (target/shop.jar)"]);
    assert!(matches!(&config.services[0].ready.check, Check::Http { path, .. } if path == "/actuator/health"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_listens(&config, &folder);
}

#[test]
fn a_compiled_program() {
    let folder = Folder::of(&[("go.mod", "module example.com/shop/v2\n\ngo 1.24\n")]);
    assert_eq!(propose(folder.path()).found, ["a Go program (go.mod)"]);
    fs::copy("/bin/true", folder.path().join("shop")).unwrap();
    let (proposal, config) = folder.loaded();
    assert_eq!(proposal.found, ["a Go program (shop)"]);
    assert_eq!(
        config.services[0].run.process().unwrap().artifact.as_deref(),
        Some(folder.path().join("shop").as_path())
    );
}

#[test]
fn a_rust_program() {
    let folder = Folder::of(&[("Cargo.toml", "[package]\nname = \"shop\"\n"), ("src/main.rs", "fn main() {}")]);
    assert!(propose(folder.path()).notes.contains(&"Build it first: cargo build --release".to_owned()));
    fs::create_dir_all(folder.path().join("target/release")).unwrap();
    fs::copy("/bin/true", folder.path().join("target/release/shop")).unwrap();
    assert_eq!(folder.loaded().1.services[0].run.process().unwrap().command, ["{artifact}"]);
}

#[test]
fn a_procfile_wins_and_the_rest_follows_as_comments() {
    let procfile =
        "# how to run it\nrelease: ./migrate\nweb: python3 -m http.server $PORT\nmailer: python3 mailer.py\n";
    let folder = Folder::of(&[
        ("Procfile", procfile),
        ("requirements.txt", "Flask\n"),
        ("app.py", ""),
        ("Dockerfile", "FROM python\n"),
        ("docker-compose.yml", "services: { db: { image: postgres } }"),
    ]);
    snapshot!(folder);
    let (_, config) = folder.loaded();
    assert_eq!(config.services.len(), 1);
    assert_listens(&config, &folder);
}

const COMPOSE: &str = r#"
services:
  db: { image: "mariadb:10" }
  front: { image: nginx, ports: ["80:80"] }
  mailer: { build: . }
  shop_web:
    build: .
    ports: ["8080:80"]
    healthcheck: { test: ["CMD", "true"] }
"#;

/// The service that clients reach is proposed, the other one that is built here follows; database and web server are left alone.
#[test]
fn a_compose_project() {
    let folder = Folder::of(&[
        ("docker-compose.yml", COMPOSE),
        ("docker-compose.production.yml", "services: {}"),
        ("Dockerfile", "FROM scratch\nEXPOSE 80\n"),
    ]);
    snapshot!(folder);
    let (proposal, config) = folder.loaded();
    assert_eq!(proposal.found[1], "a container image (Dockerfile)");
    assert_eq!((config.services.len(), config.services[0].name.as_str()), (1, "shop_web"));
}

#[test]
fn a_dockerfile() {
    let folder = Folder::of(&[("Dockerfile", "FROM scratch\nEXPOSE 3000\n"), ("package.json", "{}")]);
    snapshot!(folder);
    let (_, config) = folder.loaded();
    let container = config.services[0].run.container().expect("a container");
    assert_eq!(container.port, Some(3000));
    assert!(matches!(&config.services[0].ready.check, Check::Http { path, .. } if path == "/"));
    let silent = Folder::of(&[("Containerfile", "FROM scratch\nHEALTHCHECK CMD true\n")]).loaded();
    assert!(matches!(silent.1.services[0].ready.check, Check::Health), "{}", silent.0.file);
    assert!(silent.0.notes.iter().any(|note| note.contains("exposes no port")), "{:?}", silent.0.notes);
}

#[test]
fn a_procfile_without_web_gives_a_worker() {
    let folder = Folder::of(&[("Procfile", "mailer: sh -c 'exec sleep 60'\n")]);
    let (_, config) = folder.loaded();
    assert_eq!((config.services[0].name.as_str(), config.services[0].route.is_none()), ("mailer", true));
}

#[test]
fn python_programs() {
    let command =
        |files: &[(&str, &str)]| Folder::of(files).loaded().1.services[0].run.process().unwrap().command.join(" ");
    let cases = [
        (
            command(&[("manage.py", ""), ("shop/wsgi.py", ""), ("requirements.txt", "gunicorn==23")]),
            "python3 -m gunicorn --bind 127.0.0.1:{port} shop.wsgi",
        ),
        (command(&[("manage.py", "")]), "python3 manage.py runserver --noreload 127.0.0.1:{port}"),
        (command(&[("app.py", "from flask import Flask")]), "python3 -m flask --app app run --port {port}"),
        (command(&[("main.py", "import fastapi")]), "python3 -m uvicorn main:app --host 127.0.0.1 --port {port}"),
        (command(&[("main.py", "")]), "python3 main.py"),
    ];
    for (proposed, expected) in cases {
        assert_eq!(proposed, expected);
    }
}

#[test]
fn node_programs() {
    let command = |files: &[(&str, &str)]| {
        propose(Folder::of(files).path()).file.lines().find(|line| line.starts_with("command")).map(str::to_owned)
    };
    let start = |script: &str| format!("{{ \"scripts\": {{ \"start\": {script:?} }} }}");
    let cases = [
        (
            command(&[("package.json", &start("next start -p $PORT")), ("node_modules/.bin/next", "")]),
            r#"command = ["node_modules/.bin/next", "start", "-p", "{port}"]"#,
        ),
        (command(&[("package.json", &start("tsc && node out.js"))]), r#"command = ["npm", "start"]"#),
        (
            command(&[("package.json", "{ \"main\": \"lib/x.js\" }"), ("lib/x.js", "")]),
            r#"command = ["node", "lib/x.js"]"#,
        ),
        (command(&[("package.json", "{}")]), r#"command = ["./server", "--port={port}"]"#),
    ];
    for (proposed, expected) in cases {
        assert_eq!(proposed.as_deref(), Some(expected));
    }
}

#[test]
fn an_empty_folder() {
    snapshot!(Folder::of(&[]));
}

#[test]
fn a_file_name_cannot_leave_its_comment() {
    // To see it fail, put what was found into a comment as it is, or a text into quotes as it is.
    let evil = "a\nproject = 1\n\"\\";
    let cargo = format!("[package]\nname = {evil:?}\n[[bin]]\nname = {evil:?}\n");
    let folder = Folder::of(&[
        (&format!("target/{evil}.jar"), ""),
        ("Cargo.toml", &cargo),
        (&format!("compose.{evil}.yml"), ""),
    ]);
    let proposal = propose(folder.path());
    assert_eq!(proposal.found.len(), 1, "{:?}", proposal.found);
    let keys: toml::Table = proposal.file.parse().unwrap_or_else(|error| panic!("{}\n{error}", proposal.file));
    assert_eq!(keys.keys().collect::<Vec<_>>(), ["project", "service"]);
}

#[test]
fn broken_descriptions_are_passed_over() {
    let nonsense = [
        "Cargo.toml",
        "package.json",
        "go.mod",
        "Procfile",
        "requirements.txt",
        "target/x.jar",
        "Dockerfile",
        "docker-compose.yml",
    ];
    for content in ["", "\u{0}", "{[", "PK\u{5}\u{6}", ":::\n: x\nx:\n", &"PK\u{1}\u{2}PK\u{5}\u{6}\u{1}".repeat(9)] {
        let files = nonsense.map(|name| (name, content));
        propose(Folder::of(&files).path());
    }
}

#[test]
fn an_existing_file_is_left_alone() {
    let folder = Folder::of(&[("cutover.toml", "mine")]);
    let refused = write(folder.path(), false).unwrap_err();
    assert!(matches!(refused, InitError::Exists(_)), "{refused}");
    assert_eq!(fs::read_to_string(folder.path().join("cutover.toml")).unwrap(), "mine");
    write(folder.path(), true).unwrap();
    assert_ne!(fs::read_to_string(folder.path().join("cutover.toml")).unwrap(), "mine");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
    assert!(matches!(write(&folder.path().join("nowhere"), false), Err(InitError::Folder(..))));
}

/// With one place that passes requests on, the route is ready; the better way stands beside it as a comment.
#[test]
fn an_nginx_of_the_project_becomes_the_route() {
    let folder = Folder::of(&[
        ("Procfile", "web: python3 -m http.server $PORT\n"),
        (
            "nginx/nginx.conf",
            "http { include conf.d/*.conf; server { listen 80; location / { proxy_pass http://app; } } }",
        ),
        ("nginx/conf.d/app.conf", "upstream app { server 127.0.0.1:8080; }\n"),
    ]);
    let (proposal, config) = folder.loaded();
    let route = config.services[0].route.as_ref().and_then(|route| route.nginx()).expect("a route by nginx");
    assert_eq!(route.file, folder.path().join("nginx/conf.d/app.conf"));
    assert!(proposal.file.contains("# listen = \"127.0.0.1:8000\""), "{}", proposal.file);
}
