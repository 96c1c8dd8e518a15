//! What a person sees when the TLS of a configuration is wrong.
//!
//! Accept a change with `INSTA_UPDATE=always cargo test -p cutover --test config_tls`, and read the difference.

mod config;
mod config_said;

use config::Folder;
use config_said::{HEAD, shown, transcript};

#[test]
fn tls() {
    let head = "command = [\"./server\", \"{port}\"]\nready = { tcp = true }\n[service.web.route]\nlisten = 443\n";
    let good = "certificate = \"web.pem\", key = \"web.key\"";
    let cases = [
        format!("{head}tls = {{}}"),
        format!("{head}tls = {{ certificate = \"missing.pem\", key = \"web.key\" }}"),
        format!("{head}tls = {{ certificate = \"web.key\", key = \"web.pem\" }}"),
        format!("{head}tls = {{ certificate = \"web.pem\", key = \".env\" }}"),
        format!("{head}tls = {{ {good}, minimum = \"1.1\", redirect = \":443\", hsts = \"1y\" }}"),
        format!("{head}hosts = [\"shop.example.com\", \"www.example.com\", \"a.example.org\"]\ntls = {{ {good} }}"),
        format!("{head}tcp = true\ntls = {{ {good}, redirect = 80, hsts = \"1d\" }}"),
    ];
    snapshot!(transcript(&cases.each_ref().map(String::as_str)));
}

#[test]
fn tls_to_instances() {
    let head = "command = [\"./server\", \"{port}\"]\nready = { tcp = true }\n[service.web.route]\nlisten = 80\n";
    let cases = [
        "instance_tls = true",
        "instance_tls = { ca_file = \"missing.pem\" }",
        "instance_tls = { ca_file = \".env\", name = \"web.internal\" }",
        "instance_tls = { ca_file = \"web.pem\", name = \"a b\" }",
        "instance_tls = { ca_file = \"web.pem\", certificate = \"web.pem\" }",
        "instance_tls = { ca_file = \"web.pem\", certificate = \"web.pem\", key = \".env\" }",
        "instance_tls = { ca_file = \"web.pem\", certificate = \"missing.pem\", key = \"web.key\" }",
        "instance_tls = { ca = \"web.pem\", cert_file = \"web.pem\", key_file = \"web.key\", verify = false }",
        "protocol = \"h2c\"\ninstance_tls = { ca_file = \"web.pem\" }",
        "tcp = true\ninstance_tls = { ca_file = \"web.pem\" }",
        "nginx = { file = \"/etc/nginx/web.conf\", upstream = \"web\" }\ninstance_tls = { ca_file = \"web.pem\" }",
        "protocol = \"h2\"\ninstance_tls = { ca_file = \"web.pem\", certificate = \"web.pem\", key = \"web.key\" }",
    ];
    let cases = cases.map(|case| format!("{head}{case}"));
    snapshot!(transcript(&cases.each_ref().map(String::as_str)));
}

/// The certificate that instances are shown must be good for them, too.
#[test]
fn what_instances_are_shown_is_looked_at() {
    let folder = Folder::new();
    let said = |name: &str| {
        let tls = format!("ca_file = \"web.pem\", certificate = \"{name}.pem\", key = \"{name}.key\"");
        let route = format!("[service.web.route]\nlisten = 80\ninstance_tls = {{ {tls} }}");
        shown(&folder, format!("{HEAD}command = [\"./server\", \"{{port}}\"]\nready = {{ tcp = true }}\n{route}"), None)
    };
    folder.certificate("expired", &["a"], -1);
    let expired = said("expired");
    assert!(expired.contains("instance_tls.certificate: the certificate expired on 20"), "{expired}");
    assert!(expired.contains("no instance would accept it"), "{expired}");
    folder.certificate("soon", &["a"], 20);
    let soon = said("soon");
    assert!(soon.starts_with("warning: ") && soon.contains("the certificate expires on"), "{soon}");
    assert_eq!(said("web"), "");
}

#[test]
fn certificates_by_acme() {
    let head = "command = [\"./server\", \"{port}\"]\nready = { tcp = true }\n[service.web.route]\nlisten = 443\n";
    let named = format!("{head}hosts = [\"shop.example.com\"]\n");
    let cases = [
        format!("{head}tls = {{ acme = true }}"),
        format!("{head}tcp = true\ntls = {{ acme = true }}"),
        format!("{head}hosts = [\"*.example.com\", \"10.0.0.1\", \"shop.example.com\"]\ntls = {{ acme = true }}"),
        format!("{named}tls = {{ acme = true, certificate = \"web.pem\", key = \"web.key\" }}"),
        format!("{named}tls = {{ acme = \"yes\" }}"),
        format!("{named}tls = {{ acme = false }}"),
        format!("{named}tls = {{ acme = {{ directory = \"http://ca/dir\", staging = true, email = \"ops\" }} }}"),
        format!("{named}tls = {{ acme = {{ challenge = \"dns-01\", ca_file = \".env\", eab_kid = \"me\" }} }}"),
        format!(
            "{named}tls = {{ acme = {{ server = \"https://ca/dir\", eab_key = \"secret\", ca_file = \"missing.pem\" }} }}"
        ),
    ];
    snapshot!(transcript(&cases.each_ref().map(String::as_str)));
}

/// Something may pass the authority's port on, so it is only a word.
#[test]
fn an_authority_asks_at_ports_of_its_own() {
    let folder = Folder::new();
    let said = |tls: &str| {
        let route = format!("[service.web.route]\nlisten = 8443\nhosts = [\"shop.example.com\"]\ntls = {{ {tls} }}");
        shown(&folder, format!("{HEAD}command = [\"./server\", \"{{port}}\"]\nready = {{ tcp = true }}\n{route}"), None)
    };
    let by = |what: &str| said(what).replace('\n', " ");
    assert!(by("acme = true").contains(
        "warning: cutover.toml:8:16: service.web.route.tls.acme: by tls-alpn-01 the authority asks at port 443"
    ));
    assert!(
        by("acme = true, redirect = 8080")
            .contains("by http-01 the authority asks at port 80, and the proxy answers at port 8080")
    );
    assert_eq!(by("acme = true, redirect = 80"), "");
    assert_eq!(
        by("acme = { directory = \"https://ca/dir\" }"),
        "",
        "who has an authority of his own knows where it asks"
    );
}

/// What clients would mind is said before anything has changed.
#[test]
fn a_certificate_is_looked_at_before_it_is_used() {
    let folder = Folder::new();
    let said = |certificate: &str, key: &str| {
        let route =
            format!("[service.web.route]\nlisten = 443\ntls = {{ certificate = {certificate:?}, key = {key:?} }}");
        shown(&folder, format!("{HEAD}command = [\"./server\", \"{{port}}\"]\nready = {{ tcp = true }}\n{route}"), None)
    };
    let expect = |said: &str, what: &str| assert!(said.contains(what), "{what:?} is not in {said}");
    folder.certificate("expired", &["a"], -1);
    expect(&said("expired.pem", "expired.key"), ".certificate: the certificate expired on 20");
    folder.certificate("soon", &["a"], 20);
    expect(
        &said("soon.pem", "soon.key"),
        "warning: cutover.toml:7:23: service.web.route.tls.certificate: the certificate expires on",
    );
    folder.certificate("other", &["a"], 90);
    expect(
        &said("web.pem", "other.key"),
        "does not belong to the certificate in /app/web.pem (shop.example.com, *.example.org)",
    );
    assert_eq!(said("web.pem", "web.key"), "");
}
