use std::collections::BTreeMap;
use std::slice;

use proptest::prelude::*;

use super::*;

fn service() -> ServiceName {
    ServiceName::new("web").unwrap()
}

fn server(instance: &str, address: &str) -> Server {
    Server { instance: instance.parse().unwrap(), address: address.parse().unwrap(), weight: 1 }
}

fn wanted<'a>(service: &'a ServiceName, servers: &[Server], others: &[Server]) -> Wanted<'a> {
    let token = Some("5ec4e7".to_owned());
    Wanted { service, servers: servers.to_vec(), others: others.to_vec(), token }
}

fn text(shape: &NginxShape, wanted: &Wanted, now: Option<&str>) -> String {
    let made = render(shape, wanted, now.map(str::as_bytes), None);
    made.map_or_else(|error| error.to_string(), |bytes| String::from_utf8(bytes).unwrap())
}

fn upstream(directives: &[&str], parameters: Option<&str>) -> NginxShape {
    NginxShape::Upstream {
        name: "shop".to_owned(),
        directives: directives.iter().map(|d| (*d).to_owned()).collect(),
        server: parameters.map(str::to_owned),
    }
}

#[test]
fn an_upstream_is_a_whole_block() {
    let service = service();
    let two = [server("web.r2.i3", "10.0.0.3:8080"), server("web.r2.i4", "[::1]:8080")];
    let shape = upstream(&["keepalive 16;", "least_conn"], Some("max_fails=0"));
    insta::assert_snapshot!(text(&shape, &wanted(&service, &two, &[]), None), @r#"
    # Written by cutover for the service web; changes by hand are lost at the next deployment.
    # serving: web.r2.i3 10.0.0.3:8080, web.r2.i4 [::1]:8080
    upstream shop {
        keepalive 16;
        least_conn;
        server 10.0.0.3:8080 max_fails=0; # web.r2.i3
        server [::1]:8080 max_fails=0; # web.r2.i4
    }
    # Tells cutover which state is in force, when it asks by this secret; empty for everybody else.
    map $http_cutover_token $cutover_web_5ec4e7 {
        5ec4e7 "web.r2.i3 10.0.0.3:8080, web.r2.i4 [::1]:8080";
    }
    add_header cutover-serving $cutover_web_5ec4e7 always;
    "#);
}

#[test]
fn weights_are_written_when_they_differ_from_one() {
    let service = service();
    let mut two = [server("web.r1.i1", "10.0.0.3:80"), server("web.r2.i2", "10.0.0.4:80")];
    two[0].weight = 95;
    two[1].weight = 5;
    let text = text(&upstream(&[], None), &wanted(&service, &two, &[]), None);
    assert!(text.contains("server 10.0.0.3:80 weight=95; #") && text.contains("server 10.0.0.4:80 weight=5; #"));
    // Another share of the same instances is another state, and nginx has to acknowledge it.
    assert!(text.contains("\"web.r1.i1 10.0.0.3:80 weight 95, web.r2.i2 10.0.0.4:80 weight 5\""), "{text}");
}

#[test]
fn an_upstream_without_instances_is_still_good_configuration() {
    let service = service();
    let nobody = Wanted { token: None, ..wanted(&service, &[], &[]) };
    insta::assert_snapshot!(text(&upstream(&[], None), &nobody, None), @r"
    # Written by cutover for the service web; changes by hand are lost at the next deployment.
    # serving: web nobody
    upstream shop {
        server 127.0.0.1:1 down; # nobody serves
    }
    ");
}

#[test]
fn a_variable_holds_one_address() {
    let service = service();
    let shape = NginxShape::Variable { name: "service_url".to_owned(), value: "http://{address}".to_owned() };
    let one = [server("web.r1.i1", "172.20.0.2:8080")];
    insta::assert_snapshot!(text(&shape, &wanted(&service, &one, &[]), None), @r#"
    # Written by cutover for the service web; changes by hand are lost at the next deployment.
    # serving: web.r1.i1 172.20.0.2:8080
    set $service_url http://172.20.0.2:8080;
    # Tells cutover which state is in force, when it asks by this secret.
    if ($http_cutover_token = 5ec4e7) { return 200 "cutover-serving: web.r1.i1 172.20.0.2:8080\n"; }
    "#);
    let nobody = text(&shape, &wanted(&service, &[], &[]), None);
    assert!(nobody.contains("set $service_url http://127.0.0.1:1;"), "{nobody}");
    let two = [one[0].clone(), server("web.r1.i2", "172.20.0.3:8080")];
    let refused = text(&shape, &wanted(&service, &two, &[]), None);
    assert_eq!(refused, "a variable can lead to one instance, and 2 are to serve");
}

const THEIRS: &str = "# ours, by hand: \u{fc}\nupstream api { server 127.0.0.1:8080; }\nupstream shop {\n\tleast_conn;\n\
    \tserver 127.0.0.1:8080  weight=2; # blue\n\tserver localhost:8081 down max_fails=3;\n\tserver 10.9.9.9:80 backup;\n\
    }\r\nserver { listen 80; }";

#[test]
fn down_moves_between_the_lines_and_nothing_else_changes() {
    let service = service();
    let shape = NginxShape::Down { upstream: "shop".to_owned() };
    let (blue, green) = (server("web.r1.i1", "127.0.0.1:8080"), server("web.r2.i2", "127.0.0.1:8081"));
    let switched = text(&shape, &wanted(&service, slice::from_ref(&green), slice::from_ref(&blue)), Some(THEIRS));
    let expected = THEIRS
        .replace("weight=2; # blue", "weight=2 down; # blue")
        .replace("localhost:8081 down max_fails", "localhost:8081 max_fails");
    assert_eq!(switched, expected);
    let again = text(&shape, &wanted(&service, slice::from_ref(&green), slice::from_ref(&blue)), Some(&switched));
    assert_eq!(again, switched, "a second time changes nothing");
    let back = text(&shape, &wanted(&service, slice::from_ref(&blue), slice::from_ref(&green)), Some(&switched));
    assert_eq!(back.replace(" down;", ";").replace(" down", ""), switched.replace(" down;", ";").replace(" down", ""));
    assert!(back.contains("weight=2; # blue") && back.contains("max_fails=3 down;"));
    let nobody = text(&shape, &wanted(&service, &[], &[blue, green]), Some(THEIRS));
    assert!(nobody.contains("weight=2 down;") && nobody.contains("8081 down max_fails"), "{nobody}");
}

#[test]
fn the_place_of_an_instance_that_does_not_run_yet_is_down() {
    let service = service();
    let shape = NginxShape::Down { upstream: "shop".to_owned() };
    let blue = server("web.r1.i1", "172.20.0.2:8080");
    let file = "upstream shop { server 172.20.0.2:8080; server 172.20.0.3:8080; server 172.20.0.2:9999 backup; \
        server other:80; server 10.9.9.9:80; }";
    let made = text(&shape, &wanted(&service, &[blue], &[]), Some(file));
    assert_eq!(made, file.replace("172.20.0.3:8080;", "172.20.0.3:8080 down;"));
}

#[test]
fn what_down_cannot_understand_is_refused_with_its_line() {
    let service = service();
    let shape = NginxShape::Down { upstream: "shop".to_owned() };
    let blue = server("web.r1.i1", "127.0.0.1:8080");
    let wanted = wanted(&service, &[blue], &[]);
    for (file, why) in [
        (None, "the file is not there; it has to hold the upstream"),
        (Some("upstream other {}"), "there is no block `upstream shop { … }` in the file"),
        (Some("upstream shop {}\nupstream shop {}"), "the upstream shop stands in the file twice, in lines 1 and 2"),
        (
            Some("upstream shop {\n server 127.0.0.1:8080"),
            "the file cannot be read: line 2: a \";\" or \"}\" is missing",
        ),
        (
            Some("\nupstream shop {\n include servers.inc;\n}"),
            "line 3: the upstream shop includes another file; its servers must stand in this one",
        ),
        (
            Some("upstream shop {\n server 127.0.0.1:8082;\n server app:8080; server unix:/x; }"),
            "line 1: the upstream shop has no line `server 127.0.0.1:8080;`, where web.r1.i1 is to get its traffic",
        ),
    ] {
        assert_eq!(text(&shape, &wanted, file), why);
    }
}

#[test]
fn a_site_is_chosen_by_address_then_port() {
    let service = service();
    let choices = [("8080", "/b.conf"), ("8081", "/g.conf"), ("10.0.0.1:8081", "/x.conf")];
    let choices: BTreeMap<_, _> = choices.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
    let shape = NginxShape::Site { choices };
    let chosen = |address: &str| {
        let wanted = wanted(&service, &[server("web.r1.i1", address)], &[]);
        choice(&shape, &wanted).map_or_else(|error| error.to_string(), |path| path.unwrap().display().to_string())
    };
    assert_eq!(chosen("127.0.0.1:8081"), "/g.conf");
    assert_eq!(chosen("10.0.0.1:8081"), "/x.conf");
    assert_eq!(
        chosen("10.0.0.1:9"),
        "no site file is given for 10.0.0.1:9; there are some for 10.0.0.1:8081, 8080, 8081"
    );
    assert_eq!(choice(&shape, &wanted(&service, &[], &[])), Ok(None));
    let kept = render(&shape, &wanted(&service, &[], &[]), Some(b"as it is"), None).unwrap();
    assert_eq!(kept, b"as it is", "with nobody to serve nothing is chosen");
}

proptest! {
    /// Whatever is in the user's file, only the word `down` comes and goes.
    #[test]
    fn down_touches_nothing_else(
        blanks in "[ \t\n]{1,3}", before in "[ -~]{0,20}", flags in proptest::collection::vec("down|backup|weight=2", 0..3),
        serves in any::<bool>()) {
        let line = format!("server{blanks}127.0.0.1:8080{}{blanks};", flags.iter().map(|f| format!("{blanks}{f}"))
            .collect::<String>());
        let file = format!("# {before}\nupstream shop {{{line} {line} }} # {before}");
        let service = service();
        let one = [server("web.r1.i1", "127.0.0.1:8080")];
        let wanted = if serves { wanted(&service, &one, &[]) } else { wanted(&service, &[], &one) };
        let shape = NginxShape::Down { upstream: "shop".to_owned() };
        let made = render(&shape, &wanted, Some(file.as_bytes()), None).unwrap();
        let bare = |text: &str| text.replace("down", "").split_whitespace().map(str::to_owned).collect::<String>();
        let made = String::from_utf8(made).unwrap();
        prop_assert_eq!(bare(&made), bare(&file));
        let block = super::super::syntax::parse(made.as_bytes()).unwrap();
        for line in block[0].inner() {
            prop_assert_eq!(line.arguments().any(|a| a == "down"), !serves);
        }
    }
}
