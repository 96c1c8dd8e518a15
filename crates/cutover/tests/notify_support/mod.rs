//! A receiver of webhooks that behaves as the test wants it to, and what notifications look like from outside.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use cutover_testkit::host::{App, Host, until};

/// A secret in every address here. Whoever shows it fails.
pub const TOKEN: &str = "t0ken-that-nobody-may-see";

/// One request, as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// Path and query.
    pub path: String,
    /// Its headers, with small names.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
}

impl Received {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// A header that must be there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }
}

/// What a request gets.
#[derive(Debug, Clone)]
pub enum Reply {
    /// This status line, further header lines (each ended), and a body.
    Status(&'static str, &'static str, String),
    /// Nothing, until the receiver is released; then 200.
    Hang,
}

/// An answer without anything special.
pub fn status(line: &'static str) -> Reply {
    Reply::Status(line, "", String::new())
}

#[derive(Default)]
struct Kept {
    received: Vec<Received>,
    released: bool,
    answered: usize,
}

/// A receiver.
#[derive(Clone)]
pub struct Receiver {
    address: SocketAddr,
    kept: Arc<(Mutex<Kept>, Condvar)>,
}

impl Receiver {
    /// One that answers each request by its number, from 0.
    pub fn new(reply: impl Fn(usize, &Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("a free port"), reply)
    }

    /// The same on an address of its own.
    pub fn on(listener: TcpListener, reply: impl Fn(usize, &Received) -> Reply + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let receiver = Self { address, kept: Arc::default() };
        let (serving, reply) = (receiver.clone(), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serving, reply) = (serving.clone(), reply.clone());
                std::thread::spawn(move || serving.serve(stream, &*reply));
            }
        });
        receiver
    }

    /// One that takes everything.
    pub fn willing() -> Self {
        Self::new(|_, _| status("200 OK"))
    }

    fn serve(&self, stream: TcpStream, reply: &(dyn Fn(usize, &Received) -> Reply + Send + Sync)) {
        let Some(received) = read(&stream) else { return };
        let (lock, changed) = &*self.kept;
        let mut kept = lock.lock().expect("no test panics here");
        let number = kept.received.len();
        kept.received.push(received.clone());
        changed.notify_all();
        let (line, more, body) = match reply(number, &received) {
            Reply::Status(line, more, body) => (line, more, body),
            Reply::Hang => {
                while !kept.released {
                    kept = changed.wait(kept).expect("no test panics here");
                }
                ("200 OK", "", String::new())
            }
        };
        drop(kept);
        let answer = format!("HTTP/1.1 {line}\r\n{more}content-length: {}\r\n\r\n{body}", body.len());
        let _ = (&stream).write_all(answer.as_bytes());
        lock.lock().expect("no test panics here").answered += 1;
    }

    /// The address of a webhook here.
    pub fn url(&self) -> String {
        format!("http://{}/hook/{TOKEN}", self.address)
    }

    /// What has come so far.
    pub fn received(&self) -> Vec<Received> {
        self.kept.0.lock().expect("no test panics here").received.clone()
    }

    /// How many requests got their answer.
    pub fn answered(&self) -> usize {
        self.kept.0.lock().expect("no test panics here").answered
    }

    /// Lets those go that hang.
    pub fn release(&self) {
        self.kept.0.lock().expect("no test panics here").released = true;
        self.kept.1.notify_all();
    }

    /// Waits until so many requests have come.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        until(&format!("{count} requests have come"), || Some(self.received()).filter(|got| got.len() >= count))
    }

    /// Waits until something was told of each of these occasions, in whatever order, and gives all of it.
    #[track_caller]
    pub fn told_of(&self, events: &[&str]) -> Vec<serde_json::Value> {
        until(&format!("it is told of {events:?}"), || {
            let told: Vec<_> = self.received().iter().map(Received::json).collect();
            events.iter().all(|event| told.iter().any(|told| told["event"] == *event)).then_some(told)
        })
    }
}

fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Received { path, headers, body: String::from_utf8(body).ok()? })
}

/// A host with the sample, and these tables in its configuration.
pub fn host(tables: &str) -> Host {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    std::fs::write(host.root().join("secret"), "the-signing-secret\n").expect("write the secret");
    configure(&host, tables);
    host
}

/// Writes these tables into the configuration.
pub fn configure(host: &Host, tables: &str) {
    host.configure(&App { more: tables.to_owned(), ..App::default() });
}

/// A signed webhook that is told of everything.
pub fn webhook(name: &str, receiver: &Receiver) -> String {
    let all = "[\"started\", \"promoted\", \"needs_you\", \"failed\", \"rolled_back\", \"done\"]";
    format!("[notify.{name}]\nkind = \"webhook\"\nurl = {:?}\nsecret_file = \"secret\"\non = {all}\n", receiver.url())
}

/// Waits until the newest deployment has so many notifications, and none waits.
#[track_caller]
pub fn settled(host: &Host, count: usize) -> Vec<cutover::agent::api::Notification> {
    until(&format!("{count} notifications are settled"), || {
        let told = host.story().notifications;
        (told.len() == count && told.iter().all(|told| told.state != "waiting")).then_some(told)
    })
}

/// Insists that nothing that people see shows a secret: no command in words or in JSON, and no log.
#[track_caller]
pub fn nothing_is_shown(host: &Host, secrets: &[&str]) {
    let mut seen =
        vec![("agent.log".to_owned(), std::fs::read_to_string(host.state().join("agent.log")).expect("a log"))];
    for verb in ["status", "show", "history", "events", "logs", "plan", "check"] {
        for form in [vec![verb], vec!["--json", verb]] {
            let told = host.run(&form);
            seen.push((form.join(" "), told.stdout + &told.stderr));
        }
    }
    for (what, text) in seen {
        for secret in secrets {
            assert!(!text.contains(secret), "{what} shows {secret}:\n{text}");
        }
    }
}
