//! Takes secrets out of what is shown: whatever a receiver answered may repeat the address, or a part of it.

use cutover_core::spec::{Secret, Way};

/// Parts of an address that are shorter than this say nothing secret, and may be common words.
const SHORTEST: usize = 6;

/// The text without the secrets of this receiver, on one line and not too long.
pub fn redact(text: &str, way: &Way) -> String {
    let text = text.replace(char::is_control, " ");
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut hidden: Vec<String> = way.secrets().into_iter().flat_map(parts).collect();
    // The longest first, lest a part of it leaves the rest behind.
    hidden.sort_by_key(|part| std::cmp::Reverse(part.len()));
    for part in hidden {
        text = text.replace(&part, "***");
    }
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The secret as a whole, and if it is an address all behind its host, and each part of that.
fn parts(secret: &Secret) -> Vec<String> {
    let whole = secret.reveal();
    let mut parts = vec![whole.to_owned()];
    if let Some((_, rest)) = whole.split_once("://") {
        let (authority, path) = rest.split_once(['/', '?']).unwrap_or((rest, ""));
        parts.extend(authority.rsplit_once('@').map(|(user, _)| user.to_owned()));
        parts.extend([path, path.split(['?', '#']).next().unwrap_or_default()].map(str::to_owned));
        parts.extend(path.split(['/', '?', '&', '=', '#']).map(str::to_owned));
    }
    parts.retain(|part| part.len() >= SHORTEST);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail with only the whole address taken out.
    #[test]
    fn no_part_of_an_address_is_shown() {
        let url =
            Secret::new("https://user:hunter2@hooks.example.com/services/T0001/B0002abc/XyZXyZXyZ?token=s3cr3t-s3cr3t");
        let way = Way::Webhook { url: url.clone(), secret: Secret::new("signing-key") };
        let said = format!(
            "could not post to {}: no B0002abc here,\n\u{7} POST /services/T0001/B0002abc/XyZXyZXyZ, signing-key",
            url.reveal()
        );
        assert_eq!(redact(&said, &way), "could not post to ***: no *** here, POST /***, ***");
        for part in ["hunter2", "B0002abc", "XyZXyZXyZ", "s3cr3t", "signing-key"] {
            assert!(!redact(part, &way).contains("XyZ") && !redact(&said, &way).contains(part), "{part}");
        }
        assert_eq!(redact(&"x".repeat(999), &way).chars().count(), 201);
    }

    #[test]
    fn a_short_secret_is_hidden_as_a_whole_address() {
        let way = Way::Slack { url: Secret::new("http://h/a/b") };
        assert_eq!(redact("tried http://h/a/b in vain", &way), "tried *** in vain");
    }
}
