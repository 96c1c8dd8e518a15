//! The parts of an image's name, by the rules of the distribution project (`reference/regexp.go`).

use std::fmt;

/// An image's name in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The registry as it was written: a host with a `.` or a `:`, or `localhost`. `None` for Docker Hub.
    pub registry: Option<String>,
    /// The path in the registry.
    pub path: String,
    /// The tag.
    pub tag: Option<String>,
    /// The digest: `sha256:…`.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a name; `Err` says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{text:?} is not the name of an image: {why}"));
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        if digest.as_ref().is_some_and(|digest| !is_digest(digest)) {
            return wrong("a digest is written sha256: and 64 hexadecimal digits");
        }
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if tag.as_ref().is_some_and(|tag| !is_tag(tag)) {
            return wrong(
                "a tag has up to 128 of letters, digits, '_', '.' and '-', and begins with one of the first three",
            );
        }
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host.to_owned()), path),
            _ => (None, name),
        };
        if path.chars().any(|c| c.is_ascii_uppercase()) {
            return wrong("its path must be in lower case");
        }
        if !path.split('/').all(is_component) {
            return wrong("each part of its path has letters, digits, and single '.', '_' or '-' between them");
        }
        Ok(Self { registry, path: path.to_owned(), tag, digest })
    }

    /// The name without tag and digest.
    pub fn repository(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.path),
            None => self.path.clone(),
        }
    }

    /// The registry's host, as a login is kept for it.
    pub fn host(&self) -> &str {
        self.registry.as_deref().unwrap_or("docker.io")
    }

    /// With this digest, whatever the tag.
    pub fn at(&self, digest: &str) -> String {
        format!("{}@{digest}", self.repository())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository())?;
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "@{digest}"),
            (None, tag) => write!(f, ":{}", tag.as_deref().unwrap_or("latest")),
        }
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()))
}

fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128 && text.starts_with(word) && text.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn is_component(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = |c: char| plain(c) || matches!(c, '.' | '_' | '-');
    text.starts_with(plain) && text.ends_with(plain) && text.chars().all(inner) && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_parts() {
        let parts = |text: &str| {
            let r = Reference::parse(text).unwrap();
            (r.registry.clone(), r.path.clone(), r.tag.clone(), r.to_string())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parts("web"), (None, "web".into(), None, "web:latest".into()));
        assert_eq!(parts("shop/web:1.4"), (None, "shop/web".into(), some("1.4"), "shop/web:1.4".into()));
        assert_eq!(
            parts("localhost:5000/web"),
            (some("localhost:5000"), "web".into(), None, "localhost:5000/web:latest".into())
        );
        let digest = format!("r.example.com/a/b@sha256:{}", "0".repeat(64));
        assert_eq!(parts(&digest).3, digest);
        assert_eq!(Reference::parse("web").unwrap().host(), "docker.io");
    }

    #[test]
    fn what_is_no_name_is_told_why() {
        for (text, why) in [
            ("", "part of its path"),
            ("Shop/web", "lower case"),
            ("web:", "tag"),
            ("web:a b", "tag"),
            ("web@sha256:12", "digest"),
            ("a//b", "part of its path"),
            ("-web", "part of its path"),
        ] {
            let error = Reference::parse(text).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }
}
