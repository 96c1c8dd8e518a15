//! The environment of a service: its files, then its `env` table over them.

use std::collections::BTreeMap;

use cutover_core::spec::Secret;

use super::Place;
use crate::config::env_file;
use crate::config::reader::{Located, Reader};
use crate::config::source::Source;

/// Reads `env_file` and `env`.
pub(super) fn read(reader: &Reader, place: &Place) -> BTreeMap<String, Secret> {
    let mut variables = BTreeMap::new();
    for file in reader.one_or_more("env_file") {
        variables.extend(from_file(reader, place, &file));
    }
    if variables.remove("PORT").is_some() {
        reader
            .odd_value("env_file", reader.place_of("env_file"), "PORT is ignored")
            .hint("cutover gives each instance a port of its own, and sets PORT to it");
    }
    variables.extend(table(reader, place, "env"));
    variables
}

/// Reads a table of variables.
pub(super) fn table(reader: &Reader, place: &Place, key: &str) -> BTreeMap<String, Secret> {
    let read = |(name, value): (&str, Located<String>)| {
        Some((name.to_owned(), Secret::new(checked(reader, place, key, name, &value)?)))
    };
    reader.values(key).into_iter().filter_map(read).collect()
}

fn from_file(reader: &Reader, place: &Place, file: &Located<&str>) -> Vec<(String, Secret)> {
    let path = place.resolve(file.value);
    let source = match Source::read(&path, place.surroundings.shown(&path)) {
        Ok(source) => source,
        Err(error) => {
            let message = error.message.replacen(&place.surroundings.shown(&path), &path.display().to_string(), 1);
            reader.wrong_value("env_file", file.at, message).hint_if(error.hint);
            return Vec::new();
        }
    };
    let variables = env_file::read(&source, reader.findings());
    if let Some((name, _)) = variables.iter().find(|(name, _)| is_reserved(name)) {
        reader
            .wrong_value("env_file", file.at, format_args!("{} sets {name}", path.display()))
            .hint("names that begin with CUTOVER_ are set by cutover");
    }
    variables.into_iter().map(|(name, value)| (name, Secret::new(value))).collect()
}

fn is_reserved(name: &str) -> bool {
    name.starts_with("CUTOVER_")
}

/// The value with `${NAME}` replaced, if the name and the value are good. No message shows the value.
fn checked(reader: &Reader, place: &Place, key: &str, name: &str, value: &Located<String>) -> Option<String> {
    let wrong = |message: String| reader.wrong_value(key, value.at, format!("{name}: {message}"));
    if name == "PORT" || is_reserved(name) {
        wrong("this variable is set by cutover".to_owned())
            .hint("remove it; each instance gets a port of its own, in PORT");
        return None;
    }
    if !env_file::is_name(name) {
        reader.wrong_value(key, value.at, format_args!("{name:?} cannot name a variable")).hint_if(None);
        return None;
    }
    if value.value.contains('\0') {
        wrong("the value contains a NUL".to_owned()).hint_if(None);
        return None;
    }
    if key == "env" && !reader.has("image") && value.value.contains("{port}") {
        reader
            .odd_value(key, value.at, format_args!("{name}: {{port}} is not replaced here"))
            .hint("use {port} in the command, or read the variable PORT");
    }
    match interpolate(&value.value, &place.surroundings.variables) {
        Ok(value) => Some(value),
        Err(fault) => {
            wrong(fault).hint("${NAME} is a variable of whoever runs cutover; write $${ for a plain ${");
            None
        }
    }
}

/// Replaces `${NAME}`; `$${` stands for `${`. A `$` without a brace is left alone: passwords have them.
pub(in crate::config) fn interpolate(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, tail) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            result.extend([before, "${"]);
            rest = tail;
            continue;
        }
        let (name, tail) = tail.split_once('}').ok_or("a ${ is not closed")?;
        if !env_file::is_name(name) {
            return Err("what stands in ${…} is not a name; defaults are not supported".to_owned());
        }
        let value = variables.get(name).ok_or_else(|| format!("the variable {name} is not set"))?;
        result.extend([before, value.as_str()]);
        rest = tail;
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_dollars_left_alone() {
        let variables = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        let cases = [("x${A}y${A}", "x1y1"), ("$A $$ $", "$A $$ $"), ("$${A}", "${A}"), ("", "")];
        for (text, value) in cases {
            assert_eq!(interpolate(text, &variables).as_deref(), Ok(value), "{text}");
        }
        for text in ["${B}", "${A", "${}", "${A:-x}"] {
            assert!(interpolate(text, &variables).is_err(), "{text} was accepted");
        }
    }
}
