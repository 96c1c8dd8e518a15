//! Descriptions of containers. They are named, so that nobody wonders; running them comes with a later version.

use std::path::Path;

use super::files;

/// The container files of a folder, each as a part of a sentence.
pub(in crate::init) fn containers(dir: &Path) -> Vec<String> {
    let describe = |name: String| {
        let is_yaml = name.ends_with(".yml") || name.ends_with(".yaml");
        let is_compose = is_yaml && (name.starts_with("docker-compose.") || name.starts_with("compose."));
        match name.as_str() {
            "Dockerfile" | "Containerfile" => Some(format!("a container image ({name})")),
            _ if is_compose => Some(format!("a Compose project ({name})")),
            _ => None,
        }
    };
    files(dir).into_iter().filter_map(describe).collect()
}
