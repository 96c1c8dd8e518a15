//! Builds and pushes images, by the `docker` command of whoever calls.
//!
//! Their own command brings BuildKit, its cache, its mounts and secrets, and their logins; the engine's API has only the classic
//! builder, on which half of today's Dockerfiles fail.

use std::path::Path;
use std::process::{Command, Stdio};

use cutover_core::Failure;
use cutover_core::spec::BuildSpec;
use sha2::{Digest, Sha256};

/// The label of images that were built here: they go with the last release that runs them.
pub const LABEL: &str = "cutover.built";

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its whole name, with the tag.
    pub reference: String,
}

/// Builds, and pushes if asked. What the builder writes goes to the standard error of this process, as it comes.
pub fn build(spec: &BuildSpec, now: u64) -> Result<Built, Failure> {
    if !spec.context.is_dir() {
        return Err(Failure::new(format!("there is no folder {} to build from", spec.context.display())));
    }
    let tag = spec.tag.clone().unwrap_or_else(|| unique_tag(&spec.context, now));
    let reference = format!("{}:{tag}", spec.repository);
    run(&arguments(spec, &reference), spec, "build")?;
    if spec.push {
        run(&["push".to_owned(), reference.clone()], spec, "push")?;
    }
    Ok(Built { reference })
}

fn arguments(spec: &BuildSpec, reference: &str) -> Vec<String> {
    let mut words = vec!["build".to_owned(), "--tag".to_owned(), reference.to_owned()];
    words.extend(["--label".to_owned(), format!("{LABEL}=true")]);
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    if let Some(dockerfile) = &spec.dockerfile {
        option("--file", dockerfile.display().to_string());
    }
    if let Some(target) = &spec.target {
        option("--target", target.clone());
    }
    if let Some(platform) = &spec.platform {
        option("--platform", platform.clone());
    }
    // Without a value the builder takes it from its environment, so that it stands in no list of processes.
    spec.args.keys().for_each(|name| option("--build-arg", name.clone()));
    words.push(spec.context.display().to_string());
    words
}

fn run(words: &[String], spec: &BuildSpec, what: &str) -> Result<(), Failure> {
    let mut command = Command::new("docker");
    command.args(words).stdin(Stdio::null());
    // Its output is progress, for people; our own standard output may be read by a program.
    command.stdout(std::io::stderr());
    command.envs(spec.args.iter().map(|(name, value)| (name, value.reveal())));
    let shown = format!("docker {}", words.join(" "));
    let status = command.status().map_err(|error| {
        let failure = Failure::because(format!("could not run `{shown}`"), &error);
        failure.hint("building needs the docker command; without it, build elsewhere and give `image`")
    })?;
    if status.success() {
        return Ok(());
    }
    let failure = Failure::new(format!("`{shown}` failed: {status}"));
    Err(match what {
        "push" => failure.hint(format!("`docker login` for the registry of {}", spec.repository)),
        _ => failure.hint("its own message stands above; nothing was deployed"),
    })
}

/// A tag that names the content: the commit if the folder is at one, marked and made unique if there are changes beside it, else the
/// time. A tag that was used before would let two releases share a name.
pub fn unique_tag(context: &Path, now: u64) -> String {
    let seconds = now / 1000;
    let Some(commit) = git(context, &["rev-parse", "--short=12", "HEAD"]) else { return format!("t{seconds}") };
    let commit = commit.trim().to_owned();
    match git(context, &["status", "--porcelain", "--untracked-files=normal", "."]) {
        Some(changes) if changes.trim().is_empty() => commit,
        Some(changes) => {
            let difference = git(context, &["diff", "HEAD", "--", "."]).unwrap_or_default();
            let digest = Sha256::digest(format!("{changes}{difference}"));
            let short: String = digest.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
            format!("{commit}-dirty-{short}-{seconds}")
        }
        None => format!("{commit}-{seconds}"),
    }
}

fn git(folder: &Path, words: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(words).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cutover_core::spec::Secret;

    use super::*;

    fn spec(context: &Path) -> BuildSpec {
        BuildSpec {
            repository: "r.example.com/web".into(),
            context: context.to_owned(),
            dockerfile: Some("/a/Dockerfile.prod".into()),
            args: BTreeMap::from([("TOKEN".to_owned(), Secret::new("hush"))]),
            target: Some("final".into()),
            platform: Some("linux/arm64".into()),
            tag: None,
            push: false,
        }
    }

    /// Seen to fail with the value written into the arguments.
    #[test]
    fn a_build_argument_stands_in_no_list_of_processes() {
        let words = arguments(&spec(Path::new("/a")), "r.example.com/web:1").join(" ");
        assert_eq!(
            words,
            "build --tag r.example.com/web:1 --label cutover.built=true --file /a/Dockerfile.prod --target final --platform linux/arm64 \
             --build-arg TOKEN /a"
        );
    }

    /// Seen to fail when changes beside the commit did not count.
    #[test]
    fn a_tag_tells_a_commit_from_changes_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(unique_tag(folder.path(), 1_700_000_000_000), "t1700000000");
        let git = |words: &[&str]| {
            let mut command = Command::new("git");
            command.arg("-C").arg(folder.path()).args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(words);
            assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success(), "{words:?}");
        };
        git(&["init", "-q"]);
        std::fs::write(folder.path().join("Dockerfile"), "FROM scratch").unwrap();
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "one"]);
        let clean = unique_tag(folder.path(), 1_700_000_000_000);
        assert!(clean.len() == 12 && clean.chars().all(|c| c.is_ascii_hexdigit()), "{clean}");
        std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\nLABEL a=b").unwrap();
        let dirty = unique_tag(folder.path(), 1_700_000_000_000);
        assert!(dirty.starts_with(&format!("{clean}-dirty-")) && dirty.ends_with("-1700000000"), "{dirty}");
    }
}
