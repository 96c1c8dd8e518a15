//! What a good configuration means: defaults, overlays, paths, secrets; and that the table of keys tells the truth.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

mod config;

use std::path::Path;
use std::time::Duration;

use config::Folder;
use cutover::config::keys::{Default, Form, Key, SECTIONS, Section};
use cutover_core::pin::PinBy;
use cutover_core::rule::verdict::Bounds;
use cutover_core::spec::{Check, MetricSource, Ports, ProxyRoute, RouteKind, ServiceSpec, Strategy};
use cutover_core::spread::HashBy;
use cutover_core::table::{Balance, Protocol};

const SMALL: &str = "project = \"shop\"\n[service.web]\ncommand = [\"./server\"]\n";

fn proxy(spec: &ServiceSpec) -> ProxyRoute {
    spec.route.as_ref().and_then(|route| route.proxy()).expect("a route through the proxy").clone()
}

fn one(folder: &Folder, toml: &str, environment: Option<&str>) -> ServiceSpec {
    folder.load(toml, environment).unwrap_or_else(|errors| panic!("{toml}\n{errors}")).services.remove(0)
}

#[test]
fn the_full_example_reads_as_it_says() {
    let folder = Folder::new();
    let config = folder.load(cutover::config::example(), None).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.project, "shop");
    assert_eq!(config.path, folder.path().join("cutover.toml"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let [web, mailer] = &config.services[..] else { panic!("two services") };
    assert_eq!(web.replicas, 2);
    assert_eq!(web.run.process().unwrap().ports, Ports::Fixed(vec![8081, 8082, 8083, 8084]));
    assert_eq!(web.run.process().unwrap().artifact.as_deref(), Some(folder.path().join("target/app.jar").as_path()));
    assert_eq!(web.run.process().unwrap().env["PROFILE"].reveal(), "production");
    assert_eq!(web.run.process().unwrap().env["API_KEY"].reveal(), "hunter2");
    assert_eq!(web.ready.warm_up.as_ref().map(|warm_up| warm_up.requests), Some(20));
    assert_eq!(web.rollout.smoke.as_deref(), Some(&[folder.path().join("smoke.sh").display().to_string()][..]));
    let route = proxy(web);
    assert_eq!(route.listen.to_string(), "0.0.0.0:80");
    let (hosts, path, more) = (vec!["shop.example.com".into()], "/".into(), vec![]);
    assert_eq!(route.kind, RouteKind::Http { hosts, path, more });
    assert_eq!(mailer.route, None);
    assert_eq!(mailer.ready.check, Check::File(folder.path().join("run/{instance}.ready")));
    assert!(!format!("{config:?}").contains("hunter2"), "a secret is in the debug form");
}

#[test]
fn an_environment_changes_what_it_names_and_nothing_else() {
    let folder = Folder::new();
    let config = folder.load(cutover::config::example(), Some("staging")).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.project, "shop-staging");
    let plain = folder.load(cutover::config::example(), None).unwrap_or_else(|errors| panic!("{errors}"));
    let (web, before) = (&config.services[0], &plain.services[0]);
    assert_eq!((web.replicas, before.replicas), (1, 2));
    let (route, route_before) = (proxy(web), proxy(before));
    assert_eq!(route.listen.port(), Some(8080));
    assert_eq!(route.trusted, route_before.trusted);
    assert_eq!((&web.ready, &web.rollout, &web.run), (&before.ready, &before.rollout, &before.run));
}

#[test]
fn an_environment_may_choose_another_check() {
    // To see it fail, let `overlay::merge` keep the checks of the file.
    let toml = format!(
        "{SMALL}[service.web.ready]\nhttp = \"/healthz\"\nstatus = 200\nwithin = \"5s\"\n[environment.staging.service.web.ready]\ntcp = true\n"
    );
    let folder = Folder::new();
    let ready = one(&folder, &toml, Some("staging")).ready;
    assert_eq!(ready.check, Check::Tcp);
    assert_eq!(ready.within, Duration::from_secs(5));
}

#[test]
fn an_environment_may_have_a_service_of_its_own() {
    let toml = format!("{SMALL}[environment.staging.service.mock]\ncommand = [\"./server\"]\n");
    let folder = Folder::new();
    assert_eq!(folder.load(&toml, None).map(|config| config.services.len()).ok(), Some(1));
    assert_eq!(folder.load(&toml, Some("staging")).map(|config| config.services.len()).ok(), Some(2));
}

#[test]
fn the_check_follows_from_the_route() {
    let folder = Folder::new();
    let check = |route: &str| one(&folder, &format!("{SMALL}{route}"), None).ready.check;
    assert_eq!(check(""), Check::Running);
    assert_eq!(check("route = { listen = 80, tcp = true }"), Check::Tcp);
    assert!(matches!(check("route = { listen = 80 }"), Check::Http { path, status: (200, 399), .. } if path == "/"));
}

#[test]
fn env_wins_over_files_and_later_files_over_earlier_ones() {
    let folder = Folder::new();
    folder.file("a.env", "\u{feff}A=a\r\nB=a\r\nC=a\r\n");
    folder.file("b.env", "export B='b'\nPORT=3000\n");
    let toml = format!("{SMALL}env_file = [\"a.env\", \"b.env\"]\nenv = {{ C = \"c ${{SECRET}}\", D = 7, E = true }}");
    let env = one(&folder, &toml, None).run.process().unwrap().env.clone();
    let values: Vec<(&str, &str)> = env.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
    assert_eq!(values, [("A", "a"), ("B", "b"), ("C", "c hunter2"), ("D", "7"), ("E", "true")]);
}

#[test]
fn a_path_of_the_service_finds_the_program() {
    // The service's own PATH counts, as it does when the program is started.
    let folder = Folder::new();
    let toml =
        |path: &str| format!("project = \"shop\"\n[service.web]\ncommand = [\"server\"]\nenv = {{ PATH = {path:?} }}");
    assert!(folder.load(toml("/nowhere"), None).is_err());
    assert!(folder.load(toml(&folder.path().display().to_string()), None).is_ok());
}

#[test]
fn addresses_and_paths_have_one_form() {
    let folder = Folder::new();
    let listen = |text: &str| {
        let spec = one(&folder, &format!("{SMALL}route = {{ listen = {text} }}"), None);
        spec.route.as_ref().map(|_| proxy(&spec).listen.to_string()).unwrap_or_default()
    };
    assert_eq!(listen("8080"), "0.0.0.0:8080");
    assert_eq!(listen("\":80\""), "0.0.0.0:80");
    assert_eq!(listen("\"127.0.0.1:80\""), "127.0.0.1:80");
    assert_eq!(listen("\"[::]:80\""), "[::]:80");
    assert_eq!(listen("\"unix:/tmp/web.sock\""), "unix:/tmp/web.sock");
    let toml = format!(
        "{SMALL}route = {{ listen = 80, hosts = [\"B.example.\", \"a\", \"b.example\"], path = \"/x/\", balance = \"round_robin\" }}"
    );
    let route = proxy(&one(&folder, &toml, None));
    let hosts = vec!["a".into(), "b.example".into()];
    assert_eq!(route.kind, RouteKind::Http { hosts, path: "/x".into(), more: vec![] });
    assert_eq!(route.balance, Balance::RoundRobin);
}

#[test]
fn instances_of_http2_are_asked_by_tcp_unless_it_is_said_how() {
    let folder = Folder::new();
    let web = format!("{SMALL}[service.web.route]\nlisten = 80\n");
    assert_eq!(proxy(&one(&folder, &web, None)).protocol, Protocol::Http1);
    let h2c = format!("{web}protocol = \"h2c\"\n");
    let spec = one(&folder, &h2c, None);
    assert_eq!((proxy(&spec).protocol, spec.ready.check), (Protocol::H2c, Check::Tcp));
    for (lines, service) in [("grpc = true", ""), ("grpc = true\ngrpc_service = \"shop.Cart\"", "shop.Cart")] {
        let spec = one(&folder, &format!("{h2c}[service.web.ready]\n{lines}\n"), None);
        assert_eq!(spec.ready.check, Check::Grpc { service: service.to_owned() });
    }
}

#[test]
fn a_socket_is_a_path_of_each_instance() {
    let folder = Folder::new();
    let text = "project = \"shop\"\n[service.web]\ncommand = [\"./server\", \"{socket}\"]\nsocket = \"run/{release}/{instance}\"\n";
    let config = folder.load(format!("{text}ready = {{ tcp = true }}\nroute = {{ listen = 80 }}"), None).unwrap();
    let process = config.services[0].run.process().unwrap();
    let instance = "web.r7.i12".parse().unwrap();
    assert_eq!(process.socket_of(&instance), Some(folder.path().join("run/7/web.r7.i12")));
}

#[test]
fn tls_to_instances_has_absolute_paths_and_goes_with_either_protocol() {
    use cutover_core::tls::{InstanceTls, ShownFiles};
    let folder = Folder::new();
    let route = |lines: &str| proxy(&one(&folder, &format!("{SMALL}[service.web.route]\nlisten = 80\n{lines}"), None));
    assert_eq!(route("").instance_tls, None);
    let read = route("instance_tls = { ca_file = \"web.pem\" }");
    let ca_file = Some(folder.path().join("web.pem"));
    let expected = InstanceTls { ca_file, ..InstanceTls::default() };
    assert_eq!((read.protocol, read.instance_tls), (Protocol::Http1, Some(Box::new(expected.clone()))));
    let names = "ca_file = \"web.pem\", name = \"web.internal\", certificate = \"./web.pem\", key = \"web.key\"";
    let read = route(&format!("protocol = \"h2\"\ninstance_tls = {{ {names} }}"));
    let shown = ShownFiles { certificate: folder.path().join("web.pem"), key: folder.path().join("web.key") };
    let expected = InstanceTls { name: Some("web.internal".to_owned()), shown: Some(shown), ..expected };
    assert_eq!((read.protocol, read.instance_tls), (Protocol::H2c, Some(Box::new(expected))));
}

#[test]
fn tls_has_absolute_paths_and_what_goes_with_them() {
    use cutover_core::tls::{CertificateFrom, TlsSpec, TlsVersion};
    let folder = Folder::new();
    let tls = |more: &str| {
        let lines = format!("certificate = \"web.pem\"\nkey = \"./web.key\"\n{more}");
        let route = "[service.web.route]\nlisten = 443\nhosts = [\"shop.example.com\"]";
        *proxy(&one(&folder, &format!("{SMALL}{route}\n[service.web.route.tls]\n{lines}"), None)).tls.unwrap()
    };
    let from =
        CertificateFrom::Files { certificate: folder.path().join("web.pem"), key: folder.path().join("web.key") };
    let plain = TlsSpec { from, minimum: TlsVersion::V12, redirect: None, hsts: None };
    assert_eq!(tls(""), plain);
    let all = tls("minimum = \"1.3\"\nredirect = \":80\"\nhsts = \"365d\"");
    let redirect = Some("0.0.0.0:80".parse().unwrap());
    let hsts = Some(Duration::from_secs(365 * 86_400));
    assert_eq!(all, TlsSpec { minimum: TlsVersion::V13, redirect, hsts, ..plain });
}

#[test]
fn certificates_by_acme_have_an_authority_and_a_challenge() {
    use cutover_core::acme::{Authority, Binding, Challenge};
    use cutover_core::tls::CertificateFrom;
    let folder = Folder::new();
    let acme = |tls: &str| {
        let route = "[service.web.route]\nlisten = 443\nhosts = [\"shop.example.com\"]";
        let spec = one(&folder, &format!("{SMALL}{route}\n[service.web.route.tls]\n{tls}"), None);
        match proxy(&spec).tls.unwrap().from {
            CertificateFrom::Acme(authority) => *authority,
            other => panic!("{other:?}"),
        }
    };
    let plain = Authority {
        directory: Authority::LETS_ENCRYPT.to_owned(),
        email: None,
        ca_file: None,
        store: None,
        challenge: Challenge::TlsAlpn01,
        binding: None,
    };
    assert_eq!(acme("acme = true"), plain);
    let by_http = Authority { challenge: Challenge::Http01, ..plain.clone() };
    assert_eq!(acme("acme = {}\nredirect = 80"), by_http);
    assert_eq!(acme("acme = { challenge = \"tls-alpn-01\" }\nredirect = 80"), plain);
    let staging = Authority { directory: Authority::LETS_ENCRYPT_STAGING.to_owned(), ..plain.clone() };
    assert_eq!(acme("acme = { staging = true }"), staging);
    let all = acme(
        "[service.web.route.tls.acme]\ndirectory = \"https://ca.example/dir\"\nemail = \"ops@example.com\"\nca_file = \"web.pem\"\n\
         store = \"acme\"\nchallenge = \"http-01\"\neab_kid = \"me\"\neab_key_file = \"eab.key\"",
    );
    let path = |name: &str| folder.path().join(name);
    let expected = Authority {
        directory: "https://ca.example/dir".to_owned(),
        email: Some("ops@example.com".to_owned()),
        ca_file: Some(path("web.pem")),
        store: Some(path("acme")),
        challenge: Challenge::Http01,
        binding: Some(Binding { kid: "me".to_owned(), key_file: path("eab.key") }),
    };
    assert_eq!(all, expected);
}

#[test]
fn a_canary_takes_requests_or_clients() {
    let folder = Folder::new();
    let by = |by: &str| {
        let rollout = format!("rollout = {{ strategy = \"canary\", steps = [\"5% for 1m\", \"100%\"]{by} }}");
        match one(&folder, &format!("{SMALL}route = {{ listen = 80 }}\n{rollout}"), None).rollout.strategy {
            Strategy::Canary(canary) => canary.by,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(by(""), None);
    assert_eq!(by(", by = \"request\""), None);
    assert_eq!(by(", by = \"cookie\""), Some(PinBy::Cookie));
    assert_eq!(by(", by = \"address\""), Some(PinBy::Address));
    assert_eq!(by(", by = { header = \"X-User\" }"), Some(PinBy::Header("X-User".to_owned())));
}

#[test]
fn a_figure_has_a_source_and_bounds() {
    let folder = Folder::new();
    let metrics = |lines: &str| {
        let toml = format!("{SMALL}[service.web.rollout.metric.errors]\n{lines}");
        one(&folder, &toml, None).rollout.metrics.remove(0)
    };
    let metric = metrics("prometheus = \"http://localhost:9090\"\nquery = \"x\"\nmax = 0.5\nmin = -1");
    let (url, query) = ("http://localhost:9090".to_owned(), "x".to_owned());
    assert_eq!(metric.source, MetricSource::Prometheus { url, query });
    assert_eq!((metric.name.as_str(), metric.bounds), ("errors", Bounds { min: Some(-1.0), max: Some(0.5) }));
    assert_eq!((metric.every, metric.timeout), (Duration::from_secs(15), Duration::from_secs(5)));
    let metric = metrics("http = \"https://figures/{service}\"\nfield = \"/a/b\"\nmin = 1\nevery = \"1m\"");
    assert_eq!(
        metric.source,
        MetricSource::Http { url: "https://figures/{service}".to_owned(), field: Some("/a/b".to_owned()) }
    );
    let metric = metrics("command = [\"./server\", \"x\"]\nmax = 1_000");
    let program = folder.path().join("server").display().to_string();
    assert_eq!(metric.source, MetricSource::Command(vec![program, "x".to_owned()]));
    assert_eq!(metric.bounds.max, Some(1000.0));
}

#[test]
fn the_working_directory_is_the_folder_of_the_file_unless_the_artifact_is_a_folder() {
    let folder = Folder::new();
    assert_eq!(one(&folder, SMALL, None).run.process().unwrap().directory.as_deref(), Some(folder.path()));
    assert_eq!(one(&folder, &format!("{SMALL}artifact = \".\""), None).run.process().unwrap().directory, None);
    let named = one(&folder, &format!("{SMALL}artifact = \".\"\ndirectory = \"./\""), None);
    assert_eq!(named.run.process().unwrap().directory.as_deref(), Some(folder.path()));
}

#[test]
fn the_file_is_found_from_below_and_paths_start_from_it() {
    let folder = Folder::new();
    folder.file("cutover.toml", SMALL);
    folder.file("src/deep/x", "");
    let mut surroundings = folder.surroundings();
    surroundings.directory = folder.path().join("src/deep");
    let config = cutover::config::load_in(&surroundings, None, None).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.path, folder.path().join("cutover.toml"));
    assert_eq!(config.services[0].run.process().unwrap().directory.as_deref(), Some(folder.path()));
    let given = cutover::config::load_in(&surroundings, Some(Path::new("../../cutover.toml")), None);
    assert!(given.is_ok(), "{given:?}");
}

#[test]
fn mistakes_can_be_read_by_a_machine() {
    let folder = Folder::new();
    let errors = folder.load(format!("{SMALL}replica = 2"), Some("x")).expect_err("errors");
    insta::assert_snapshot!(serde_json::to_string_pretty(&errors).unwrap(), @r#"
    [
      {
        "file": "cutover.toml",
        "line": 4,
        "column": 1,
        "message": "unknown key \"replica\"",
        "hint": "did you mean \"replicas\"?"
      },
      {
        "message": "there is no environment \"x\"",
        "hint": "the file has none; begin a table with [environment.x.service.NAME]"
      }
    ]
    "#);
}

/// A hook is a list, or a table with a limit; what a build makes need not be there. Seen to fail with the default for both.
#[test]
fn a_hook_has_a_limit() {
    use cutover_core::spec::Hook;
    let folder = Folder::new();
    let hooks = "[service.web.hooks]\nbefore_start = [\"./server\", \"expand\"]\n\
                 after_watch = { command = [\"./server\"], within = \"2h\" }\nbefore_build = [\"./server\"]";
    let spec = one(&folder, &format!("{SMALL}artifact = \"not/built\"\n{hooks}"), None);
    let of = |hook| (spec.rollout.hooks[&hook].command.clone(), spec.rollout.hooks[&hook].within);
    assert_eq!(of(Hook::BeforeStart), (vec!["./server".into(), "expand".into()], Duration::from_secs(300)));
    assert_eq!(of(Hook::AfterWatch).1, Duration::from_secs(7200));
    assert_eq!(of(Hook::BeforeBuild).0, [folder.path().join("server").display().to_string()]);
}

/// A small file with one more line in one of its tables, in place of the line for the same key.
fn with(section: &Section, key: &str, line: &str) -> String {
    const ACME: &str = "service.NAME.route.tls.acme";
    const OF_CONTAINERS: &[&str] = &["network", "container", "health", "build", "login"];
    let of_container = OF_CONTAINERS.iter().any(|name| section.path == format!("service.NAME.{name}"))
        || (section.path == "service.NAME" && ["pull", "publish_on"].contains(&key));
    let base = [
        ("", "project", "project = \"shop\""),
        match of_container {
            true => ("service.NAME", "image", "port = 80\nimage = \"shop/web\""),
            false => ("service.NAME", "command", "command = [\"./server\", \"{port}\"]"),
        },
        match section.path == ACME {
            true => ("service.NAME.route", "listen", "listen = 443\nhosts = [\"shop.example.com\"]"),
            false => ("service.NAME.route", "listen", "listen = 80"),
        },
    ];
    const NGINX: &str = "service.NAME.route.nginx";
    const TLS: &str = "service.NAME.route.tls";
    const INSTANCE_TLS: &str = "service.NAME.route.instance_tls";
    const METRIC: &str = "service.NAME.rollout.metric.NAME";
    const ROLLOUT: &str = "service.NAME.rollout";
    let needed = [
        ("service.NAME.network", "name", "name = \"shop\""),
        ("accessory.NAME", "image", "image = \"db\""),
        ("service.NAME.route.access_log", "file", "file = \"access.log\""),
        ("service.NAME.route.spans", "endpoint", "endpoint = \"https://collector\""),
        ("service.NAME.hooks.before_start", "command", "command = [\"./server\"]"),
        ("notify.NAME", "kind", "kind = \"command\""),
        ("notify.NAME", "command", "command = [\"./server\"]"),
        (METRIC, "max", "max = 1"),
        match key {
            "query" | "prometheus" => (METRIC, "prometheus", "prometheus = \"http://localhost\""),
            "command" => (METRIC, "command", "command = [\"./server\"]"),
            _ => (METRIC, "http", "http = \"http://localhost\""),
        },
        ("service.NAME.route.redirect", "from", "from = \"/a\""),
        ("service.NAME.route.redirect", "to", "to = \"/b\""),
        ("service.NAME.route.rewrite", "from", "from = \"/a\""),
        ("service.NAME.route.rewrite", "to", "to = \"/b\""),
        ("service.NAME.route.files", "path", "path = \"/a\""),
        ("service.NAME.route.files", "directory", "directory = \"bin\""),
        ("service.NAME.route.password", "file", "file = \"users\""),
        match key {
            "burst" => ("service.NAME.route.access", "rate", "rate = \"10/s\""),
            _ => ("service.NAME.route.access", "allow", "allow = []"),
        },
        (NGINX, "file", "file = \"/etc/nginx/conf.d/web.conf\""),
        (TLS, "certificate", if key == "acme" { "hsts = \"1d\"" } else { "certificate = \"web.pem\"" }),
        (TLS, "key", if key == "acme" { "" } else { "key = \"web.key\"" }),
        match key {
            "certificate" => (INSTANCE_TLS, "key", "key = \"web.key\""),
            "key" => (INSTANCE_TLS, "certificate", "certificate = \"web.pem\""),
            _ => (INSTANCE_TLS, "ca_file", "ca_file = \"web.pem\""),
        },
        match key {
            "eab_kid" => (ACME, "eab_key_file", "eab_key_file = \"eab.key\""),
            "eab_key_file" => (ACME, "eab_kid", "eab_kid = \"me\""),
            _ => (ACME, "email", "email = \"ops@example.com\""),
        },
        match key {
            "variable" | "down" | "sites" => (NGINX, "file", "file = \"/etc/nginx/conf.d/web.conf\""),
            "value" => (NGINX, "variable", "variable = \"service_url\""),
            _ => (NGINX, "upstream", "upstream = \"web\""),
        },
        match key {
            "batch" | "max_surge" | "max_unavailable" | "min_ready" => (ROLLOUT, "strategy", "strategy = \"rolling\""),
            "steps" => (ROLLOUT, "strategy", "strategy = \"canary\""),
            "by" => (ROLLOUT, "strategy", "strategy = \"canary\"\nsteps = [\"5% for 1m\", \"100%\"]"),
            "hold" | "hold_requests" => (ROLLOUT, "strategy", "strategy = \"recreate\""),
            _ => (ROLLOUT, "strategy", "strategy = \"blue_green\""),
        },
    ];
    // An nginx takes the place of an address of our own.
    let base = base.into_iter().filter(|(path, ..)| section.path != NGINX || *path != "service.NAME.route");
    let mut base: Vec<_> = base.chain(needed.into_iter().filter(|(path, ..)| *path == section.path)).collect();
    base.dedup();
    let lines = |path: &str| {
        let kept = base.iter().filter(|(at, name, _)| *at == path && (section.path, key) != (*at, *name));
        let mut lines: String = kept.map(|(_, _, line)| format!("{line}\n")).collect();
        if section.path == path {
            lines.push_str(line);
        }
        lines
    };
    let written = |path: &&str| base.iter().any(|(at, ..)| at == path) || section.path == *path;
    let sections = SECTIONS.iter().map(|section| section.path).filter(written);
    let table = |path: &str| match path {
        "" => lines(path),
        path if is_list(path) => format!("\n[[{}]]\n{}", path.replace("NAME", "web"), lines(path)),
        path => format!("\n[{}]\n{}", path.replace("NAME", "web"), lines(path)),
    };
    sections.map(table).collect()
}

/// Whether a section is one of a list of tables.
fn is_list(path: &str) -> bool {
    let Some((above, key)) = path.rsplit_once('.') else { return false };
    let key = Section::of(above).and_then(|section| section.key(key));
    key.is_some_and(|key| matches!(key.form, Form::List(_)))
}

fn documented() -> impl Iterator<Item = (&'static Section, &'static Key)> {
    let sections = SECTIONS.iter().filter(|section| !section.path.starts_with("environment"));
    sections.flat_map(|section| section.keys.iter().map(move |key| (section, key)))
}

#[test]
fn what_is_noted_and_how_it_is_spread_reads_as_it_says() {
    let folder = Folder::new();
    let text = "listen = 80\nmetrics = \"127.0.0.1:9180\"\nbalance = \"hash\"\nhash_header = \"X-Tenant\"\nsticky = true\n\
                slow_start = \"10s\"\nrequest_id = true\neject = { failures = 3, errors = true }\n\
                access_log = { file = \"log/access.log\", format = \"$remote_addr ${status}\", query = false, max_size = 0 }";
    let route = proxy(&one(&folder, &format!("{SMALL}[service.web.route]\n{text}"), None));
    assert_eq!(route.metrics, "127.0.0.1:9180".parse().ok());
    assert_eq!((route.trail.request_id, route.trail.trace), (true, false));
    let log = route.trail.log.unwrap();
    assert_eq!(log.file, folder.path().join("log/access.log"));
    assert_eq!(
        (log.format.to_string().as_str(), log.query, log.max_size.0, log.keep),
        ("${remote_addr} ${status}", false, 0, 5)
    );
    let eject = route.spread.eject.unwrap();
    assert_eq!((eject.failures, eject.back_off, eject.errors), (3, Duration::from_secs(10), true));
    assert_eq!((route.spread.sticky, route.spread.slow_start), (true, Duration::from_secs(10)));
    assert_eq!((route.balance, route.spread.hash), (Balance::Hash, HashBy::Header("x-tenant".to_owned())));
}

#[test]
fn every_documented_key_is_read() {
    // To see it fail, add a key to a section.
    let folder = Folder::new();
    for (section, key) in documented() {
        let name = key.name;
        let toml = match (section.path, name) {
            ("", "service") => "project = \"shop\"\nservice = 1979-05-27".to_owned(),
            _ => with(section, name, &format!("{name} = 1979-05-27")),
        };
        // A table takes the place of the base's table of the same name.
        let toml = if name == "route" { toml.replace("\n[service.web.route]\nlisten = 80\n", "") } else { toml };
        let errors = folder.load(&toml, None).expect_err(&toml).to_string();
        let dot = if section.path.is_empty() { "" } else { "." };
        let index = if is_list(section.path) { "[1]" } else { "" };
        let path = section.path.replace("NAME", "web");
        let expected = format!("{path}{index}{dot}{name}: expected {}", key.form.expected());
        assert!(errors.contains(&expected), "{toml}\nshould say {expected:?} but says\n{errors}");
    }
}

#[test]
fn every_documented_default_is_the_real_one() {
    // To see it fail, change a default in the table of keys.
    let folder = Folder::new();
    for (section, key) in documented() {
        if let Default::Is(value) = key.default {
            let read = |line: &str| {
                let config =
                    folder.load(with(section, key.name, line), None).unwrap_or_else(|errors| panic!("{errors}"));
                (config.services, config.sinks)
            };
            assert_eq!(read(&format!("{} = {value}", key.name)), read(""), "{}.{}", section.path, key.name);
        }
    }
}

#[test]
fn what_must_be_given_is_missed() {
    let folder = Folder::new();
    for (section, key) in documented().filter(|(_, key)| key.default == Default::Required && key.name != "service") {
        let errors = folder.load(with(section, key.name, ""), None).expect_err("errors").to_string();
        assert!(errors.contains(&format!("{}: missing", key.name)), "{errors}");
    }
}
