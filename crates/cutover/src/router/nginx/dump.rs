//! The configuration that nginx reads, as `nginx -T` shows it: which file is included where, and what is in them.

use std::path::Path;

use super::syntax::{self, Directive, matches};

/// Includes may lie in each other this deep.
const DEEPEST: usize = 16;

/// What stands before each file.
const HEADING: &[u8] = b"# configuration file ";

/// All files of a configuration, the main one first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dump {
    files: Vec<File>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    path: String,
    content: Vec<Directive>,
}

/// Where something stands: the names of the blocks around it, outermost first.
pub type Context = Vec<String>;

/// A directive, the file it stands in, and the blocks around it.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// The file.
    pub file: &'a str,
    /// The blocks around it.
    pub around: Vec<&'a Directive>,
    /// The directive.
    pub directive: &'a Directive,
}

impl Dump {
    /// Reads what `nginx -T` printed. A file that cannot be read counts as empty: nginx has judged it already.
    pub fn read(printed: &[u8]) -> Self {
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        for line in printed.split_inclusive(|byte| *byte == b'\n') {
            match heading(line) {
                Some(path) => files.push((path, Vec::new())),
                None => files.last_mut().into_iter().for_each(|(_, content)| content.extend_from_slice(line)),
            }
        }
        Self::of(files)
    }

    /// From files by path, the main one first.
    pub fn of(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let file =
            |(path, content): (String, Vec<u8>)| File { path, content: syntax::parse(&content).unwrap_or_default() };
        Self { files: files.into_iter().map(file).collect() }
    }

    /// The files, in the order in which nginx met them.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.path.as_str())
    }

    /// Whether any file is included by this path.
    pub fn has(&self, path: &str) -> bool {
        self.paths().any(|found| found == path)
    }

    /// Every directive, in nginx's order, with includes resolved.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&Found<'a>)) {
        if let Some(main) = self.files.first() {
            self.walk_file(main, &[], 0, visit);
        }
    }

    fn walk_file<'a>(
        &'a self,
        file: &'a File,
        around: &[&'a Directive],
        depth: usize,
        visit: &mut dyn FnMut(&Found<'a>),
    ) {
        self.walk_block(file, &file.content, around, depth, visit);
    }

    fn walk_block<'a>(
        &'a self,
        file: &'a File,
        directives: &'a [Directive],
        around: &[&'a Directive],
        depth: usize,
        visit: &mut dyn FnMut(&Found<'a>),
    ) {
        for directive in directives {
            visit(&Found { file: &file.path, around: around.to_vec(), directive });
            let mut inside = around.to_vec();
            inside.push(directive);
            self.walk_block(file, directive.inner(), &inside, depth, visit);
            if directive.name() == "include" && depth < DEEPEST {
                let pattern = self.absolute(directive.argument().unwrap_or_default());
                for included in self.files.iter().filter(|file| matches(&pattern, &file.path)) {
                    self.walk_file(included, around, depth + 1, visit);
                }
            }
        }
    }

    /// nginx takes paths from the folder of its main configuration.
    fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') {
            return path.to_owned();
        }
        let folder = self.files.first().and_then(|main| Path::new(&main.path).parent());
        folder.map_or_else(|| path.to_owned(), |folder| folder.join(path).display().to_string())
    }

    /// The contexts in which a file is included.
    pub fn contexts_of(&self, file: &str) -> Vec<Context> {
        let mut contexts: Vec<Context> = Vec::new();
        self.walk(&mut |found| {
            let includes = found.directive.name() == "include"
                && matches(&self.absolute(found.directive.argument().unwrap_or_default()), file);
            if includes {
                let context: Context = found.around.iter().map(|block| block.name().to_owned()).collect();
                if !contexts.contains(&context) {
                    contexts.push(context);
                }
            }
        });
        contexts
    }

    /// Whether something is passed to this upstream: `proxy_pass http://NAME…`, `fastcgi_pass NAME`, and their kin.
    pub fn passes_to(&self, upstream: &str) -> bool {
        let mut passes = false;
        self.walk(&mut |found| {
            let name = found.directive.name();
            // What is in a variable cannot be told.
            let to = |target: &str| target.contains('$') || passed_host(target) == upstream;
            passes |= name.ends_with("_pass") && found.directive.argument().is_some_and(to);
            passes |= name == "set" && found.directive.arguments().nth(1).is_some_and(|v| passed_host(v) == upstream);
        });
        passes
    }

    /// Whether a variable is used: in an argument of anything but the `set` that makes it.
    pub fn uses_variable(&self, name: &str) -> bool {
        let (plain, braced) = (format!("${name}"), format!("${{{name}}}"));
        let mut used = false;
        self.walk(&mut |found| {
            let sets = found.directive.name() == "set";
            let mut arguments = found.directive.arguments().skip(usize::from(sets));
            used |= arguments.any(|argument| argument.contains(&braced) || names(argument, &plain));
        });
        used
    }

    /// The file of nginx's process number, if the configuration says it.
    pub fn pid_file(&self) -> Option<String> {
        let mut path = None;
        self.walk(&mut |found| {
            if found.around.is_empty() && found.directive.name() == "pid" {
                path = found.directive.argument().map(str::to_owned);
            }
        });
        path
    }
}

/// The host that a `…_pass` names: `web` in `http://web/app`, `grpc://web` and `web`.
pub fn passed_host(target: &str) -> &str {
    let rest = target.split_once("://").map_or(target, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// Whether a variable stands in a text, and not only one whose name begins with its name.
fn names(text: &str, variable: &str) -> bool {
    text.match_indices(variable).any(|(at, _)| {
        let next = text[at + variable.len()..].chars().next();
        !next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

fn heading(line: &[u8]) -> Option<String> {
    let rest = line.strip_prefix(HEADING)?;
    let path = rest.strip_suffix(b":\n")?;
    path.starts_with(b"/").then(|| String::from_utf8_lossy(path).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "# configuration file /etc/nginx/nginx.conf:\npid /run/n.pid;\nhttp {\n include conf.d/*.conf;\n \
        server { include /etc/nginx/web.inc; location / { proxy_pass $service_url; } }\n}\nstream { include tcp.d/*; }\n\
        \n# configuration file /etc/nginx/conf.d/up.conf:\nupstream web { server 127.0.0.1:1; }\nserver { location / { \
        proxy_pass http://web/; } }\n\n# configuration file /etc/nginx/web.inc:\nset $service_url http://x:1;\n";

    #[test]
    fn files_are_found_in_their_contexts() {
        let dump = Dump::read(PRINTED.as_bytes());
        assert_eq!(dump.contexts_of("/etc/nginx/conf.d/up.conf"), [vec!["http"]]);
        assert_eq!(dump.contexts_of("/etc/nginx/web.inc"), [vec!["http", "server"]]);
        assert_eq!(dump.contexts_of("/etc/nginx/tcp.d/new"), [vec!["stream"]], "also one that is not there yet");
        assert!(dump.contexts_of("/etc/nginx/other.inc").is_empty());
        assert_eq!(dump.pid_file().unwrap(), "/run/n.pid");
    }

    #[test]
    fn uses_of_upstreams_and_variables_are_found() {
        let dump = Dump::read(PRINTED.replace("$service_url;", "http://x$service_url/;").as_bytes());
        assert!(dump.uses_variable("service_url") && !dump.uses_variable("service") && !dump.uses_variable("x"));
        let dump = Dump::read(PRINTED.replace("$service_url;", "http://y;").as_bytes());
        assert!(dump.passes_to("web") && !dump.passes_to("we"));
        assert!(!dump.uses_variable("service_url"), "setting it is no use of it");
    }

    #[test]
    fn a_file_that_includes_itself_ends() {
        let printed = "# configuration file /n:\ninclude /n; include /n;\n";
        // Two includes in each of 16 levels would be a long way: each level is walked, but not without end.
        Dump::read(printed.replace("include /n; include /n;", "include /n;").as_bytes()).contexts_of("/n");
    }
}
