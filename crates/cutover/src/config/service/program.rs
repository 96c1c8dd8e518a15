//! Whether a program can be run: found, a file, executable. Looked up the way the kernel and `execvp` would.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::locate::normal;
use crate::config::reader::{Located, Reader};

/// Where programs are looked for.
pub(super) struct Search<'a> {
    /// The folder that a program with a `/` starts from.
    pub(super) directory: Option<&'a PathBuf>,
    /// What `{artifact}` stands for, before there is a copy of it.
    pub(super) artifact: Option<&'a PathBuf>,
    /// The `PATH`.
    pub(super) path: Option<&'a str>,
}

/// Adds a mistake if the program cannot be run.
pub(super) fn check(reader: &Reader, key: &str, program: &Located<&str>, search: &Search) {
    let Some(file) = file_of(reader, key, program, search) else { return };
    let wrong = |message: String| reader.wrong_value(key, program.at, message);
    match std::fs::metadata(&file) {
        Err(_) => wrong(format!("{} does not exist", file.display())).hint_if(hint(program.value)),
        Ok(meta) if !meta.is_file() => wrong(format!("{} is not a file", file.display())).hint_if(hint(program.value)),
        Ok(meta) if meta.permissions().mode() & 0o111 == 0 => {
            wrong(format!("{} is not executable", file.display())).hint(format!("run `chmod +x {}`", file.display()));
        }
        Ok(_) => {}
    }
}

fn file_of(reader: &Reader, key: &str, program: &Located<&str>, search: &Search) -> Option<PathBuf> {
    if let Some(inside) = program.value.strip_prefix("{artifact}") {
        let artifact = search.artifact?;
        let inside = inside.trim_start_matches('/');
        return Some(if inside.is_empty() { artifact.clone() } else { artifact.join(inside) });
    }
    if super::command::placeholders(program.value).next().is_some() {
        return None;
    }
    if program.value.contains('/') {
        return search.directory.map(|directory| normal(&directory.join(program.value)));
    }
    let found = search_path(program.value, search.path);
    if found.is_none() {
        reader
            .wrong_value(key, program.at, format_args!("there is no program {:?} in PATH", program.value))
            .hint_if(hint(program.value).or_else(|| beside(program.value, search)));
    }
    found
}

fn search_path(program: &str, path: Option<&str>) -> Option<PathBuf> {
    let is_program =
        |file: &PathBuf| file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    std::env::split_paths(path.unwrap_or("/usr/local/bin:/usr/bin:/bin"))
        .map(|folder| folder.join(program))
        .find(is_program)
}

fn hint(program: &str) -> Option<String> {
    let words = crate::config::words::split(program).filter(|words| words.len() > 1)?;
    Some(format!("each argument is an item of its own: {}", crate::config::words::toml_list(&words)))
}

fn beside(program: &str, search: &Search) -> Option<String> {
    let beside = |folder: &PathBuf| Path::new(folder).join(program).is_file();
    search
        .directory
        .filter(|folder| beside(folder))
        .map(|_| format!("a program in the working directory is written \"./{program}\""))
}
