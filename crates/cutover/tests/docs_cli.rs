//! The pages tell the truth: the reference of the command line is fresh, every configuration in the documentation loads, and
//! every verb that is named exists. `UPDATE_DOCS=1` writes the reference anew.

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use cutover::cli::{Arguments, reference};
use cutover::config::{self, Surroundings};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// Seen to fail after a help text was changed.
#[test]
fn the_reference_is_fresh() {
    let page = root().join("docs/cli.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, reference()).expect("write the page");
    }
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(written == reference(), "docs/cli.md is stale: run `cargo xtask docs`");
}

fn pages() -> Vec<(PathBuf, String)> {
    let folders = [root(), root().join("docs")];
    let files =
        folders.iter().flat_map(|folder| folder.read_dir().expect("a folder")).map(|file| file.expect("a file"));
    let pages = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "md"));
    pages.map(|path| (path.clone(), std::fs::read_to_string(path).expect("a page"))).collect()
}

/// Seen to fail with a misspelt key in the README.
#[test]
fn every_configuration_in_the_pages_loads() {
    let mut loaded = 0;
    for (path, text) in pages() {
        for block in text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            if block.contains("project = ") {
                load(&path, block);
                loaded += 1;
            }
        }
    }
    assert!(loaded >= 2, "hardly any examples were found: {loaded}");
}

fn load(page: &Path, block: &str) {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    for file in ["target/app.jar", ".env", "smoke.sh", "cutover.toml", "server"] {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        std::fs::write(&path, if file == "cutover.toml" { block } else { "" }).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    }
    let compose =
        "version: \"3\"\nservices: {app: {image: shop, ports: [\"80\"]}, shop: {image: shop, ports: [\"80\"]}}\n";
    for file in ["docker-compose.yml", "docker-compose.production.yml"] {
        std::fs::write(dir.path().join(file), compose).expect("a Compose file");
    }
    let surroundings = Surroundings { directory: dir.path().to_owned(), ..Surroundings::of_this_process() };
    if let Err(errors) = config::load_in(&surroundings, None, None) {
        panic!("an example in {} does not load:\n{errors}\n{block}", page.display());
    }
}

/// Seen to fail with a verb that does not exist in the README's table.
#[test]
fn every_verb_in_the_pages_exists() {
    let command = Arguments::command();
    let verbs: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let mut named = 0;
    for (path, text) in pages() {
        for rest in text.split("`cutover ").skip(1) {
            let verb: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
            // An option before the verb, or a file name.
            if !verb.is_empty() && !rest.starts_with('-') {
                assert!(verbs.contains(&verb.as_str()), "{} names `cutover {verb}`", path.display());
                named += 1;
            }
        }
    }
    assert!(named > 20, "hardly any verbs were found: {named}");
}
