//! The reference page of the command line, printed from its own definitions.

use clap::{Arg, Command, CommandFactory};

use super::args::{Arguments, EXIT_CODES};

/// The whole of `docs/cli.md`.
pub fn reference() -> String {
    let mut root = Arguments::command();
    root.build();
    let mut page = String::from(
        "# The command line\n\nWritten by `cargo xtask docs` from the definitions in the code. All verbs take the options that stand \
         here first.\n\n",
    );
    page.push_str(&rows(root.get_arguments().filter(|arg| is_told(arg))));
    page.push_str(&format!("\n{EXIT_CODES}\n"));
    for verb in root.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        page.push_str(&section(verb, "cutover", 2));
    }
    page
}

fn section(verb: &Command, above: &str, depth: usize) -> String {
    let name = format!("{above} {}", verb.get_name());
    let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("\n{} `{name}`\n\n{about}.\n", "#".repeat(depth));
    let own: Vec<&Arg> = verb.get_arguments().filter(|arg| is_told(arg) && !arg.is_global_set()).collect();
    if !own.is_empty() {
        text.push_str(&format!("\n{}", rows(own.into_iter())));
    }
    for below in verb.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        text.push_str(&section(below, &name, depth + 1));
    }
    text
}

fn is_told(arg: &Arg) -> bool {
    !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version")
}

fn rows<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
    let mut text = String::from("| argument | default | meaning |\n|---|---|---|\n");
    for arg in arguments {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let defaults: Vec<String> = arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
        let is_switch = !arg.get_action().takes_values();
        let default =
            if defaults.is_empty() || is_switch { String::new() } else { format!("`{}`", defaults.join(" ")) };
        let variable = arg.get_env().map(|name| format!(" (or `{}`)", name.to_string_lossy())).unwrap_or_default();
        text.push_str(&format!("| {} | {default} | {help}{variable} |\n", written(arg).replace('|', "\\|")));
    }
    text
}

/// How the argument is written on the command line.
fn written(arg: &Arg) -> String {
    let values: Vec<String> = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let value = values.join(" ");
    if arg.is_positional() {
        return format!("`{}`", if value.is_empty() { arg.get_id().as_str() } else { &value });
    }
    let short = arg.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let long = arg.get_long().unwrap_or_default();
    if arg.get_action().takes_values() { format!("{short}`--{long} {value}`") } else { format!("{short}`--{long}`") }
}
