//! Each way to tell somebody, with a real receiver: what it gets, and that nobody else sees how to reach it.

mod notify_support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cutover_testkit::host::{App, Host, until};
use notify_support::{Receiver, TOKEN, configure, host, nothing_is_shown, settled, webhook};

/// A program that writes its standard input and what it was told into a folder of its own.
fn writer(host: &Host, name: &str) -> (PathBuf, PathBuf) {
    let (program, folder) = (host.root().join(name), host.root().join(format!("{name}.told")));
    std::fs::create_dir(&folder).expect("make a folder");
    // The last line makes the file whole at once.
    let script = format!(
        "#!/bin/sh\nset -e\ncd '{}'\n{{ env | grep ^CUTOVER_ || true; echo \"arguments=$*\"; }} > $$.env\ncat > $$.part\nmv $$.part $$.in\n",
        folder.display()
    );
    std::fs::write(&program, script).expect("write a script");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("make it executable");
    (program, folder)
}

/// What such a program got, when it did: its variables and its input.
#[track_caller]
fn written(folder: &Path) -> (String, String) {
    let input = until("the program was run", || {
        let mut files = folder.read_dir().expect("it is there").flatten().map(|file| file.path());
        files.find(|path| path.extension().is_some_and(|end| end == "in"))
    });
    let read = |path: &Path| std::fs::read_to_string(path).expect("read what it got");
    (read(&input.with_extension("env")), read(&input))
}

/// The signature as the page says to check it by hand, with openssl.
fn by_hand(secret: &str, id: &str, timestamp: &str, body: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/notifications.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let line = page.lines().find(|line| line.contains("openssl dgst")).expect("the page says how");
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).env("secret", secret).env("id", id).env("timestamp", timestamp).env("body", body);
    let output = shell.output().expect("there is a shell");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Seen to fail when the time was left out of what is signed.
#[test]
fn a_webhook_gets_json_that_can_be_verified() {
    let receiver = Receiver::willing();
    let host = host(&webhook("audit", &receiver));
    host.done(&["deploy"]);
    let told = receiver.told_of(&["started", "promoted", "done"]);
    assert_eq!(told.len(), 3, "{told:?}");
    for request in receiver.received() {
        let (id, time) = (request.header("webhook-id"), request.header("webhook-timestamp"));
        let signed = by_hand("the-signing-secret", id, time, &request.body);
        assert_eq!(request.header("webhook-signature"), format!("v1,{signed}"));
        assert_eq!(request.json()["id"], id);
        assert!(request.path.ends_with(TOKEN), "{request:?}");
    }
    let done = told.iter().find(|told| told["event"] == "done").expect("it was waited for");
    assert_eq!((&done["version"], &done["project"], &done["service"]), (&1.into(), &"test".into(), &"sample".into()));
    assert_eq!((&done["action"], &done["to"], &done["live"]), (&"deploy".into(), &1.into(), &1.into()));
    assert_eq!(done["proof"]["failed"], 0);
    let text = done["text"].as_str().expect("a text");
    assert!(text.contains("requests served, 0 failed, longest gap") && text.contains("release 1 is live"), "{text}");
    let ids: std::collections::BTreeSet<String> = told.iter().map(|told| told["id"].to_string()).collect();
    assert_eq!(ids.len(), 3, "two events have one id: {ids:?}");
    settled(&host, 3);
    host.done(&["show"]).says(&["audit was told of done: answered 200 OK"]);
    nothing_is_shown(&host, &[TOKEN, "the-signing-secret"]);
}

#[test]
fn slack_and_discord_get_a_sentence() {
    let (slack, discord) = (Receiver::willing(), Receiver::willing());
    let tables = format!(
        "[notify.team]\nkind = \"slack\"\nurl = {:?}\n[notify.guild]\nkind = \"discord\"\nurl = {:?}\n",
        slack.url(),
        discord.url()
    );
    let host = host(&tables);
    host.done(&["deploy"]);
    let text = slack.wait_for(1)[0].json()["text"].as_str().expect("a text").to_owned();
    assert!(text.starts_with("sample: deploy of release 1 by ") && text.contains("is done after"), "{text}");
    let told = discord.wait_for(1)[0].json();
    assert_eq!((&told["content"], &told["allowed_mentions"]["parse"]), (&text.into(), &serde_json::json!([])));
    let told = settled(&host, 2);
    assert!(told.iter().all(|told| told.on == "done"), "more than the end is told unasked: {told:?}");
}

#[test]
fn a_command_gets_the_facts_in_its_environment_and_as_json() {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    let (program, folder) = writer(&host, "tell");
    configure(&host, &format!("[notify.local]\nkind = \"command\"\ncommand = [{program:?}, \"an argument\"]\n"));
    host.done(&["deploy"]);
    let (variables, input) = written(&folder);
    for line in
        ["CUTOVER_EVENT=done", "CUTOVER_SERVICE=sample", "CUTOVER_ACTION=deploy", "CUTOVER_TO=1", "CUTOVER_FROM="]
    {
        assert!(variables.lines().any(|found| found == line), "no {line} in\n{variables}");
    }
    assert!(variables.contains("arguments=an argument\n"), "{variables}");
    let told: serde_json::Value = serde_json::from_str(&input).expect("it is JSON");
    assert_eq!((&told["event"], &told["deployment"]), (&"done".into(), &1.into()));
    assert!(variables.contains(&format!("CUTOVER_TEXT={}", told["text"].as_str().expect("a text"))), "{variables}");
}

#[test]
fn an_email_is_handed_to_sendmail() {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    let (sendmail, folder) = writer(&host, "sendmail");
    let table = format!(
        "[notify.mail]\nkind = \"email\"\nfrom = \"cutover@example.com\"\nto = [\"ops@example.com\"]\n\
         sendmail = [{sendmail:?}, \"-t\", \"-i\"]\n"
    );
    configure(&host, &table);
    host.done(&["deploy"]);
    let (variables, mail) = written(&folder);
    assert!(variables.contains("arguments=-t -i\n"), "{variables}");
    for line in ["From: cutover@example.com", "To: ops@example.com", "Subject: [test] sample: deploy done"] {
        assert!(mail.lines().any(|found| found == line), "no {line:?} in\n{mail}");
    }
    let body = mail.split_once("\n\n").expect("a header and a body").1.replace('\n', "");
    let body = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, body).expect("it is base64");
    let body = String::from_utf8(body).expect("it is UTF-8");
    assert!(body.contains("sample: deploy of release 1") && body.contains("`cutover show 1`"), "{body}");
}

/// Seen to fail when the release that was to be live was told of as live.
#[test]
fn a_failure_is_told_with_its_reason_and_what_is_live() {
    let receiver = Receiver::willing();
    let host = host(&webhook("audit", &receiver));
    host.done(&["deploy"]);
    let more = webhook("audit", &receiver);
    host.configure(&App { more, ..App::with(&["--exit-at-start", "7"]) });
    host.build("something new");
    host.run(&["deploy"]).expect(4);
    let told = receiver.told_of(&["failed", "rolled_back"]);
    let of = |event: &str| told.iter().find(|told| told["event"] == event).cloned().expect("it was waited for");
    let (failed, undone) = (of("failed"), of("rolled_back"));
    let reason = undone["reason"].as_str().expect("a reason");
    assert!(reason.contains("exited with status 7"), "{reason}");
    assert_eq!((&undone["from"], &undone["to"], &undone["live"]), (&1.into(), &2.into(), &1.into()));
    assert!(undone["text"].as_str().is_some_and(|text| text.ends_with("release 1 is live, as before.")), "{undone}");
    assert!(failed["text"].as_str().is_some_and(|text| text.ends_with("release 1 stays live.")), "{failed}");
}

/// What was configured when it was deployed holds for all verbs; a change of it takes effect without a new release. Seen to
/// fail when those who were told first stayed for ever.
#[test]
fn who_is_told_belongs_to_the_service_not_to_a_release() {
    let (first, second) = (Receiver::willing(), Receiver::willing());
    let host = host(&webhook("audit", &first));
    host.done(&["deploy"]);
    first.told_of(&["done"]);
    host.done(&["restart"]);
    until("the restart is told", || {
        first
            .received()
            .iter()
            .any(|got| got.json()["action"] == "restart" && got.json()["event"] == "done")
            .then_some(())
    });
    let before = first.received().len();
    configure(&host, &webhook("audit", &second));
    host.done(&["deploy"]).says(&["already runs this"]);
    host.done(&["scale", "2"]);
    second.told_of(&["done"]);
    assert_eq!(first.received().len(), before, "who is not told any more was told");
    host.done(&["remove"]);
    until("the removal is told", || {
        second
            .received()
            .iter()
            .any(|got| got.json()["action"] == "remove" && got.json()["event"] == "done")
            .then_some(())
    });
    // Nothing of the secrets stays.
    until("they are forgotten", || {
        let journal = rusqlite::Connection::open(host.state().join("journal.db")).expect("open the journal");
        let left: u32 = journal.query_row("SELECT count(*) FROM notify", [], |row| row.get(0)).expect("count");
        (left == 0).then_some(())
    });
}

/// Seen to fail with an exit code that did not tell.
#[test]
fn a_test_says_what_came_back() {
    let good = Receiver::willing();
    let echo =
        Receiver::new(|_, got| notify_support::Reply::Status("404 Not Found", "", format!("no hook {}", got.path)));
    let host = host(&format!("{}{}", webhook("good", &good), webhook("gone", &echo)));
    host.done(&["notify", "test", "good"]).says(&["✓ good (webhook): answered 200 OK"]);
    assert_eq!(good.received()[0].json()["event"], "test");
    let told = host.run(&["notify", "test"]).expect(1).says(&[
        "✓ good",
        "✗ gone",
        "404 Not Found: no hook /***",
        "gone could not be told",
    ]);
    assert!(!told.stdout.contains(TOKEN) && !told.stderr.contains(TOKEN), "{told:?}");
    host.run(&["notify", "test", "nobody"]).expect(2).says(&["no notification nobody", "good, gone"]);
    assert!(host.status().services.is_empty(), "a test deploys nothing");
}

/// A server with a certificate that nobody knows, until it is named.
fn https_server(folder: &Path) -> (u16, PathBuf) {
    let certificate = folder.join("certificate.pem");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .arg("-keyout")
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status();
    assert!(made.is_ok_and(|status| status.success()), "openssl makes no certificate");
    let script = "
import http.server, ssl, sys
class Taker(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers['content-length']))
        self.send_response(200); self.end_headers(); self.wfile.write(b'taken over TLS')
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(('localhost', 0), Taker)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + '/certificate.pem', sys.argv[1] + '/key.pem')
server.socket = context.wrap_socket(server.socket, server_side=True)
open(sys.argv[1] + '/port.part', 'w').write(str(server.server_port))
import os; os.rename(sys.argv[1] + '/port.part', sys.argv[1] + '/port')
server.serve_forever()
";
    // The host ends it: its directory is in its command line.
    let mut python = Command::new("python3").args(["-c", script]).arg(folder).spawn().expect("python3 is installed");
    std::thread::spawn(move || drop(python.wait()));
    let port = until("the server listens", || std::fs::read_to_string(folder.join("port")).ok()?.parse().ok());
    (port, certificate)
}

#[test]
fn https_is_for_known_certificates_only() {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    let (port, certificate) = https_server(host.root());
    configure(&host, &format!("[notify.team]\nkind = \"slack\"\nurl = \"https://localhost:{port}/{TOKEN}\"\n"));
    let told = host.run(&["notify", "test"]).expect(1).says(&["certificate"]);
    assert!(!told.stdout.contains(TOKEN), "{told:?}");
    host.done(&["agent", "stop"]);
    until("the agent has left", || host.processes_of(cutover_testkit::host::Role::Agent).is_empty().then_some(()));
    let mut command = host.command(&host.state(), &["notify", "test"]);
    let output = command.env("SSL_CERT_FILE", certificate).output().expect("run it");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("answered 200 OK: taken over TLS"), "{output:?}");
}
