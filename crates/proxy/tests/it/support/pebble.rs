//! An authority for tests: Debian's pebble, with a DNS of our own in which every name leads to this machine.
//!
//! It refuses one nonce in twenty, as real ones do now and then. Included by the tests of the binary too.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A name that it signs for nobody.
pub const BLOCKED: &str = "blocked.example";

/// A name that leads nowhere.
pub const NOWHERE: &str = "nowhere.example";

/// An account that one has there already.
pub const KID: &str = "kid-1";

/// Its key.
pub const BOUND_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// How it is set up.
pub struct Settings {
    /// Where it is asked.
    pub address: SocketAddr,
    /// Where it asks by HTTP.
    pub http: u16,
    /// Where it asks by TLS.
    pub tls: u16,
    /// Where it can be managed.
    pub management: SocketAddr,
    /// For how long its certificates are good.
    pub validity: Duration,
    /// Whether it makes accounts only for those who have one elsewhere: [`KID`].
    pub bound: bool,
}

/// The authority while it runs.
pub struct Pebble {
    child: Option<Child>,
    settings: Settings,
    dir: TempDir,
    dns: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Pebble {
    /// Starts it.
    pub fn start(settings: Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        own_certificate(dir.path());
        let (ended, socket) = (Arc::new(AtomicBool::new(false)), UdpSocket::bind("127.0.0.1:0").unwrap());
        let dns = socket.local_addr().unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let until = ended.clone();
        std::thread::spawn(move || answer_names(&socket, &until));
        let mut pebble = Self { child: None, settings, dir, dns, ended };
        pebble.resume();
        pebble
    }

    /// Starts it again, with nothing in its memory.
    pub fn resume(&mut self) {
        let path = |name: &str| self.dir.path().join(name);
        let Settings { address, http, tls, management, validity, bound } = &self.settings;
        let config = serde_json::json!({ "pebble": {
            "listenAddress": address.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": path("own.pem"),
            "privateKey": path("own.key"),
            "httpPort": http,
            "tlsPort": tls,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": bound,
            "externalAccountMACKeys": { KID: BOUND_KEY },
            "domainBlocklist": [BLOCKED],
            "retryAfter": { "authz": 1, "order": 1 },
            "certificateValidityPeriod": validity.as_secs(),
        }});
        fs::write(path("config.json"), config.to_string()).unwrap();
        let log = File::options().create(true).append(true).open(path("log")).unwrap();
        let child = Command::new("pebble")
            .args(["-config".as_ref(), path("config.json").as_os_str()])
            .args(["-dnsserver", &self.dns.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("pebble, of the Debian package of that name");
        self.child = Some(child);
        let began = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < Duration::from_secs(15), "it does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its directory.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.settings.address.port())
    }

    /// By what it is believed.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("own.pem")
    }

    /// How many certificates it has signed.
    pub fn signed(&self) -> usize {
        self.count("Issued certificate serial")
    }

    /// How many lines of its log say this.
    pub fn count(&self, what: &str) -> usize {
        self.log().lines().filter(|line| line.contains(what)).count()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Pebble {
    #[expect(clippy::print_stderr, reason = "a test that fails shows what the authority has seen")]
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        self.stop();
        if std::thread::panicking() {
            eprintln!("the authority said:\n{}", self.log());
        }
    }
}

/// Its own TLS, which signs for itself.
fn own_certificate(dir: &Path) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    fs::write(dir.join("own.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(dir.join("own.key"), key.serialize_pem()).unwrap();
}

/// Answers each question for an IPv4 address with this machine's, and every other one with nothing (RFC 1035, 4).
fn answer_names(socket: &UdpSocket, ended: &AtomicBool) {
    let mut question = [0; 512];
    while !ended.load(Relaxed) {
        let Ok((count, from)) = socket.recv_from(&mut question) else { continue };
        let question = &question[..count];
        let Some(end) = end_of_name(question) else { continue };
        let is_for_address = question.get(end..end + 4) == Some(&[0, 1, 0, 1]);
        let nowhere: Vec<u8> =
            NOWHERE.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
        let exists = !question[12..end].windows(nowhere.len()).any(|part| part == nowhere);
        let answers = u8::from(is_for_address && exists);
        // The flags: an answer, recursion wanted and to be had; 3 is that there is no such name.
        let mut answer = question[..2].to_vec();
        answer.extend([0x81, if exists { 0x80 } else { 0x83 }, 0, 1, 0, answers, 0, 0, 0, 0]);
        answer.extend_from_slice(&question[12..end + 4]);
        if answers == 1 {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
            answer.extend(Ipv4Addr::LOCALHOST.octets());
        }
        let _ = socket.send_to(&answer, from);
    }
}

/// Where the name ends that is asked for.
fn end_of_name(question: &[u8]) -> Option<usize> {
    let mut at = 12;
    loop {
        match *question.get(at)? {
            0 => return Some(at + 1),
            length => at += usize::from(length) + 1,
        }
    }
}
