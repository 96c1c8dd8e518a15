//! Whether a complete answer is the right one.

use tokio::time::Instant;

use crate::context::Context;
use crate::failure::{Class, Fault};
use crate::wire::Head;

/// What an answer is held to.
pub(crate) struct Asked<'a> {
    pub begun: Instant,
    pub id: &'a str,
    /// Length and CRC-32 of the body sent, if there was one.
    pub body: Option<(usize, u32)>,
}

/// The release that has answered (empty when it is not said), or what is wrong.
///
/// An answer of the wrong service or release is misrouted whatever its status; that weighs more than how it failed.
pub(crate) fn judge(context: &Context, head: &Head, asked: &Asked<'_>) -> Result<String, Fault> {
    origin(context, head, asked.begun, false)?;
    status(head)?;
    let release = origin(context, head, asked.begun, true)?;
    id(context, head, asked.id)?;
    body(context, head, asked.body)?;
    Ok(release)
}

/// The release that has answered. When it must be said, silence is wrong too.
pub(crate) fn origin(context: &Context, head: &Head, begun: Instant, must_say: bool) -> Result<String, Fault> {
    let expect = &context.load.expect;
    if let Some((name, right)) = &expect.service {
        match head.get(name) {
            Some(found) if found != right => {
                return Err(Fault::new(Class::WrongService, format!("{found:?} answered instead of {right:?}")));
            }
            None if must_say => {
                return Err(Fault::new(Class::WrongService, format!("no header {name}")));
            }
            _ => {}
        }
    }
    let Some(name) = &expect.release_header else {
        return Ok(String::new());
    };
    let release = head.get(name);
    if (release.is_some() || must_say) && !context.releases.permits(release, begun) {
        let who = release.unwrap_or("none that is named");
        return Err(Fault::new(Class::WrongRelease, format!("release {who} answered")));
    }
    Ok(release.unwrap_or_default().to_owned())
}

/// A failure status is a failure.
pub(crate) fn status(head: &Head) -> Result<(), Fault> {
    match head.status {
        500.. => Err(Fault::new(Class::Status5xx, format!("status {}", head.status))),
        400.. => Err(Fault::new(Class::StatusOther, format!("status {}", head.status))),
        _ => Ok(()),
    }
}

fn id(context: &Context, head: &Head, id: &str) -> Result<(), Fault> {
    let Some(name) = &context.load.expect.id_header else {
        return Ok(());
    };
    match head.get(name) {
        Some(found) if found == id => Ok(()),
        Some(found) => Err(Fault::new(Class::WrongId, format!("the answer is to {found}"))),
        None => Err(Fault::new(Class::LostId, format!("no header {name} in the answer"))),
    }
}

fn body(context: &Context, head: &Head, body: Option<(usize, u32)>) -> Result<(), Fault> {
    let (Some(name), Some((length, crc))) = (&context.load.expect.body_header, body) else {
        return Ok(());
    };
    let right = format!("{length}:{crc:08x}");
    match head.get(name) {
        Some(found) if found == right => Ok(()),
        found => Err(Fault::new(Class::AlteredBody, format!("sent {right}, received {}", found.unwrap_or("?")))),
    }
}
