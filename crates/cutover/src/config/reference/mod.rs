//! Prints the reference page `docs/configuration.md` from the table of keys.

use super::keys::{Default, Key, SECTIONS, Section};

const INTRO: &str = include_str!("intro.md");
const ENV_FILES: &str = include_str!("env_files.md");
const EXAMPLE: &str = include_str!("example.toml");

/// The reference page, in Markdown.
pub fn reference() -> String {
    let mut page = INTRO.to_owned();
    for section in SECTIONS {
        page.push_str(&section_text(section));
    }
    page.push_str(ENV_FILES);
    page.push_str("\n## A full example\n\n```toml\n");
    page.push_str(EXAMPLE);
    page.push_str("```\n");
    page
}

/// The full example of the reference page.
pub fn example() -> &'static str {
    EXAMPLE
}

fn section_text(section: &Section) -> String {
    let title = if section.path.is_empty() { "Top of the file".to_owned() } else { format!("`[{}]`", section.path) };
    let mut text = format!("\n## {title}\n\n{}\n\n", section.meaning);
    text.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
    for key in section.keys {
        text.push_str(&row(key));
    }
    text
}

fn row(key: &Key) -> String {
    let default = match key.default {
        Default::Required => "required".to_owned(),
        Default::None => "none".to_owned(),
        Default::Is(value) => format!("`{value}`"),
        Default::Rule(rule) => rule.to_owned(),
    };
    let form = key.form.short();
    format!("| `{}` | {form} | {default} | {} |\n", key.name, key.meaning.replace('|', "\\|"))
}
