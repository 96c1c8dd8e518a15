//! Who calls: shown to whoever finds the service busy or locked.

/// The pipeline that calls, if it is one of those that say so; else the person and the machine.
pub fn name() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let pipeline = [
        ("GITHUB_RUN_ID", "GitHub Actions run"),
        ("CI_PIPELINE_ID", "GitLab pipeline"),
        ("BUILD_TAG", "Jenkins build"),
    ];
    let found = pipeline.iter().find_map(|(key, label)| variable(key).map(|id| format!("{label} {id}")));
    found.unwrap_or_else(|| {
        let user = variable("SUDO_USER").or_else(|| variable("USER")).or_else(user_name);
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        format!("{}@{host}", user.unwrap_or_else(|| "somebody".to_owned()))
    })
}

fn user_name() -> Option<String> {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.name)
}
