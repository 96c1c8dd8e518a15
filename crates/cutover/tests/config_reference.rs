//! The reference page is the one that the code prints, and every configuration on it loads.
//!
//! Write the page anew with `UPDATE_DOCS=1 cargo test -p cutover --test config_reference`.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

mod config;

use std::path::Path;

use config::Folder;

fn page() -> std::path::PathBuf {
    page_named("configuration.md")
}

fn page_named(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
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

/// They are pieces: what stands around them is the same everywhere. Seen to fail with a key of theirs misspelt.
#[test]
fn the_pieces_on_other_pages_load() {
    for page in ["routing.md", "strategies.md", "verdicts.md", "tls.md"] {
        let text = std::fs::read_to_string(page_named(page)).unwrap();
        let text = text.replace("/etc/letsencrypt/live/shop.example.com/fullchain.pem", "web.pem");
        let text = text.replace("/etc/letsencrypt/live/shop.example.com/privkey.pem", "web.key");
        let text = text.replace("/etc/cutover/internal-ca.pem", "web.pem").replace("/etc/cutover/proxy.", "web.");
        let blocks: Vec<&str> = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!blocks.is_empty(), "{page} has examples");
        // Where nginx is meant, more has to stand around a piece: those are left out.
        for block in blocks.into_iter().filter(|block| !block.contains(".route.nginx]")) {
            let folder = Folder::new();
            folder.file("orders-per-minute.sh", "#!/bin/true\n");
            let program = folder.path().join("orders-per-minute.sh");
            std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            let command = if block.starts_with("[service.web]\ncommand = ") {
                ""
            } else {
                "command = [\"./server\", \"{port}\"]\n"
            };
            let own = &format!("[service.web]\n{command}");
            let block = if block.starts_with("[service.web]\n") {
                block.replacen("[service.web]\n", own, 1)
            } else {
                format!("{own}{block}")
            };
            let route = if block.contains("[service.web.route]") { "" } else { "[service.web.route]\nlisten = 80\n" };
            let loaded = folder.load(format!("project = \"shop\"\n{block}\n{route}"), None);
            assert!(loaded.is_ok(), "{page}:\n{block}\n{}", loaded.expect_err("an error"));
        }
    }
}

#[test]
fn every_row_of_a_table_has_four_cells() {
    let page = cutover::config::reference();
    for row in page.lines().filter(|line| line.starts_with('|')) {
        assert_eq!(row.replace("\\|", "").matches('|').count(), 5, "{row}");
    }
}
