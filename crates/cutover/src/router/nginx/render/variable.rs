//! A file with one `set`, included in a `server` or a `location`.
//!
//! The marker is an answer: a request that carries the secret gets the state instead of what it asked for. `if` is safe here,
//! for its block holds nothing but `return`, and both belong to the rewrite phase that `set` belongs to.

use super::{MARKER, NOBODY, Wanted, header};

const SHAPE: &str = "a variable";

pub(super) fn render(name: &str, value: &str, wanted: &Wanted) -> Result<String, super::RenderError> {
    let address = wanted.only(SHAPE)?.map_or_else(|| NOBODY.to_owned(), |server| server.address.to_string());
    let value = value.replace("{address}", &address);
    let mut text = header(wanted);
    text.push_str(&format!("set ${name} {value};\n"));
    if let Some(token) = &wanted.token {
        text.push_str(&format!(
            "# Tells cutover which state is in force, when it asks by this secret.\n\
             if ($http_cutover_token = {token}) {{ return 200 \"{MARKER}{}\\n\"; }}\n",
            wanted.marker()
        ));
    }
    Ok(text)
}
