//! Logins for registries, from Docker's own store.
//!
//! `config.json` holds them itself (`auths`), or names a program that does (`credsStore`, `credHelpers`): see the reference of
//! `docker login`. The command line looks them up as the user who calls it and sends them along, because an agent that runs as
//! root would look into root's store.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cutover_core::Failure;
use cutover_core::spec::{Login, Secret};
use serde::Deserialize;

use super::Reference;

/// The name under which the login for Docker Hub is kept.
const HUB: &str = "https://index.docker.io/v1/";

/// The user name that stands for an identity token, as credential helpers answer it.
pub const TOKEN: &str = "<token>";

/// How long a credential helper may take.
const HELPER_WITHIN: Duration = Duration::from_secs(20);

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    auths: BTreeMap<String, Auth>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    identitytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Docker's folder for this process.
pub fn folder() -> Option<PathBuf> {
    let text = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    text("DOCKER_CONFIG").map(PathBuf::from).or_else(|| text("HOME").map(|home| Path::new(&home).join(".docker")))
}

/// The login that is kept for an image's registry in a Docker folder; `None` if there is none.
pub fn of_image(reference: &str, folder: &Path) -> Result<Option<Login>, Failure> {
    let Ok(reference) = Reference::parse(reference) else { return Ok(None) };
    let path = folder.join("config.json");
    let Ok(text) = std::fs::read(&path) else { return Ok(None) };
    let config: Config = serde_json::from_slice(&text).map_err(|_| {
        // The parser's message would quote what is in there.
        Failure::new(format!("{} is not what Docker writes", path.display())).hint("`docker login` writes it anew")
    })?;
    let host = reference.host();
    let key = if host == "docker.io" { HUB } else { host };
    if let Some(helper) = config.cred_helpers.get(host).or(config.creds_store.as_ref()) {
        return ask(helper, key);
    }
    let spelled = [key.to_owned(), format!("https://{key}"), format!("https://{key}/v1/"), format!("http://{key}")];
    Ok(spelled.iter().find_map(|name| config.auths.get(name)).and_then(kept))
}

fn kept(auth: &Auth) -> Option<Login> {
    if let Some(token) = auth.identitytoken.clone().filter(|token| !token.is_empty()) {
        return Some(Login { user: TOKEN.to_owned(), password: Secret::new(token) });
    }
    let text = String::from_utf8(STANDARD.decode(auth.auth.as_deref()?).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Login { user: user.to_owned(), password: Secret::new(password.trim_end_matches('\0')) })
}

/// Asks a credential helper. That it knows nothing of the registry is not an error.
fn ask(helper: &str, key: &str) -> Result<Option<Login>, Failure> {
    let program = format!("docker-credential-{helper}");
    let failed = |error: &std::io::Error| {
        Failure::because(format!("could not ask {program} for the login of {key}"), error)
            .hint("config.json of Docker names it in credsStore or credHelpers: install it, or `docker login` anew")
    };
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(key.as_bytes());
    }
    let begun = Instant::now();
    while child.try_wait().map_err(|error| failed(&error))?.is_none() {
        if begun.elapsed() > HELPER_WITHIN {
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed(&std::io::ErrorKind::TimedOut.into()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().map_err(|error| failed(&error))?;
    let answer = output.status.success().then(|| serde_json::from_slice::<Answer>(&output.stdout).ok()).flatten();
    Ok(answer.map(|answer| Login { user: answer.username, password: Secret::new(answer.secret) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(config: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        folder
    }

    fn login(folder: &tempfile::TempDir, image: &str) -> Option<(String, String)> {
        let login = of_image(image, folder.path()).unwrap()?;
        Some((login.user, login.password.reveal().to_owned()))
    }

    #[test]
    fn a_login_is_found_for_its_registry_only() {
        // ann:secret, and bob:se:cret for Docker Hub.
        let folder = folder(
            r#"{"auths":{"r.example.com":{"auth":"YW5uOnNlY3JldA=="},"https://index.docker.io/v1/":{"auth":"Ym9iOnNlOmNyZXQ="},
               "t.example.com":{"identitytoken":"abc"}}}"#,
        );
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(login(&folder, "r.example.com/web:1"), pair("ann", "secret"));
        assert_eq!(login(&folder, "shop/web"), pair("bob", "se:cret"));
        assert_eq!(login(&folder, "t.example.com/web"), pair(TOKEN, "abc"));
        assert_eq!(login(&folder, "other.example.com/web"), None);
    }

    /// Seen to fail when the parser's message was passed on.
    #[test]
    fn a_broken_store_does_not_show_what_is_in_it() {
        let folder = folder(r#"{"auths":{"r.example.com":{"auth":"hush-hush"#);
        let error = of_image("r.example.com/web", folder.path()).unwrap_err();
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    }

    #[test]
    fn a_helper_that_is_not_there_is_named() {
        let folder = folder(r#"{"credsStore":"no-such-store"}"#);
        let error = of_image("r.example.com/web", folder.path()).unwrap_err();
        assert!(error.summary.contains("docker-credential-no-such-store"), "{error}");
    }
}
