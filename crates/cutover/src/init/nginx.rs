//! Reads an nginx configuration that is there already, and finds the place in it that says who serves.
//!
//! Only files are read, as nginx would: from the main one, by its includes. What is found is proposed, never changed.

use std::path::{Path, PathBuf};

use crate::config::words::toml_text;
use crate::router::nginx::dump::{Dump, Found, passed_host};
use crate::router::nginx::syntax::{self, matches};

/// Where configurations of this machine, or of a project, lie.
const PLACES: [&str; 3] = ["nginx/nginx.conf", "nginx.conf", "/etc/nginx/nginx.conf"];

/// Configurations have some dozens of files; a loop of includes must end.
const MOST_FILES: usize = 500;

/// One place that passes requests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// The file and line of the directive: `/etc/nginx/sites-enabled/shop:12`.
    pub at: String,
    /// The directive: `proxy_pass http://app`.
    pub says: String,
    /// Whether it speaks FastCGI, gRPC or another protocol than HTTP.
    pub tcp: bool,
    /// Where clients reach it, if nginx says so for plain HTTP.
    pub url: Option<String>,
    /// What cutover could write.
    pub way: Way,
}

/// What cutover could write so that nginx passes to whoever serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// A file that holds nothing but this upstream.
    Upstream {
        /// The upstream.
        name: String,
        /// The file.
        file: PathBuf,
    },
    /// An upstream in a file with other things, some of whose servers are `down`.
    Down {
        /// The upstream.
        name: String,
        /// The file.
        file: PathBuf,
    },
    /// An upstream that has to be moved to a file of its own first.
    Move {
        /// The upstream.
        name: String,
        /// The file and line where it stands.
        from: String,
        /// The file that it could be moved to.
        file: PathBuf,
    },
    /// A file that holds nothing but this `set`.
    Variable {
        /// The variable, without `$`.
        name: String,
        /// Its value, with `{address}` in place of the address.
        value: String,
        /// The file.
        file: PathBuf,
    },
    /// An address is written out: nginx can only be pointed at cutover's proxy.
    Once,
}

/// What passes requests on in the configuration that is found for a folder: its own, or the machine's.
pub fn look(folder: &Path) -> Vec<Pass> {
    PLACES
        .iter()
        .map(|place| folder.join(place))
        .find(|path| path.is_file())
        .map(|path| read(&path))
        .unwrap_or_default()
}

/// What passes requests on in the configuration that begins with this file.
pub fn read(main: &Path) -> Vec<Pass> {
    let dump = load(main);
    let mut passes: Vec<Pass> = Vec::new();
    dump.walk(&mut |found| {
        let name = found.directive.name();
        let Some(target) = found.directive.argument().filter(|_| name.ends_with("_pass")) else { return };
        // A socket in the file system, or a path for mail, is nobody that we could start.
        if target.starts_with("unix:") || target.contains("://unix:") {
            return;
        }
        let pass = Pass {
            at: format!("{}:{}", found.file, found.directive.line()),
            says: format!("{name} {target}"),
            tcp: name != "proxy_pass" || !target.contains("://"),
            url: url(found),
            way: way(&dump, main, target),
        };
        if passes.iter().all(|known| known.way != pass.way || pass.way == Way::Once) {
            passes.push(pass);
        }
    });
    passes
}

/// All files of a configuration, the main one first.
fn load(main: &Path) -> Dump {
    let base = main.parent().unwrap_or(Path::new("/"));
    let (mut files, mut waiting) = (Vec::new(), vec![main.to_owned()]);
    while let Some(path) = waiting.pop() {
        let name = path.display().to_string();
        let known = files.iter().any(|(known, _): &(String, Vec<u8>)| *known == name);
        let Some(content) = std::fs::read(&path).ok().filter(|_| !known && files.len() < MOST_FILES) else { continue };
        for pattern in includes(&syntax::parse(&content).unwrap_or_default()) {
            waiting.extend(expand(&base.join(pattern)));
        }
        files.push((name, content));
    }
    Dump::of(files)
}

fn includes(directives: &[syntax::Directive]) -> Vec<String> {
    let own = directives.iter().filter(|d| d.name() == "include").filter_map(|d| d.argument().map(str::to_owned));
    own.chain(directives.iter().flat_map(|d| includes(d.inner()))).collect()
}

/// The files that a pattern stands for. One with a pattern in the name of a folder is not followed.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let text = pattern.display().to_string();
    if !text.contains(['*', '?', '[']) {
        return vec![pattern.to_owned()];
    }
    let entries = pattern.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| matches(&text, &path.display().to_string()));
    paths.sort();
    paths
}

fn way(dump: &Dump, main: &Path, target: &str) -> Way {
    if let Some(variable) = target.split_once('$').map(|(_, rest)| rest.trim_matches(['{', '}'])) {
        return by_variable(dump, variable).unwrap_or(Way::Once);
    }
    by_upstream(dump, main, passed_host(target)).unwrap_or(Way::Once)
}

fn by_variable(dump: &Dump, variable: &str) -> Option<Way> {
    let mut way = None;
    dump.walk(&mut |found| {
        let mut arguments = found.directive.arguments();
        let sets = found.directive.name() == "set" && arguments.next() == Some(&format!("${variable}"));
        if let Some(value) = arguments.next().filter(|_| sets && holds_only(found.file, "set")) {
            let host = passed_host(value);
            let (name, value) = (variable.to_owned(), value.replacen(host, "{address}", 1));
            way = Some(Way::Variable { name, value, file: found.file.into() });
        }
    });
    way
}

fn by_upstream(dump: &Dump, main: &Path, name: &str) -> Option<Way> {
    let mut way = None;
    dump.walk(&mut |found| {
        let block = found.directive;
        if block.name() != "upstream" || block.argument() != Some(name) {
            return;
        }
        let is_down = |d: &syntax::Directive| d.name() == "server" && d.arguments().any(|argument| argument == "down");
        let (name, file) = (name.to_owned(), PathBuf::from(found.file));
        way = Some(if holds_only(found.file, "upstream") {
            Way::Upstream { name, file }
        } else if block.inner().iter().any(is_down) {
            Way::Down { name, file }
        } else {
            let folder = main.parent().unwrap_or(Path::new("/etc/nginx")).join("conf.d");
            let from = format!("{}:{}", found.file, block.line());
            Way::Move { file: folder.join(format!("{name}.conf")), name, from }
        });
    });
    way
}

/// Whether a file holds one directive, of this name, and nothing else.
fn holds_only(file: &str, name: &str) -> bool {
    let directives = std::fs::read(file).ok().and_then(|text| syntax::parse(&text).ok()).unwrap_or_default();
    matches!(&directives[..], [one] if one.name() == name)
}

/// The URL of the server around it, if that is plain HTTP and has a name.
fn url(found: &Found) -> Option<String> {
    let server = found.around.iter().find(|block| block.name() == "server")?;
    let of = |name: &str| server.inner().iter().filter(move |d| d.name() == name).collect::<Vec<_>>();
    if of("listen").iter().any(|listen| listen.arguments().any(|argument| argument == "ssl")) {
        return None;
    }
    let names = of("server_name");
    let name =
        names.iter().flat_map(|d| d.arguments()).find(|name| name.contains('.') && !name.contains(['*', '~']))?;
    let port = of("listen").first().and_then(|d| d.argument()).map_or("80", |at| at.rsplit(':').next().unwrap_or(at));
    let port = if port == "80" { String::new() } else { format!(":{port}") };
    Some(format!("http://{name}{port}/"))
}

impl Pass {
    /// The route by which cutover writes it, as TOML; `None` if it cannot.
    pub(super) fn route(&self, service: &str) -> Option<String> {
        let (file, lines) = match &self.way {
            Way::Upstream { name, file } => (file, format!("upstream = {}\n", toml_text(name))),
            Way::Down { name, file } => (file, format!("down = {}\n", toml_text(name))),
            Way::Move { name, from, file } => {
                let note = format!("# Move the upstream from {from} to that file first, and include it.\n");
                (file, format!("upstream = {}\n{note}", toml_text(name)))
            }
            Way::Variable { name, value, file } => {
                (file, format!("variable = {}\nvalue = {}\n", toml_text(name), toml_text(value)))
            }
            Way::Once => return None,
        };
        let url = self.url.as_ref().map(|url| format!("url = {}\n", toml_text(url))).unwrap_or_default();
        let tcp = if self.tcp { format!("[service.{service}.route]\ntcp = true\n\n") } else { String::new() };
        let file = toml_text(&file.display().to_string());
        Some(format!("{tcp}[service.{service}.route.nginx]\nfile = {file}\n{lines}{url}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nginx(files: &[(&str, &str)]) -> (tempfile::TempDir, Vec<Pass>) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let passes = read(&dir.path().join("nginx.conf"));
        (dir, passes)
    }

    #[test]
    fn an_upstream_in_a_file_of_its_own_is_written_there() {
        let (dir, passes) = nginx(&[
            ("nginx.conf", "http { include conf.d/*.conf; }"),
            ("conf.d/app.conf", "upstream app { server 127.0.0.1:8080; }"),
            (
                "conf.d/site.conf",
                "server { listen 8080; server_name _ shop.example.com;\n location / { proxy_pass http://app/; } }",
            ),
        ]);
        let [pass] = &passes[..] else { panic!("{passes:?}") };
        let file = dir.path().join("conf.d/app.conf");
        assert_eq!(pass.way, Way::Upstream { name: "app".to_owned(), file: file.clone() });
        assert!(pass.at.ends_with("conf.d/site.conf:2") && !pass.tcp);
        let route = pass.route("web").unwrap();
        let wanted = format!(
            "[service.web.route.nginx]\nfile = {file:?}\nupstream = \"app\"\nurl = \"http://shop.example.com:8080/\"\n"
        );
        assert_eq!(route, wanted);
    }

    #[test]
    fn other_arrangements_are_recognised() {
        let way = |files: &[(&str, &str)]| {
            let (_dir, passes) = nginx(files);
            assert_eq!(passes.len(), 1, "{passes:?}");
            (passes[0].way.clone(), passes[0].tcp)
        };
        let down = "http { upstream app { server a:1; server b:1 down; } server { location / { fastcgi_pass app; } } }";
        assert!(matches!(way(&[("nginx.conf", down)]), (Way::Down { name, .. }, true) if name == "app"));
        let inline = "http { upstream app { server a:1; } server { location / { proxy_pass http://app; } } }";
        assert!(matches!(way(&[("nginx.conf", inline)]), (Way::Move { name, .. }, false) if name == "app"));
        let address = "http { server { location / { proxy_pass http://127.0.0.1:8080; } } }";
        assert_eq!(way(&[("nginx.conf", address)]), (Way::Once, false));
        let variable = "http { server { include url.inc; location / { proxy_pass $service_url; } } }";
        let (found, _) = way(&[("nginx.conf", variable), ("url.inc", "set $service_url http://127.0.0.1:8081;\n")]);
        assert!(
            matches!(found, Way::Variable { name, value, .. } if name == "service_url" && value == "http://{address}")
        );
        assert!(nginx(&[("nginx.conf", "include nginx.conf; http { server { return 404; } }")]).1.is_empty());
        assert!(nginx(&[("nginx.conf", "http {")]).1.is_empty(), "a broken one proposes nothing");
    }
}
