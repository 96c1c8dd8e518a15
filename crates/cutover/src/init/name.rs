//! A project's name, from the name of its folder.

use std::path::Path;

const LONGEST: usize = 40;

/// The name of a folder, made to fit the rule for names; `app` if nothing of it does.
pub(super) fn of_folder(dir: &Path) -> String {
    let whole = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned());
    fitting(&name.unwrap_or_default())
}

/// A text made to fit the rule for names.
pub(super) fn fitting(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let replaced: String = text.chars().map(|c| if fits(c) { c.to_ascii_lowercase() } else { '-' }).collect();
    let begun = replaced.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let short = &begun[..begun.len().min(LONGEST)];
    match short.trim_end_matches(['-', '_']) {
        "" => "app".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_gives_a_name() {
        let cases = [
            ("shop", "shop"),
            ("My Shop!", "my-shop"),
            ("2048", "app"),
            ("3d_view", "d_view"),
            ("Üb", "b"),
            ("", "app"),
        ];
        for (folder, name) in cases {
            assert_eq!(fitting(folder), name);
        }
        let long = fitting(&"ab-".repeat(40));
        assert!(cutover_core::ServiceName::new(long.clone()).is_ok(), "{long}");
    }
}
