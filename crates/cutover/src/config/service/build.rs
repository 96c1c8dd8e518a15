//! How the image is built.

use std::collections::BTreeMap;

use cutover_core::spec::{BuildSpec, Secret};

use super::{Place, env};
use crate::config::reader::Reader;

/// Reads the `build` table; `None` if there is none.
pub(super) fn read(service: &Reader, place: &Place) -> Option<BuildSpec> {
    let reader = service.section("build");
    let path = |key: &str, default: Option<&str>| {
        let written = reader.plain(key);
        let path = place.resolve(written.as_ref().map(|path| path.value).or(default)?);
        if let Some(written) = written.filter(|_| !path.exists()) {
            reader.wrong_value(key, written.at, format_args!("{} does not exist", path.display())).hint_if(None);
        }
        Some(path)
    };
    let context = path("context", Some("."))?;
    let dockerfile = path("dockerfile", None);
    let text = |key: &str| reader.plain(key).map(|text| text.value.to_owned());
    let args: BTreeMap<String, Secret> = env::table(&reader, place, "args");
    let (target, platform, tag) = (text("target"), text("platform"), text("tag"));
    let push = reader.flag("push").is_some_and(|push| push.value);
    if !reader.is_written() {
        return None;
    }
    let image = service.plain("image");
    if image.is_none() {
        service
            .wrong_value("build", reader.at, "needs a name for the image")
            .hint("add image = \"registry.example.com/shop/web\", without a tag");
    }
    let parsed = image.as_ref().and_then(|image| crate::image::Reference::parse(image.value).ok());
    if let (Some(image), Some(parsed)) = (&image, &parsed)
        && (parsed.tag.is_some() || parsed.digest.is_some())
    {
        service
            .wrong_value("image", image.at, "has a tag, but is built anew each time")
            .hint("leave the tag out, or give `tag` in the build table");
    }
    let repository = parsed.map(|parsed| parsed.repository()).unwrap_or_default();
    Some(BuildSpec { repository, context, dockerfile, args, target, platform, tag, push })
}
