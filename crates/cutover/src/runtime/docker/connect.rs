//! Where the engine is, and the connection to it.
//!
//! As Docker's own command line finds it: `DOCKER_HOST`, else the context that is in use, else the socket of this host.

use std::path::{Path, PathBuf};

use bollard::{API_DEFAULT_VERSION, Docker};
use cutover_core::Failure;
use serde::Deserialize;

/// How long one request to the engine may take, in seconds. Those that wait, wait longer by asking again.
const PATIENCE: u64 = 120;

/// The socket of this host.
const SOCKET: &str = "unix:///var/run/docker.sock";

/// What names the engine in the surroundings of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `DOCKER_HOST`.
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub context: Option<String>,
    /// Docker's folder: `DOCKER_CONFIG`, or `.docker` in the home directory.
    pub folder: Option<PathBuf>,
    /// Whether `DOCKER_TLS_VERIFY` is set.
    pub tls: bool,
    /// Where `ca.pem`, `cert.pem` and `key.pem` are: `DOCKER_CERT_PATH`, or Docker's folder.
    pub certificates: Option<PathBuf>,
}

/// An engine's address, and the certificates if it wants some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `unix://…`, `tcp://…` or `ssh://…`.
    pub host: String,
    /// The folder of the certificates, for TLS.
    pub certificates: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Config {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct Context {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Endpoint,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "Host")]
    host: String,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = text("HOME").map(|home| Path::new(&home).join(".docker"));
        let folder = text("DOCKER_CONFIG").map(PathBuf::from).or(home);
        Self {
            host: text("DOCKER_HOST"),
            context: text("DOCKER_CONTEXT"),
            tls: text("DOCKER_TLS_VERIFY").is_some(),
            certificates: text("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| folder.clone()),
            folder,
        }
    }

    /// The engine that they name.
    pub fn address(&self) -> Result<Address, Failure> {
        let certificates = self.certificates.clone().filter(|_| self.tls);
        if let Some(host) = &self.host {
            return Ok(Address { host: host.clone(), certificates });
        }
        let local = || Address { host: SOCKET.to_owned(), certificates: None };
        let Some(folder) = &self.folder else { return Ok(local()) };
        let config = std::fs::read(folder.join("config.json")).unwrap_or_default();
        let config: Config = serde_json::from_slice(&config).unwrap_or_default();
        match self.context.clone().or(config.current_context).filter(|name| name != "default") {
            None => Ok(local()),
            Some(name) => context(folder, &name),
        }
    }
}

/// The endpoint of a named context. Its folder is named after a digest of the name, so all are looked through.
fn context(folder: &Path, name: &str) -> Result<Address, Failure> {
    let contexts = folder.join("contexts/meta").read_dir().into_iter().flatten().flatten();
    let mut found = contexts.filter_map(|entry| {
        let meta: Context = serde_json::from_slice(&std::fs::read(entry.path().join("meta.json")).ok()?).ok()?;
        let tls = folder.join("contexts/tls").join(entry.file_name()).join("docker");
        (meta.name == name).then_some((meta.endpoints.docker.host, tls))
    });
    let (host, tls) = found.next().ok_or_else(|| {
        Failure::new(format!("there is no Docker context {name:?}"))
            .hint("`docker context ls` lists them; unset DOCKER_CONTEXT for the engine of this host")
    })?;
    Ok(Address { certificates: tls.exists().then_some(tls), host })
}

/// Connects, and agrees on a version of the engine's API. An engine that does not answer is an error that says what to do.
pub async fn connect() -> Result<Docker, Failure> {
    let address = Surroundings::of_this_process().address()?;
    let docker = open(&address).map_err(|error| unreachable(&address, &error))?;
    docker.negotiate_version().await.map_err(|error| unreachable(&address, &error))
}

fn open(address: &Address) -> Result<Docker, bollard::errors::Error> {
    let (host, version) = (address.host.as_str(), API_DEFAULT_VERSION);
    match (host.split_once("://"), &address.certificates) {
        (Some(("ssh", _)), _) => Docker::connect_with_ssh(host, PATIENCE, version, None),
        (Some(("tcp" | "https", _)), Some(folder)) => {
            let file = |name| folder.join(name);
            Docker::connect_with_ssl(host, &file("key.pem"), &file("cert.pem"), &file("ca.pem"), PATIENCE, version)
        }
        (Some(("tcp" | "http", _)), None) => Docker::connect_with_http(host, PATIENCE, version),
        _ => Docker::connect_with_unix(host, PATIENCE, version),
    }
}

fn unreachable(address: &Address, error: &bollard::errors::Error) -> Failure {
    // What lies in between names only our own library.
    let sources = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let causes = sources.last().map(|root| root.to_string()).into_iter().collect();
    let summary = format!("the Docker engine at {} does not answer", address.host);
    Failure { causes, ..Failure::new(summary) }.hint(way_out(address))
}

/// What was tried of an engine that was connected to before, and does not answer any more.
pub(super) fn lost(what: String, error: &bollard::errors::Error) -> Failure {
    match Surroundings::of_this_process().address() {
        Ok(address) => {
            let Failure { summary, causes, hint, .. } = unreachable(&address, error);
            Failure { causes: std::iter::once(summary).chain(causes).collect(), hint, ..Failure::new(what) }
        }
        Err(failure) => Failure { summary: what, causes: vec![failure.summary], ..failure },
    }
}

/// What to do about it.
fn way_out(address: &Address) -> String {
    let Some(socket) = address.host.strip_prefix("unix://").map(Path::new) else {
        return format!("`DOCKER_HOST={} docker version` may say why", address.host);
    };
    let asked = std::os::unix::net::UnixStream::connect(socket);
    if asked.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) {
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).ok().flatten();
        let user = user.map_or_else(|| "$USER".to_owned(), |user| user.name);
        return format!(
            "no permission on {}: `sudo usermod -aG docker {user}`, then log in again and `cutover agent stop`",
            socket.display()
        );
    }
    match (socket.exists(), address.host == SOCKET) {
        (true, _) => "`systemctl status docker` may say why".to_owned(),
        (false, true) => {
            "is Docker installed? `systemctl start docker` starts it; DOCKER_HOST names another one".to_owned()
        }
        (false, false) => format!(
            "there is no {}: if DOCKER_HOST names it, unset it for the engine of this host, and `cutover agent stop`; \
             else start the engine that is to be there",
            socket.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(config: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let meta = folder.path().join("contexts/meta/abc");
        std::fs::create_dir_all(&meta).unwrap();
        let context =
            r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"ssh://deploy@far","SkipTLSVerify":false}}}"#;
        std::fs::write(meta.join("meta.json"), context).unwrap();
        folder
    }

    /// Seen to fail when the context came before `DOCKER_HOST`.
    #[test]
    fn the_engine_is_found_as_docker_finds_it() {
        let far = folder(r#"{"currentContext":"far","auths":{}}"#);
        let near = folder("{}");
        let on = |folder: &tempfile::TempDir, host: Option<&str>, context: Option<&str>| Surroundings {
            host: host.map(str::to_owned),
            context: context.map(str::to_owned),
            folder: Some(folder.path().to_owned()),
            ..Surroundings::default()
        };
        for (surroundings, host) in [
            (Surroundings::default(), SOCKET),
            (on(&near, None, None), SOCKET),
            (on(&near, None, Some("far")), "ssh://deploy@far"),
            (on(&far, None, None), "ssh://deploy@far"),
            (on(&far, None, Some("default")), SOCKET),
            (on(&far, Some("tcp://there:2375"), Some("far")), "tcp://there:2375"),
        ] {
            assert_eq!(surroundings.address().unwrap().host, host, "{surroundings:?}");
        }
        let missing = on(&near, None, Some("nowhere")).address().unwrap_err();
        assert!(missing.summary.contains("nowhere") && missing.hint.is_some(), "{missing}");
    }

    #[test]
    fn certificates_are_used_when_tls_is_asked_for() {
        let with = |tls| Surroundings {
            host: Some("tcp://there:2376".into()),
            tls,
            certificates: Some("/certs".into()),
            ..Surroundings::default()
        };
        assert_eq!(with(true).address().unwrap().certificates, Some("/certs".into()));
        assert_eq!(with(false).address().unwrap().certificates, None);
    }
}
