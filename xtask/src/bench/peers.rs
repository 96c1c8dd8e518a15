//! The proxies that are measured, each with the same keep-alive settings, in a directory and on a port of its own.

use std::error::Error;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cutover_core::table::{Balance, Limits, Listener, Mode, Route, Service, Table, Target, Traffic};
use cutover_core::{Generation, ServiceName};
use cutover_proxy::client::Client;

/// A proxy that runs.
#[derive(Debug)]
pub struct Peer {
    /// Its name.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    process: Child,
}

impl Peer {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // All of them finish on SIGTERM; what does not is killed.
        if let Some(pid) = rustix::process::Pid::from_raw(self.process.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(3) {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts every peer that is installed; we come first.
pub fn start(dir: &Path, ours: &Path, threads: usize, backend: SocketAddr) -> Result<Vec<Peer>, Box<dyn Error>> {
    let mut peers = vec![cutover(dir, ours, threads, backend)?];
    let others: [(&str, Start); 3] = [("nginx", nginx), ("haproxy", haproxy), ("caddy", caddy)];
    for (name, start) in others {
        match find(name) {
            Some(program) => peers.push(start(dir, &program, threads, backend)?),
            None => println!("{name} is not installed: left out"),
        }
    }
    Ok(peers)
}

type Started = Result<Peer, Box<dyn Error>>;

/// Directory, program, threads, backend.
type Start = fn(&Path, &Path, usize, SocketAddr) -> Started;

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let dirs = path.split(':').chain(["/usr/sbin", "/usr/local/sbin"]);
    dirs.map(|dir| Path::new(dir).join(program)).find(|path| path.is_file())
}

fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn spawn(name: &'static str, address: SocketAddr, command: &mut Command) -> Started {
    let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let peer = Peer { name, address, process };
    if name != "cutover" {
        wait(name, address)?;
    }
    Ok(peer)
}

fn wait(name: &str, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        if began.elapsed() > Duration::from_secs(10) {
            return Err(format!("{name} does not listen on {address}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn cutover(dir: &Path, program: &Path, threads: usize, backend: SocketAddr) -> Started {
    let address = free_port()?;
    let state = dir.join("cutover");
    let peer = spawn("cutover", address, Command::new(program).arg(&state).arg(threads.to_string()))?;
    let table = table(address, backend)?;
    let client = Client::of_state(&state);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let began = Instant::now();
    while let Err(error) = runtime.block_on(client.publish(&table)) {
        if began.elapsed() > Duration::from_secs(10) {
            return Err(error.into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(peer)
}

fn table(address: SocketAddr, backend: SocketAddr) -> Result<Table, Box<dyn Error>> {
    let service = ServiceName::new("bench")?;
    let routes = vec![Route { hosts: vec![], path: "/".to_owned(), service: service.clone(), https: None, hsts: None }];
    let target = Target { instance: "bench.r1.i1".parse()?, address: backend, mode: Mode::Serving { weight: 1 } };
    let (balance, limits) = (Balance::default(), Limits::default());
    Ok(Table {
        generation: Generation(1),
        listeners: vec![Listener { address, traffic: Traffic::Http { routes, trusted: vec![] }, identities: vec![] }],
        services: vec![Service {
            name: service,
            balance,
            targets: vec![target],
            hold: None,
            limits,
            pin: None,
            token: None,
            rules: None,
            trail: Default::default(),
            spread: Default::default(),
        }],
        fronts: vec![],
        introduced: vec![],
    })
}

fn nginx(dir: &Path, program: &Path, threads: usize, backend: SocketAddr) -> Started {
    let address = free_port()?;
    let dir = dir.join("nginx");
    fs::create_dir_all(&dir)?;
    let at = dir.display();
    let config = format!(
        "worker_processes {threads}; daemon off; pid {at}/pid; error_log {at}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {at}/a; proxy_temp_path {at}/b;\n\
         fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d; scgi_temp_path {at}/e; tcp_nodelay on;\n\
         upstream backend {{ server {backend}; keepalive 64; keepalive_requests 100000000; }}\n\
         server {{ listen {address}; location / {{ proxy_pass http://backend; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_set_header Host $http_host; proxy_set_header X-Real-IP $remote_addr;\n\
         proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;\n\
         proxy_set_header X-Forwarded-Host $http_host; }} }} }}\n"
    );
    fs::write(dir.join("nginx.conf"), config)?;
    spawn("nginx", address, Command::new(program).arg("-p").arg(&dir).arg("-c").arg(dir.join("nginx.conf")))
}

fn haproxy(dir: &Path, program: &Path, threads: usize, backend: SocketAddr) -> Started {
    let address = free_port()?;
    let config = format!(
        "global\n  nbthread {threads}\ndefaults\n  mode http\n  timeout client 75s\n  timeout server 60s\n\
         \x20 timeout connect 2s\n  http-reuse always\n  option forwardfor\nfrontend f\n  bind {address}\n\
         \x20 http-request set-header X-Real-IP %[src]\n  http-request set-header X-Forwarded-Proto http\n\
         \x20 default_backend b\nbackend b\n  server s {backend} pool-max-conn 64\n"
    );
    let path = dir.join("haproxy.cfg");
    fs::write(&path, config)?;
    spawn("haproxy", address, Command::new(program).arg("-db").arg("-f").arg(path))
}

fn caddy(dir: &Path, program: &Path, threads: usize, backend: SocketAddr) -> Started {
    let address = free_port()?;
    let config = format!(
        "{{\n admin off\n auto_https off\n}}\nhttp://{address} {{\n reverse_proxy {backend} {{\n\
         \x20 transport http {{\n keepalive_idle_conns_per_host 64\n }}\n }}\n}}\n"
    );
    let path = dir.join("Caddyfile");
    fs::write(&path, config)?;
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(path);
    spawn("caddy", address, command.env("HOME", dir).env("GOMAXPROCS", threads.to_string()))
}
