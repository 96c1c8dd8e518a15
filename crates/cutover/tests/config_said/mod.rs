//! What a person sees when a configuration is wrong, for the tests that keep it in snapshots.

use crate::config::Folder;

/// A snapshot named after the test.
#[macro_export]
macro_rules! snapshot {
    ($said:expr) => {{
        let said: String = $said;
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(said) })
    }};
}

/// How every case begins.
pub const HEAD: &str = "project = \"shop\"\n[service.web]\n";

/// What a person sees of the outcome, with the folder's path shortened.
pub fn shown(folder: &Folder, toml: impl AsRef<[u8]>, environment: Option<&str>) -> String {
    let shown = match folder.load(toml, environment) {
        Ok(config) => config.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect(),
        Err(errors) => errors.to_string(),
    };
    shown.replace(&folder.path().display().to_string(), "/app")
}

/// The cases of one part: what is written after `HEAD`, and what is said about it.
pub fn transcript(cases: &[&str]) -> String {
    whole(&cases.iter().map(|case| format!("{HEAD}{case}")).collect::<Vec<_>>())
}

/// The same of whole files.
pub fn whole<S: AsRef<str>>(cases: &[S]) -> String {
    let folder = Folder::new();
    let said = cases.iter().map(|case| {
        let case = case.as_ref();
        let shown = shown(&folder, case, None);
        assert!(!shown.contains("hunter2"), "a secret is shown: {shown}");
        format!("{}\n---- says\n{shown}\n========\n", case.strip_prefix(HEAD).unwrap_or(case))
    });
    said.collect()
}
