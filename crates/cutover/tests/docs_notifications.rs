//! The page about notifications tells the truth: its examples load, and it names every field and variable.

mod config;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use config::Folder;
use cutover::notify::message::{Counted, Message};
use cutover_core::Timestamp;
use cutover_core::spec::Occasion;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/notifications.md");
    std::fs::read_to_string(path).expect("the page")
}

/// Seen to fail with a misspelt key in an example, and with a `secret` in the place of `secret_env`.
#[test]
fn every_example_loads() {
    let folder = Folder::new();
    folder.file("tell.sh", "#!/bin/sh\n");
    let program = folder.path().join("tell.sh");
    std::fs::set_permissions(program, Permissions::from_mode(0o755)).expect("make it executable");
    let hook = folder.path().join("discord-webhook");
    folder.file("discord-webhook", "https://discord.com/api/webhooks/1/x\n");
    let page = page();
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    for block in &blocks {
        let service = "project = \"shop\"\n[service.web]\ncommand = [\"./server\"]\n";
        let whole = if block.contains("project =") { (*block).to_owned() } else { format!("{service}{block}") };
        // The folder's caller has this one variable.
        let whole = whole.replace("SLACK_HOOK", "SECRET").replace("CUTOVER_HOOK_SECRET", "SECRET");
        let whole = whole.replace("/etc/shop/discord-webhook", &hook.display().to_string());
        let config = folder.load(whole, None).unwrap_or_else(|errors| panic!("{block}\n{errors}"));
        assert_eq!(config.sinks.len(), 1, "{block}");
    }
    assert_eq!(blocks.len(), 6, "one for the beginning, and one for each kind");
}

/// Seen to fail with a field that the page did not have.
#[test]
fn every_field_is_named() {
    let page = page();
    let proof = Counted { served: 0, failed: 0, errors: 0, retried: 0, longest_gap_us: 0, took_ms: 0 };
    let test = cutover::notify::message::test("1".to_owned(), "shop", "ops", "ann", Timestamp(0));
    let message = serde_json::to_value(Message { proof: Some(proof), ..test }).expect("it has no maps");
    let fields = message.as_object().expect("an object").keys();
    let counts = message["proof"].as_object().expect("an object").keys();
    let occasions = Occasion::ALL.map(|occasion| occasion.name().to_owned());
    for name in fields.chain(counts).chain(&occasions) {
        assert!(page.contains(&format!("`{name}`")), "the page does not name {name}");
    }
    let unasked = page.lines().filter(|line| line.ends_with("| yes |")).count();
    assert_eq!(unasked, Occasion::CHOSEN.len());
}
