//! A Rust program: `Cargo.toml` with a binary.

use std::path::Path;

use super::text;
use crate::init::candidate::{Candidate, words};

/// The binary of the package in the folder, built or not.
pub(super) fn look(dir: &Path) -> Option<Candidate> {
    let manifest: toml::Table = text(dir, "Cargo.toml")?.parse().ok()?;
    let name = binary(dir, &manifest)?;
    let artifact = format!("target/release/{name}");
    let built = dir.join(&artifact).is_file();
    let candidate = Candidate::web(format!("a Rust program (Cargo.toml, {artifact})"), words(&["{artifact}"]))
        .artifact(artifact)
        .note("The program must listen on the port in the variable PORT, or take {port} as an argument.");
    Some(if built { candidate } else { candidate.note("Build it first: cargo build --release") })
}

fn binary(dir: &Path, manifest: &toml::Table) -> Option<String> {
    let named = manifest.get("bin").and_then(|bin| bin.get(0)?.get("name")?.as_str());
    let package = manifest.get("package").and_then(|package| package.get("name")?.as_str());
    named.or(package.filter(|_| dir.join("src/main.rs").is_file())).map(str::to_owned)
}
