//! The content type of a file, by the ending of its name. The common ones of the web; anything else is bytes.

/// Endings, their type, and whether it gains by being compressed.
const KINDS: &[(&str, &str, bool)] = &[
    ("html", "text/html; charset=utf-8", true),
    ("htm", "text/html; charset=utf-8", true),
    ("css", "text/css; charset=utf-8", true),
    ("js", "text/javascript; charset=utf-8", true),
    ("mjs", "text/javascript; charset=utf-8", true),
    ("json", "application/json", true),
    ("map", "application/json", true),
    ("webmanifest", "application/manifest+json", true),
    ("txt", "text/plain; charset=utf-8", true),
    ("md", "text/markdown; charset=utf-8", true),
    ("csv", "text/csv; charset=utf-8", true),
    ("ics", "text/calendar; charset=utf-8", true),
    ("xml", "application/xml", true),
    ("rss", "application/rss+xml", true),
    ("atom", "application/atom+xml", true),
    ("xhtml", "application/xhtml+xml", true),
    ("svg", "image/svg+xml", true),
    ("wasm", "application/wasm", true),
    ("ico", "image/x-icon", true),
    ("bmp", "image/bmp", true),
    ("ttf", "font/ttf", true),
    ("otf", "font/otf", true),
    ("woff", "font/woff", false),
    ("woff2", "font/woff2", false),
    ("png", "image/png", false),
    ("jpg", "image/jpeg", false),
    ("jpeg", "image/jpeg", false),
    ("gif", "image/gif", false),
    ("webp", "image/webp", false),
    ("avif", "image/avif", false),
    ("mp3", "audio/mpeg", false),
    ("ogg", "audio/ogg", false),
    ("wav", "audio/wav", false),
    ("m4a", "audio/mp4", false),
    ("mp4", "video/mp4", false),
    ("webm", "video/webm", false),
    ("pdf", "application/pdf", false),
    ("zip", "application/zip", false),
    ("gz", "application/gzip", false),
    ("zst", "application/zstd", false),
    ("tar", "application/x-tar", false),
];

/// The type of a file, and whether it gains by being compressed.
pub fn of(file: &[u8]) -> (&'static str, bool) {
    let name = file.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let ending = name.rsplit(|&b| b == b'.').next().filter(|ending| ending.len() < name.len()).unwrap_or_default();
    let found = KINDS.iter().find(|(known, ..)| ending.eq_ignore_ascii_case(known.as_bytes()));
    found.map_or(("application/octet-stream", false), |(_, kind, gains)| (kind, *gains))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_it() {
        assert_eq!(of(b"a/b.min.JS"), ("text/javascript; charset=utf-8", true));
        assert_eq!(of(b"a.png").0, "image/png");
        for bytes in ["js", "a.js/x", "", "a.unknown"] {
            assert_eq!(of(bytes.as_bytes()).0, "application/octet-stream", "{bytes}");
        }
    }
}
