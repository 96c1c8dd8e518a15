//! Who is told of deployments, as it is written: what it means, and that no finding shows an address or a secret.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

mod config;

use config::Folder;
use cutover_core::ServiceName;
use cutover_core::spec::{Occasion, Way};

const SMALL: &str =
    "project = \"shop\"\n[service.web]\ncommand = [\"./server\"]\n[service.api]\ncommand = [\"./server\"]\n";

fn errors(folder: &Folder, table: &str) -> String {
    let errors = folder.load(format!("{SMALL}{table}"), None).expect_err(table).to_string();
    assert!(!errors.contains("hunter2"), "a secret is shown: {errors}");
    errors
}

#[test]
fn what_is_written_is_read() {
    let folder = Folder::new();
    folder.file("hook", "https://hooks.example.com/hunter2\n");
    let tables = "
        [notify.team]
        kind = \"slack\"
        url = \"https://hooks.slack.com/services/${SECRET}\"
        on = [\"failed\", \"started\"]
        [notify.guild]
        kind = \"discord\"
        url_file = \"hook\"
        services = [\"api\"]
        [notify.audit]
        kind = \"webhook\"
        url = \"http://localhost:9000/\"
        secret_env = \"SECRET\"
        within = \"3s\"
        [notify.local]
        kind = \"command\"
        command = [\"./smoke.sh\", \"a\"]
        on = []
        [notify.mail]
        kind = \"email\"
        from = \"Deployments <cutover@example.com>\"
        to = [\"a@example.com\", \"b@example.com\"]
        sendmail = [\"./server\"]";
    let config = folder.load(format!("{SMALL}{tables}"), None).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert!(!format!("{config:?}").contains("hunter2"), "a secret is in the debug form");
    let [team, guild, audit, local, mail] = &config.sinks[..] else { panic!("five") };
    assert!(matches!(&team.spec.way, Way::Slack { url } if url.reveal().ends_with("/services/hunter2")));
    assert!(matches!(&guild.spec.way, Way::Discord { url } if url.reveal() == "https://hooks.example.com/hunter2"));
    assert!(matches!(&audit.spec.way, Way::Webhook { secret, .. } if secret.reveal() == "hunter2"));
    let program = folder.path().join("smoke.sh").display().to_string();
    assert_eq!(local.spec.way, Way::Command { command: vec![program, "a".to_owned()] });
    assert!(matches!(&mail.spec.way, Way::Email { to, .. } if to.len() == 2));
    assert_eq!(team.spec.on, [Occasion::Started, Occasion::Failed].into());
    assert_eq!(guild.spec.on, [Occasion::NeedsYou, Occasion::RolledBack, Occasion::Done].into());
    assert!(local.spec.on.is_empty());
    let names = |service: &str| {
        let told = config.notify_of(&ServiceName::new(service).unwrap());
        told.sinks.into_iter().map(|sink| sink.name).collect::<Vec<_>>()
    };
    assert_eq!(names("api"), ["team", "guild", "audit", "local", "mail"]);
    assert_eq!(names("web"), ["team", "audit", "local", "mail"]);
}

#[test]
fn an_environment_may_tell_others() {
    let folder = Folder::new();
    let toml = format!(
        "{SMALL}[notify.local]\nkind = \"command\"\ncommand = [\"./smoke.sh\"]\n[environment.staging.notify.local]\non = []"
    );
    let on = |environment| folder.load(&toml, environment).unwrap().sinks[0].spec.on.len();
    assert_eq!((on(None), on(Some("staging"))), (3, 0));
}

#[test]
fn mistakes_are_told_with_their_line_and_what_was_probably_meant() {
    let folder = Folder::new();
    let slack = "kind = \"slack\"\nurl = \"https://hooks.example.com/hunter2\"\n";
    let cases = [
        ("kind = \"slak\"", "cutover.toml:7:8: notify.ops.kind: expected one of", "did you mean \"slack\"?"),
        (
            &format!("{slack}urll = \"https://x/hunter2\""),
            "cutover.toml:9:1: unknown key \"urll\"",
            "did you mean \"url\"?",
        ),
        (
            &format!("{slack}on = [\"faild\"]"),
            "9:7: notify.ops.on: \"faild\" is nothing to be told of",
            "did you mean \"failed\"?",
        ),
        (&format!("{slack}services = [\"wev\"]"), "there is no service \"wev\"", "did you mean \"web\"?"),
        (&format!("{slack}services = []"), "the list is empty", "`on = []` turns a notification off"),
        (
            &format!("{slack}command = [\"./server\"]"),
            "notify.ops.command: has no meaning with kind = \"slack\"",
            "it belongs to \"command\"",
        ),
        (&format!("{slack}url_file = \"hook\""), "is given beside url", "one of them is enough"),
        (&format!("{slack}within = \"6m\""), "must be at most 5m", ""),
        ("kind = \"slack\"", "notify.ops.url: missing", "kind = \"slack\" needs url or url_file"),
        ("kind = \"slack\"\nurl_file = \"nowhere\"", "there is no such file", ""),
        ("kind = \"slack\"\nurl = \"hooks.example.com/hunter2\"", "is not an address such as https://", ""),
        ("kind = \"slack\"\nurl = \"ftp://hooks.example.com/hunter2\"", "is not an address such as https://", ""),
        ("kind = \"slack\"\nurl = \"https://x/${MISSING}\"", "the variable MISSING is not set", "whoever runs cutover"),
        (
            "kind = \"webhook\"\nurl = \"https://x/\"",
            "notify.ops.secret_env: missing",
            "needs secret_env or secret_file",
        ),
        (
            "kind = \"webhook\"\nurl = \"https://x/\"\nsecret_env = \"hunter2\"",
            "there is no variable of this name",
            "not the secret",
        ),
        ("kind = \"command\"\ncommand = [\"./nowhere\"]", "does not exist", ""),
        ("kind = \"email\"\nfrom = \"cutover\"\nto = []", "\"cutover\" is not an e-mail address", "ops@example.com"),
        ("kind = \"email\"\nfrom = \"a@b\\nBcc: c@d\"\nto = [\"a@b\"]", "contains a control character", ""),
    ];
    for (table, message, hint) in cases {
        let said = errors(&folder, &format!("[notify.ops]\n{table}"));
        assert!(
            said.contains(message) && said.contains(hint),
            "{table}\nshould say {message:?} and {hint:?}, but says\n{said}"
        );
    }
    assert!(errors(&folder, "[notify.Ops]\nkind = \"slack\"").contains("is not a name for a notification"));
}

/// That nobody can be told does not keep anybody from deploying.
#[test]
fn what_is_odd_is_a_warning() {
    let folder = Folder::new();
    let table = "[notify.ops]\nkind = \"slack\"\nurl = \"http://hooks.example.com/hunter2\"";
    let config = folder.load(format!("{SMALL}{table}"), None).unwrap_or_else(|errors| panic!("{errors}"));
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert!(
        matches!(&warnings[..], [one] if one.contains("can be read on the way") && !one.contains("hunter2")),
        "{warnings:?}"
    );
}
