//! A real nginx for a test: with a folder, a configuration and a port of its own, ended with its host.

#![allow(dead_code, clippy::unwrap_used)] // Each test file uses its part of this.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cutover_testkit::host::{App, Host, until};

/// An nginx whose folder lies in that of a host, so that it ends with it, also after a test that was killed.
pub struct Nginx {
    pub folder: PathBuf,
}

/// What stands in the configuration besides what every test needs.
pub struct Conf<'a> {
    /// In the block `http`.
    pub http: &'a str,
    /// In the `server` that clients reach.
    pub server: &'a str,
}

impl Nginx {
    /// Starts one that listens where the host's clients go.
    #[track_caller]
    pub fn start(host: &Host, conf: &Conf) -> Self {
        let nginx = Self::prepare(host, conf);
        nginx.run();
        nginx
    }

    /// Writes its configuration, and does not start it.
    pub fn prepare(host: &Host, conf: &Conf) -> Self {
        let nginx = Self { folder: host.root().join("nginx") };
        std::fs::create_dir_all(nginx.folder.join("conf.d")).unwrap();
        nginx.configure(host, conf);
        nginx
    }

    /// Writes its configuration anew.
    pub fn configure(&self, host: &Host, conf: &Conf) {
        let (at, Conf { http, server }) = (self.folder.display(), conf);
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path {at}/{kind};\n"))
            .concat();
        let text = format!(
            "user root;\nworker_processes 2;\npid {at}/nginx.pid;\nerror_log {at}/error.log notice;\n\
             events {{ worker_connections 4096; }}\nhttp {{\n    access_log off;\n{temporary}    {http}\n\
             map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}\n\
             server {{\n        listen {listen} backlog=4096;\n        proxy_http_version 1.1;\n        proxy_buffering off;\n\
             proxy_set_header Upgrade $http_upgrade;\n        proxy_set_header Connection $connection_upgrade;\n\
             proxy_read_timeout 1h;\n        keepalive_requests 100000;\n        {server}\n    }}\n}}\n",
            listen = host.address(),
        );
        std::fs::write(self.config(), text).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.folder.join("nginx.conf")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join("conf.d").join(name)
    }

    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        std::fs::write(self.file(name), content).unwrap();
        self.file(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// The words before nginx's options.
    pub fn command(&self) -> Vec<String> {
        ["nginx", "-p", &self.folder.display().to_string()].map(str::to_owned).into()
    }

    pub fn call(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&self.folder).arg("-c").arg(self.config()).args(arguments);
        command.output().expect("nginx is installed (apt-get install nginx-light)")
    }

    /// Starts it, and waits until its workers are there.
    #[track_caller]
    pub fn run(&self) {
        let output = self.call(&[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        until("nginx has written its number", || self.master());
    }

    pub fn master(&self) -> Option<u32> {
        std::fs::read_to_string(self.folder.join("nginx.pid")).ok()?.trim().parse().ok()
    }

    /// How often it has read its configuration again.
    pub fn reloads(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.join("error.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains("(SIGHUP)")).count()
    }

    /// The table of a route that leads to it, by these further lines.
    pub fn route(&self, file: &Path, lines: &str) -> String {
        format!(
            "[service.sample.route.nginx]\nfile = {file:?}\ncommand = {:?}\nconfig = {:?}\n{lines}\n",
            self.command(),
            self.config()
        )
    }
}

/// Writes a configuration in which an nginx takes the place of the proxy.
pub fn configure(host: &Host, app: &App, route: &str) {
    host.configure(app);
    let text = std::fs::read_to_string(host.config()).unwrap();
    let own = format!("[service.sample.route]\nlisten = \"{}\"\n", host.address());
    assert!(text.contains(&own), "{text}");
    // What belongs to the service itself goes there.
    let (more, route) = match route.strip_prefix("[service.sample]\n") {
        Some(rest) => rest.split_once("\n\n").unwrap(),
        None => ("", route),
    };
    let text = text.replace(&own, route).replace("[service.sample]\n", &format!("[service.sample]\n{more}\n"));
    std::fs::write(host.config(), text).unwrap();
}

/// The sample on the server of its own that a location needs.
pub const PASS: &str = "location / { proxy_pass http://app; }";

/// Includes the folder that files are written to.
pub fn including(nginx_folder_of: &Host) -> String {
    format!("include {}/nginx/conf.d/*.conf;", nginx_folder_of.root().display())
}

/// The status that an answer to a plain request has; `None` without an answer.
pub fn status_of(host: &Host, path: &str) -> Option<u16> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(host.address()).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.split(' ').nth(1)?.parse().ok()
}
