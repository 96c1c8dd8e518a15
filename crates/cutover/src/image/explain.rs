//! What registries and the engine say about images, in words that help.

use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::models::ImageInspect;
use cutover_core::Failure;

use super::Reference;

/// The engine's status; `None` if it did not answer.
pub fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// The words of an error.
fn said(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } => error.trim().to_owned(),
        error => error.to_string(),
    }
}

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    NotFound,
    Denied,
    RateLimit,
    PlainHttp,
    Unreachable,
    DiskFull,
    Platform,
    Other,
}

/// Registries and engines of many versions say it in many ways; this looks for the words that they share.
fn trouble(text: &str) -> Trouble {
    let text = text.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if any(&["no space left"]) {
        Trouble::DiskFull
    } else if any(&["toomanyrequests", "too many requests", "rate limit"]) {
        Trouble::RateLimit
    } else if any(&["server gave http response to https client"]) {
        Trouble::PlainHttp
    } else if any(&["no matching manifest", "does not match the specified platform"]) {
        Trouble::Platform
    } else if any(&["unauthorized", "denied", "no basic auth credentials", "authentication required", "forbidden"]) {
        Trouble::Denied
    } else if any(&["manifest unknown", "not found", "name unknown", "does not exist"]) {
        Trouble::NotFound
    } else if any(&[
        "connection refused",
        "no such host",
        "timeout",
        "deadline exceeded",
        "unreachable",
        "tls",
        "x509",
        "eof",
    ]) {
        Trouble::Unreachable
    } else {
        Trouble::Other
    }
}

/// Why a registry did not give an image.
pub fn registry(reference: &Reference, login: Option<&DockerCredentials>, error: &Error) -> Failure {
    told(reference, login, &said(error))
}

/// The same for words that came in the middle of a pull.
pub fn told(reference: &Reference, login: Option<&DockerCredentials>, text: &str) -> Failure {
    let host = reference.host();
    let (what, hint) = match trouble(text) {
        Trouble::NotFound => (
            format!("{host} has no image {reference}"),
            "is the tag right, and was it pushed? `docker push` says so at its end".to_owned(),
        ),
        Trouble::Denied => {
            let who = match login.and_then(|login| login.username.clone()) {
                Some(user) => format!("as {user}"),
                None if login.is_some() => "with a token".to_owned(),
                None => "without a login".to_owned(),
            };
            (
                format!("{host} does not give {reference}, asked {who}"),
                format!("`docker login {host}` as the user who calls cutover, or give `login` for this service"),
            )
        }
        Trouble::RateLimit => (
            format!("{host} takes no more pulls for now"),
            format!("wait, or `docker login {host}`: who is logged in may pull more"),
        ),
        Trouble::PlainHttp => (
            format!("{host} speaks HTTP without TLS, which the engine does not trust"),
            format!("add \"{host}\" to insecure-registries in /etc/docker/daemon.json, and reload the engine"),
        ),
        Trouble::Unreachable => (
            format!("the registry {host} could not be reached for {reference}"),
            "what is live goes on; try again when it is back, or use an image that is here (`pull = \"never\"`)"
                .to_owned(),
        ),
        Trouble::DiskFull => (
            format!("there was no room for {reference}"),
            "`docker system df` shows what takes it; what was pulled so far is taken up by the next try".to_owned(),
        ),
        Trouble::Platform => (
            format!("{reference} is not there for this host's processor"),
            "build it for this host too, or give `platform`".to_owned(),
        ),
        Trouble::Other => (format!("could not get {reference} from {host}"), String::new()),
    };
    let failure = Failure { causes: vec![text.to_owned()], ..Failure::new(what) };
    if hint.is_empty() { failure } else { failure.hint(hint) }
}

/// There is nothing of that name on this host.
pub fn not_here(reference: &Reference) -> Failure {
    Failure::new(format!(
        "there is no image {reference} on this host, and `pull = \"never\"` keeps it from being pulled"
    ))
    .hint("`docker images` lists what is here")
}

/// The registry has it, but does not say which it is.
pub fn no_digest(reference: &Reference) -> Failure {
    Failure::new(format!("{} names no digest for {reference}", reference.host()))
}

/// Whether an image that is here may stand for one that the registry did not give: the registry is away, or it does not know
/// the name and the image did not come from there.
pub fn may_be_local(error: &Error, local: &ImageInspect) -> bool {
    let from_registry = local.repo_digests.as_ref().is_some_and(|digests| !digests.is_empty());
    match trouble(&said(error)) {
        Trouble::Unreachable | Trouble::PlainHttp | Trouble::RateLimit => true,
        // A name without a registry that was built here: Docker Hub denies it or does not know it.
        Trouble::NotFound | Trouble::Denied => !from_registry,
        Trouble::Other => !from_registry,
        Trouble::DiskFull | Trouble::Platform => false,
    }
}

/// Whether an image could not be removed because something needs it, or is gone already.
pub fn is_in_use(error: &Error) -> bool {
    matches!(status(error), Some(404 | 409))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_registries_say_is_understood() {
        for (text, expected) in [
            ("manifest for localhost:5000/web:9 not found: manifest unknown: manifest unknown", Trouble::NotFound),
            ("pull access denied for web, repository does not exist or may require 'docker login'", Trouble::Denied),
            ("Get \"https://r/v2/\": no basic auth credentials", Trouble::Denied),
            ("unauthorized: authentication required", Trouble::Denied),
            ("toomanyrequests: You have reached your pull rate limit", Trouble::RateLimit),
            ("http: server gave HTTP response to HTTPS client", Trouble::PlainHttp),
            ("dial tcp 127.0.0.1:5000: connect: connection refused", Trouble::Unreachable),
            ("lookup r.example.com: no such host", Trouble::Unreachable),
            ("write /var/lib/docker/tmp/x: no space left on device", Trouble::DiskFull),
            ("no matching manifest for linux/amd64 in the manifest list entries", Trouble::Platform),
        ] {
            assert_eq!(trouble(text), expected, "{text}");
        }
    }
}
