//! A Python program: Django, Flask, FastAPI, or a file to run.

use std::path::Path;

use super::text;
use crate::init::candidate::{Candidate, words};

/// The program, run by the folder's own virtual environment if it has one.
pub(super) fn look(dir: &Path) -> Option<Candidate> {
    let interpreter = [".venv/bin/python3", "venv/bin/python3"].into_iter().find(|path| dir.join(path).exists());
    let python = interpreter.unwrap_or("python3");
    let needs = ["requirements.txt", "pyproject.toml", "Pipfile"].iter().filter_map(|file| text(dir, file));
    let needs = needs.collect::<String>().to_lowercase();
    let candidate = django(dir, python, &needs).or_else(|| application(dir, python, &needs))?;
    Some(candidate.artifact("."))
}

fn django(dir: &Path, python: &str, needs: &str) -> Option<Candidate> {
    text(dir, "manage.py")?;
    let found = "a Django program (manage.py)";
    match wsgi_module(dir).filter(|_| needs.contains("gunicorn")) {
        Some(module) => Some(Candidate::web(found, gunicorn(python, &module))),
        None => {
            let command = words(&[python, "manage.py", "runserver", "--noreload", "127.0.0.1:{port}"]);
            Some(
                Candidate::web(found, command)
                    .note("runserver is for development; add gunicorn to the requirements and name it here."),
            )
        }
    }
}

fn wsgi_module(dir: &Path) -> Option<String> {
    let folders = std::fs::read_dir(dir).ok()?.flatten().filter(|entry| entry.path().join("wsgi.py").is_file());
    let mut names: Vec<String> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names.first().map(|name| format!("{name}.wsgi"))
}

fn application(dir: &Path, python: &str, needs: &str) -> Option<Candidate> {
    let (module, code) = ["app", "main", "wsgi", "server"]
        .iter()
        .find_map(|module| Some((*module, text(dir, &format!("{module}.py"))?)))?;
    let file = format!("{module}.py");
    let object = format!("{module}:app");
    let uses = |name: &str| {
        needs.contains(name) || code.contains(&format!("import {name}")) || code.contains(&format!("from {name}"))
    };
    let (kind, command) = if uses("fastapi") || uses("uvicorn") || uses("starlette") {
        ("a FastAPI program", words(&[python, "-m", "uvicorn", &object, "--host", "127.0.0.1", "--port", "{port}"]))
    } else if uses("flask") && needs.contains("gunicorn") {
        ("a Flask program", gunicorn(python, &object))
    } else if uses("flask") {
        ("a Flask program", words(&[python, "-m", "flask", "--app", module, "run", "--port", "{port}"]))
    } else {
        let candidate = Candidate::web(format!("a Python program ({file})"), words(&[python, &file]));
        return Some(candidate.note("The program must listen on the port in the variable PORT."));
    };
    Some(Candidate::web(format!("{kind} ({file})"), command))
}

fn gunicorn(python: &str, module: &str) -> Vec<String> {
    words(&[python, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", module])
}
