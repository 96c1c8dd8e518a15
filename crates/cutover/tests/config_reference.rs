//! The reference page is the one that the code prints, and every configuration on it loads.
//!
//! Write the page anew with `UPDATE_DOCS=1 cargo test -p cutover --test config_reference`.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

mod config;

use std::path::Path;

use config::Folder;

fn page() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md")
}

#[test]
fn the_page_is_up_to_date() {
    let printed = cutover::config::reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(page(), &printed).unwrap();
    }
    let written = std::fs::read_to_string(page()).unwrap_or_default();
    assert!(
        written == printed,
        "docs/configuration.md is stale: UPDATE_DOCS=1 cargo test -p cutover --test config_reference"
    );
}

#[test]
fn every_configuration_on_the_page_loads() {
    let page = cutover::config::reference();
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 2, "the small file and the full example");
    for block in blocks {
        let loaded = Folder::new().load(block, None);
        assert!(loaded.is_ok(), "{block}\n{}", loaded.expect_err("an error"));
    }
}

#[test]
fn every_row_of_a_table_has_four_cells() {
    let page = cutover::config::reference();
    for row in page.lines().filter(|line| line.starts_with('|')) {
        assert_eq!(row.replace("\\|", "").matches('|').count(), 5, "{row}");
    }
}
