//! Static pages: an `index.html` and nothing that would serve it.

use std::path::Path;

use crate::init::candidate::{Candidate, words};

/// The folder that has the front page.
pub(super) fn look(dir: &Path) -> Option<Candidate> {
    let folders = ["dist", "build", "public", "_site", "site", "."];
    let folder = folders.into_iter().find(|folder| dir.join(folder).join("index.html").is_file())?;
    let file = if folder == "." { "index.html".to_owned() } else { format!("{folder}/index.html") };
    let command =
        words(&["python3", "-m", "http.server", "{port}", "--bind", "127.0.0.1", "--directory", "{artifact}"]);
    Some(Candidate::web(format!("static pages ({file})"), command).artifact(folder))
}
