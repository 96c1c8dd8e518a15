//! What a person sees when a configuration is wrong: one snapshot for each part of the file.
//!
//! Accept a change with `INSTA_UPDATE=always cargo test -p cutover --test config_errors`, and read the difference.

mod config;
mod config_said;

use config::Folder;
use config_said::{HEAD, shown, transcript, whole};

#[test]
fn the_shape_of_the_file() {
    snapshot!(whole(&[
        "",
        "project = shop\n[service.web\ncommand = [\"./server\"]",
        "project = \"a\"\nproject = \"b\"",
        "project = \"My Shop\"\n[service.web]\ncommand = [\"./server\"]",
        "project = 7\nservice = 8",
        "project = \"shop\"\n[service]",
        "project = \"shop\"\n[service.Web]\ncommand = [\"./server\"]",
        "project = \"shop\"\nservice.web = \"./server\"",
        "projekt = \"shop\"\n[services.web]\ncommand = [\"./server\"]",
        "\u{feff}project = \"shop\"\r\n[service.web]\r\ncommand = [\"./server\"]\r\nreplica = 2\r\n",
    ]));
}

#[test]
fn several_mistakes_at_once() {
    // To see it fail, return from `service::read` at the first mistake.
    snapshot!(whole(&[r#"
project = "shop"

[service.web]
command = "java -jar 'my app.jar' --server.port={port}"
replica = 2
artifact = "target/missing.jar"

[service.web.ready]
http = "healthz"
within = 60
statsu = 200

[service.web.route]
hosts = "shop.example.com"

[service.web.stop]
signal = "KILL"

[service.mailer]
directory = "."

[environment.staging.service.web]
replcas = 1
"#]));
}

#[test]
fn the_command() {
    snapshot!(transcript(&[
        "",
        "command = []",
        "command = \"\"",
        "command = \"./server && ./other\"",
        "command = [\"./server\", 8080]",
        "command = [\"jav\", \"-version\"]",
        "command = [\"java -jar app.jar\"]",
        "command = [\"./missing\"]",
        "command = [\"target/app.jar\"]",
        "command = [\"server\"]",
        "command = [\"./server\", \"{prot}\", \"{x}\", \"{\\\"json\\\": 1}\"]",
        "command = [\"{artifact}\"]",
        "command = [\"{artifact}\"]\nartifact = \"target/app.jar\"",
        "command = [\"./server\", \"&&\", \"./other\"]",
        "command = [\"./server\", \"$PORT\"]",
        "command = [\"sh\", \"-c\", \"./server | tee log\"]",
        "command = [\"./server\", \"a\\u0000b\"]",
        "command = [\"java\", \"-jar\", \"target/app.jar\"]\nartifact = \"target/app.jar\"",
        "command = [\"./server\"]\nroute = { listen = 80 }\nready = { tcp = true }",
        "command = [\"./server\"]\nuser = \"no-such-user\"",
        "command = [\"./server\"]\nuser = \"root:root\"",
        "command = [\"./server\"]\ndirectory = \"nowhere\"",
        "command = [\"java\"]\ndirectory = \"target/app.jar\"",
        "command = [\"./server\"]\nartifact = \"~/app.jar\"",
        "command = [\"./server\"]\nreplicas = 0",
        "command = [\"./server\"]\nreplicas = 99999999999999999999",
    ]));
}

#[test]
fn the_environment_of_the_process() {
    let folder = Folder::new();
    folder.file("bad.env", "A=1\nhunter2\nB='hunter2\nC=hunter2\n");
    folder.file("port.env", "PORT=3000\n");
    folder.file("reserved.env", "CUTOVER_TOKEN=hunter2\n");
    folder.file("latin1.env", b"A=1\nB=hunter2\xff\n");
    let cases = [
        "env = { A = \"${UNSET}\" }",
        "env = { A = \"${SECRET\" }",
        "env = { A = \"${SECRET:-x}\" }",
        "env = { A = [\"hunter2\"], \"B C\" = \"x\", PORT = 80, CUTOVER_X = 1 }",
        "env = \"API_KEY=hunter2\"",
        "env = { SERVER_PORT = \"{port}\" }",
        "env_file = \"missing.env\"",
        "env_file = \"bad.env\"",
        "env_file = [\".env\", \"port.env\"]",
        "env_file = \"reserved.env\"",
        "env_file = \"latin1.env\"",
        "env_file = \"target\"",
        "env_file = 7",
        "env_file = \"\"",
    ];
    let said = cases.iter().map(|case| {
        let shown = shown(&folder, format!("{HEAD}command = [\"./server\"]\n{case}"), None);
        assert!(!shown.contains("hunter2"), "a secret is shown: {shown}");
        format!("{case}\n---- says\n{shown}\n========\n")
    });
    snapshot!(said.collect());
}

#[test]
fn the_ports() {
    snapshot!(transcript(&[
        "command = [\"./server\"]\nports = [8081]",
        "command = [\"./server\"]\nports = \"8081-8083\"\nreplicas = 2",
        "command = [\"./server\"]\nports = [8081, 8081]",
        "command = [\"./server\"]\nports = [0, 65536]",
        "command = [\"./server\"]\nports = [\"8081\", 8082]",
        "command = [\"./server\"]\nports = \"8084-8081\"",
        "command = [\"./server\"]\nports = \"8081\"",
        "command = [\"./server\"]\nports = 8081",
    ]));
}

#[test]
fn the_route() {
    let cases = [
        "hosts = [\"a\"]",
        "listen = \":0\"",
        "listen = 70000",
        "listen = \":70000\"",
        "listen = \"8080\"",
        "listen = \"localhost:8080\"",
        "listen = \"shop.example.com:80\"",
        "listen = \"127.0.0.1\"",
        "listen = \"http://x\"",
        "listen = true",
        "listen = 80\nhosts = [\"http://a/\", \"*\", \"*a.b\", \"a.*.b\", \"*.\", \"a:80\", \"ü\", \"\", 7]",
        "listen = 80\npath = \"shop\"",
        "listen = 80\npath = \"/shop/*\"",
        "listen = 80\npath = [\"/a\", \"b\"]",
        "listen = 80\ntrusted = [\"10.0.0.0/33\"]",
        "listen = 80\nbalance = \"least-connections\"",
        "listen = 80\ntcp = true\nhosts = [\"a\"]\npath = \"/\"\nlimits = { answer = \"1s\" }",
        "listen = 80\nlimits = { connect = \"2\", max_body = \"much\", answer = \"400d\", keep_idle = 1.5 }",
        "listen = 80\nhost = \"a\"",
        "listen = 80\npreview = \"127.0.0.1:80\"",
        "listen = 80\npreview = \"localhost:81\"",
        "listen = 80\ntcp = true\npreview = 81",
        "listen = 80\nproxy_from = [\"10.0.0.0/33\"]\nsend_proxy = \"v3\"",
        "listen = 80\nmetrics = 80",
        "listen = 80\npreview = 81\nmetrics = 81",
        "listen = 80\nmetrics = \"localhost\"",
        "listen = 80\nhash_header = \"X-Tenant\"",
        "listen = 80\nbalance = \"hash\"\nhash_header = \"a b\"",
        "listen = 80\naccess_log = { format = \"json\" }",
        "listen = 80\naccess_log = { file = \"a.log\", format = \"combind\", keep = -1 }",
        "listen = 80\naccess_log = { file = \"a.log\", format = \"$remote_adr $status\" }",
        "listen = 80\naccess_log = { file = \"a.log\", format = \"${status\" }",
        "listen = 80\neject = { failures = 0, back_off = \"1m\", longest = \"10s\" }",
        "listen = 80\ntcp = true\nsticky = true\nrequest_id = true",
        "listen = 80\nprotocol = \"h2\"",
        "listen = 80\ntcp = true\nprotocol = \"h2c\"",
    ];
    let cases = cases.map(|case| {
        format!("command = [\"./server\", \"{{port}}\"]\nready = {{ tcp = true }}\n[service.web.route]\n{case}")
    });
    snapshot!(transcript(&cases.each_ref().map(String::as_str)));
}

#[test]
fn unix_sockets() {
    let route = "ready = { tcp = true }\nroute = { listen = 80 }";
    let own = "command = [\"./server\", \"{socket}\"]\n";
    let cases = [
        format!("{own}{route}"),
        format!("{own}socket = \"/tmp/web.sock\"\n{route}"),
        format!("{own}socket = \"/tmp/{{instance}}-{{port}}.sock\"\n{route}"),
        format!("{own}socket = \"/tmp/{}/{{instance}}.sock\"\n{route}", "long/".repeat(20)),
        format!("{own}socket = \"/nowhere/{{instance}}.sock\"\n{route}"),
        format!("{own}socket = \"/tmp/{{instance}}.sock\"\nports = [8081, 8082]\n{route}"),
        format!("command = [\"./server\", \"{{port}}\"]\nsocket = \"/tmp/{{instance}}.sock\"\n{route}"),
        format!("command = [\"./server\"]\nsocket = \"/tmp/{{instance}}.sock\"\n{route}"),
        format!("image = \"shop/web\"\nport = 80\nsocket = \"/tmp/{{instance}}.sock\"\n{route}"),
        format!(
            "{own}socket = \"/tmp/{{instance}}.sock\"\nready = {{ tcp = true }}\n[service.web.route]\nlisten = 80\n\
             instance_tls = {{ ca_file = \"web.pem\" }}"
        ),
        format!(
            "{own}socket = \"/tmp/{{instance}}.sock\"\nready = {{ tcp = true }}\n\
             route = {{ nginx = {{ file = \"/etc/nginx/web.conf\", upstream = \"web\" }} }}"
        ),
        format!("{own}socket = \"/tmp/{{instance}}.sock\"\n{route}"),
    ];
    snapshot!(transcript(&cases.each_ref().map(String::as_str)));
}

#[test]
fn listening_on_unix_sockets() {
    let head = "command = [\"./server\", \"{port}\"]\nready = { tcp = true }\n[service.web.route]\n";
    let too_long = format!("listen = \"unix:/tmp/{}\"", "x".repeat(103));
    let at_socket = |more: &str| format!("listen = \"unix:/tmp/web.sock\"\n{more}");
    let cases = [
        "listen = \"unix:web.sock\"".to_owned(),
        "listen = \"unix:\"".to_owned(),
        "listen = \"unix:/tmp/\"".to_owned(),
        "listen = \"/tmp/web.sock\"".to_owned(),
        too_long,
        "listen = \"unix:/nowhere/web.sock\"".to_owned(),
        "listen = 80\ntrusted = [\"unix:\"]\nproxy_from = [\"unix:\"]".to_owned(),
        "listen = 80\npreview = \"unix:/tmp/preview.sock\"\nmetrics = \"unix:/tmp/metrics.sock\"".to_owned(),
        at_socket("trusted = [\"127.0.0.1\"]\nproxy_from = [\"127.0.0.1\"]"),
        at_socket("trusted = [\"127.0.0.1\"]"),
        at_socket(
            "access = { allow = [\"10.0.0.0/8\"], deny = [\"10.1.0.0/16\"] }\nmaintenance = { allow = [\"10.0.0.0/8\"] }",
        ),
        at_socket("access = { allow = [\"unix:\"] }\ntrusted = [\"unix:\"]"),
        at_socket("hosts = [\"shop.example.com\"]\ntls = { acme = true, redirect = 80 }"),
        at_socket("tcp = true\ntrusted = [\"unix:\"]"),
        at_socket(
            "trusted = [\"unix:\", \"10.0.0.0/8\"]\naccess = { deny = [\"10.1.0.0/16\"] }\npreview = \":8101\"\nmetrics = \":9180\"",
        ),
        at_socket("proxy_from = [\"unix:\"]\ntrusted = [\"10.0.0.1\"]\naccess = { allow = [\"10.0.0.0/8\"] }"),
        at_socket("tcp = true\nsend_proxy = \"v1\"\nproxy_from = [\"unix:\"]"),
    ];
    snapshot!(transcript(&cases.map(|case| format!("{head}{case}")).each_ref().map(String::as_str)));
}

#[test]
fn the_gate() {
    let cases = [
        "http = \"/\"\ntcp = true",
        "tcp = false",
        "tcp = true\nstatus = 200",
        "http = \"http://127.0.0.1/healthz\"",
        "http = \"/a b\"\nstatus = \"2xx\"",
        "http = \"/\"\nstatus = 600",
        "http = \"/\"\nheaders = { Host = \"a\", \"X Y\" = \"b\", X = \"a\\nb\" }",
        "http = \"/\"\nwithin = \"1s\"\nstable_for = \"1s\"",
        "http = \"/\"\nwithin = \"0s\"\ntimeout = \"-1s\"\npasses = 0",
        "running = true\nstable_for = \"0s\"",
        "file = \"ready\"",
        "file = \"{port}.ready\"",
        "command = \"pg_isready\"",
        "command = [\"psql\", \"-p\", \"{port}\"]",
        "command = [\"missing\"]",
        "tcp = true\nwarm_up = { requests = 0 }",
        "path = \"/healthz\"",
        "grpc = \"shop.Cart\"",
        "tcp = true\ngrpc_service = \"shop.Cart\"",
        "grpc = true\nstatus = 200",
        "within = \"5s\"\n[service.web.route]\nlisten = 80\nprotocol = \"h2c\"",
        "grpc = true\nwarm_up = { requests = 5 }\n[service.web.route]\nlisten = 80\nprotocol = \"h2c\"",
    ];
    let cases = cases.map(|case| format!("command = [\"./server\"]\n[service.web.ready]\n{case}"));
    snapshot!(transcript(&cases.each_ref().map(String::as_str)));
}

#[test]
fn the_rollout_and_the_rest() {
    snapshot!(transcript(&[
        "command = [\"./server\"]\nrollout = { strategy = \"canary\" }",
        "command = [\"./server\"]\nrollout = { strategy = \"blue-green\" }",
        "command = [\"./server\"]\nrollout = { strategy = 7, keep_releases = 1, watch = \"soon\" }",
        "command = [\"./server\"]\nrollout = { deadline = \"1m\" }",
        "command = [\"./server\"]\nrollout = { smoke = [\"./missing.sh\"] }",
        "command = [\"./server\"]\nstop = { signal = \"SIGTERM\", grace = 10 }",
        "command = [\"./server\"]\nlimits = { memory = 0, open_files = 1 }",
        "command = [\"./server\"]\nlogs = { max_size = \"1B\", keep = 0 }",
        "command = [\"./server\"]\nrestart = { first = \"1m\" }",
        "command = [\"./server\"]\nrestart = []",
        "command = [\"./server\"]\nlisten = \":80\"",
        "command = [\"./server\"]\nrute = { listen = 80 }",
        "command = [\"./server\"]\nxyz = 1",
        "command = [\"./server\"]\nroute = { listen = 80 }",
    ]));
}

#[test]
fn the_strategies() {
    let rollout = |keys: &str| format!("command = [\"./server\"]\nreplicas = 2\nrollout = {{ {keys} }}");
    let cases = [
        "strategy = \"rolling\", max_surge = 0",
        "strategy = \"rolling\", batch = 0, max_surge = \"120%\", max_unavailable = -1, min_ready = 0",
        "strategy = \"blue_green\", batch = 1, steps = [\"100%\"], hold = \"1s\"",
        "strategy = \"canary\", steps = [\"5% for 1m\", \"25% for 1m\"]",
        "strategy = \"canary\", steps = [\"25% for 1m\", \"5% for 1m\", \"100%\"]",
        "strategy = \"canary\", steps = [\"25%\", \"100%\"]",
        "strategy = \"canary\", steps = [\"5% for ever\", \"100%\"]",
        "strategy = \"canary\", steps = [\"5% for 8d\", \"100%\"]",
        "strategy = \"canary\", steps = [\"0% for 1m\", \"100%\"]",
        "strategy = \"canary\", steps = []",
        "strategy = \"canary\", steps = [\"5% for 1m\", \"100%\"], by = \"ip\"",
        "strategy = \"canary\", steps = [\"5% for 1m\", \"100%\"], by = { header = \"X User\" }",
        "strategy = \"canary\", steps = [\"5% for 1m\", \"100%\"], by = \"cookie\" }\nroute = { listen = 80, tcp = true",
        "strategy = \"recreate\", hold = \"0s\", hold_requests = 0, by = \"cookie\"",
        "false_alarm = 1, tolerance = \"200%\", undecided = \"perhaps\"",
    ];
    let cases: Vec<String> = cases.into_iter().map(rollout).collect();
    snapshot!(transcript(&cases.iter().map(String::as_str).collect::<Vec<_>>()));
}

#[test]
fn the_figures_of_others() {
    let cases = [
        "",
        "http = \"http://a\"",
        "http = \"a:9090\"\nmax = nan",
        "http = \"http://a\"\ncommand = [\"./server\"]\nmin = 2\nmax = 1",
        "http = \"http://a\"\nfield = \"$.data.errors\"\nquery = \"x\"\nmin = \"1\"",
        "prometheus = \"http://a\"\nmax = 1\nevery = \"0s\"",
        "url = \"http://a\"\nmax = 1",
    ];
    let cases = cases.map(|case| format!("command = [\"./server\"]\n[service.web.rollout.metric.errors]\n{case}"));
    snapshot!(transcript(&cases.each_ref().map(String::as_str)));
}

#[test]
fn the_hooks() {
    let hooks = |keys: &str| format!("command = [\"./server\"]\n[service.web.hooks]\n{keys}");
    let cases = [
        "before_start = []",
        "before_start = \"./server expand\"",
        "before_start = [\"\"]",
        "before_start = [\"./missing\", \"expand\"]",
        "before_start = [\"missing\"]",
        "before_start = [\"./server\", \"{port}\", \"{artefact}\", \"{artifact}\"]",
        "before_strat = [\"./server\"]\nafter_wach = [\"./server\"]\npre_deploy = [\"./server\"]",
        "before_start = { command = [\"./server\"], within = 30 }",
        "before_start = { command = [\"./server\"], within = \"0s\" }",
        "after_watch = { command = [\"./server\"], within = \"soon\", timout = \"1s\" }",
        "after_switch = { within = \"1m\" }",
        "on_failure = { command = \"./server\" }",
        "on_rollback = 7",
        "before_build = [\"./missing\"]",
        // A shell in front of what ends by itself hurts nobody; operators without a shell do nothing.
        "before_start = [\"sh\", \"-c\", \"./server expand && ./server check\"]",
        "before_start = [\"./server\", \"&&\", \"./server\"]",
    ];
    let cases: Vec<String> = cases.into_iter().map(hooks).collect();
    let more =
        ["command = [\"./server\"]\nhooks = 7", "command = [\"./server\"]\nrollout = { no_rollback_past = \"yes\" }"];
    let all: Vec<&str> = cases.iter().map(String::as_str).chain(more).collect();
    snapshot!(transcript(&all));
}

#[test]
fn services_that_cannot_live_together() {
    let pair = |first: &str, second: &str| {
        let service = |name: &str, keys: &str| {
            format!("[service.{name}]\ncommand = [\"./server\", \"{{port}}\"]\nready = {{ tcp = true }}\n{keys}\n")
        };
        format!("project = \"shop\"\n{}{}", service("web", first), service("api", second))
    };
    snapshot!(whole(&[
        pair("route = { listen = 80 }", "route = { listen = \":80\", path = \"/\" }"),
        pair(
            "route = { listen = 80, hosts = [\"a\", \"B\"], path = \"/x\" }",
            "route = { listen = 80, hosts = [\"b\"], path = \"/x/\" }"
        ),
        pair("route = { listen = 80 }", "route = { listen = 80, tcp = true }"),
        pair("route = { listen = 80 }", "route = { listen = \"127.0.0.1:80\", path = \"/api\" }"),
        pair("route = { listen = \"[::]:80\" }", "route = { listen = 80, path = \"/api\" }"),
        pair("route = { listen = \"unix:/tmp/web.sock\" }", "route = { listen = \"unix:/tmp/web.sock\" }"),
        pair(
            "route = { listen = \"unix:/tmp/web.sock\", trusted = [\"unix:\"] }",
            "route = { listen = \"unix:/tmp/web.sock\", path = \"/api\" }",
        ),
        pair("route = { listen = \"unix:/tmp/web.sock\" }", "route = { listen = \"unix:/tmp/web.sock\", tcp = true }"),
        pair("route = { listen = 80, trusted = [\"10.0.0.0/8\"] }", "route = { listen = 80, path = \"/api\" }"),
        pair("route = { listen = 80, proxy_from = [\"10.0.0.0/8\"] }", "route = { listen = 80, path = \"/api\" }"),
        pair("route = { listen = 80, metrics = 81 }", "route = { listen = 81 }"),
        pair("route = { listen = 80, metrics = \":81\" }", "route = { listen = 82, metrics = \"127.0.0.1:81\" }"),
        pair("route = { listen = 80, metrics = 81 }", "route = { listen = 82, metrics = 81 }"),
        pair(
            "route = { listen = 80, access_log = { file = \"a.log\" } }",
            "route = { listen = 82, access_log = { file = \"a.log\", keep = 1 } }",
        ),
        pair("ports = [8081, 8082]", "ports = [8082, 8083]"),
        pair("ports = [8081, 8082]\nroute = { listen = 8082 }", "route = { listen = 8081 }"),
        pair("route = { listen = 80, preview = 81 }", "route = { listen = \"127.0.0.1:81\", hosts = [\"a\"] }"),
        pair("ports = [8081, 8082]\nroute = { listen = 80, preview = 8082 }", "route = { listen = 8083 }"),
        pair(
            "route = { listen = 443, tls = { certificate = \"web.pem\", key = \"web.key\" } }",
            "route = { listen = 443, path = \"/api\" }"
        ),
        pair(
            "route = { listen = 443, tls = { certificate = \"web.pem\", key = \"web.key\", redirect = 80 } }",
            "route = { listen = 80 }"
        ),
        pair(
            "route = { listen = 443, tls = { certificate = \"web.pem\", key = \"web.key\", redirect = 80 } }",
            "route = { listen = 80, tcp = true }"
        ),
        // These can.
        pair(
            "route = { listen = 443, tls = { certificate = \"web.pem\", key = \"web.key\", redirect = 80 } }",
            "route = { listen = 80, hosts = [\"a\"] }"
        ),
        pair("route = { listen = 80, hosts = [\"a\"] }", "route = { listen = 80 }"),
        pair("route = { listen = \"127.0.0.1:80\" }", "route = { listen = \"127.0.0.2:80\" }"),
    ]));
}

#[test]
fn environments() {
    let base = "project = \"shop\"\n[service.web]\ncommand = [\"./server\"]\n";
    let folder = Folder::new();
    let with = |environments: &str, chosen: &str| shown(&folder, format!("{base}{environments}"), Some(chosen));
    let said = [
        with("", "staging"),
        with("[environment.staging]\n[environment.production]", "stagin"),
        with("[environment.staging]\n[environment.production]", "x"),
        shown(&folder, format!("environment = 7\n{base}"), Some("x")),
        with("[environment]\nstaging = 7", "staging"),
        with("[environment.staging.service.wbe]\nreplicas = 2", "staging"),
        with("[environment.staging.service.web]\nreplicas = 0", "staging"),
        with("[environment.staging]\nreplicas = 0", "other"),
    ];
    snapshot!(said.join("\n========\n"));
}

#[test]
fn files_that_cannot_be_read() {
    let folder = Folder::new();
    let load = |path: Option<&str>| {
        let result = cutover::config::load_in(&folder.surroundings(), path.map(std::path::Path::new), None);
        result.expect_err("an error").to_string().replace(&folder.path().display().to_string(), "/app")
    };
    folder.file("latin1.toml", b"project = \"shop\"\nx = \"\xff\"");
    folder.file("large.toml", vec![b'#'; (1 << 20) + 1]);
    let said = [
        load(None),
        load(Some("other.toml")),
        load(Some("target")),
        load(Some("latin1.toml")),
        load(Some("large.toml")),
        load(Some("/dev/zero")),
    ];
    snapshot!(said.join("\n========\n"));
}
