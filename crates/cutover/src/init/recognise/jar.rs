//! A jar that Maven or Gradle has built.

use std::path::Path;
use std::time::SystemTime;

use super::files;
use crate::init::candidate::{Candidate, Ready, words};
use crate::init::jar_entries;

/// Where build tools put jars.
const FOLDERS: &[&str] = &["target", "build/libs", "."];

/// The newest jar that can be meant to run.
pub(super) fn look(dir: &Path) -> Option<Candidate> {
    let jars = FOLDERS.iter().map(|folder| jars_in(dir, folder)).find(|jars| !jars.is_empty())?;
    let jar = jars.iter().max_by_key(|jar| (is_boot(&dir.join(jar)), built(&dir.join(jar))))?;
    let names = jar_entries::names(&dir.join(jar)).unwrap_or_default();
    let candidate = if is_boot_jar(&names) { boot(jar, &names) } else { plain(jar) };
    let candidate = if has_version(jar) {
        let note = format!(
            "The name of {jar} has a version in it: give the build a fixed name, or change artifact each time."
        );
        candidate.note(note)
    } else {
        candidate
    };
    Some(candidate.artifact(jar.clone()))
}

fn boot(jar: &str, names: &[String]) -> Candidate {
    let command = words(&["java", "-jar", "{artifact}", "--server.port={port}"]);
    let mut candidate = Candidate::web(format!("a Spring Boot jar ({jar})"), command);
    if names.iter().any(|name| name.starts_with("BOOT-INF/lib/spring-boot-actuator-")) {
        candidate.ready = Ready::Health("/actuator/health");
    }
    candidate
}

fn plain(jar: &str) -> Candidate {
    let command = words(&["java", "-Dserver.port={port}", "-jar", "{artifact}"]);
    Candidate::web(format!("a jar ({jar})"), command)
        .note("The program must listen on the port in the system property server.port, or in the variable PORT.")
}

fn jars_in(dir: &Path, folder: &str) -> Vec<String> {
    let beside = |name: &str| {
        let stem = name.trim_end_matches(".jar");
        ["-sources", "-javadoc", "-plain", "-tests"].iter().any(|end| stem.ends_with(end))
            || name.starts_with("original-")
    };
    let jars = files(&dir.join(folder)).into_iter().filter(|name| name.ends_with(".jar") && !beside(name));
    jars.filter(|name| name != "gradle-wrapper.jar")
        .map(|name| if folder == "." { name } else { format!("{folder}/{name}") })
        .collect()
}

fn is_boot_jar(names: &[String]) -> bool {
    names.iter().any(|name| name.starts_with("BOOT-INF/"))
}

fn is_boot(jar: &Path) -> bool {
    jar_entries::names(jar).is_some_and(|names| is_boot_jar(&names))
}

fn built(jar: &Path) -> SystemTime {
    jar.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Whether a name has a part such as `-1.2`.
fn has_version(jar: &str) -> bool {
    jar.split('-').skip(1).any(|part| part.starts_with(|c: char| c.is_ascii_digit()) && part.contains('.'))
}
