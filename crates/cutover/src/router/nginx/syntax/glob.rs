//! The patterns of `include`: those of glob(7), as nginx asks the C library to expand them.

/// Whether a path matches a pattern. `*`, `?` and `[…]` take no slash, and no dot at the beginning of a name.
pub fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len() && pattern.iter().zip(&path).all(|(pattern, name)| name_matches(pattern, name))
}

fn name_matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return name == pattern;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // The last star, and where in the name what follows it was tried to begin.
    let (mut star, mut p, mut n) = (None, 0, 0);
    while n < name.len() {
        match one(&pattern[p..], name[n]) {
            Some(_) if pattern[p] == '*' => {
                star = Some((p, n));
                p += 1;
            }
            Some(length) => (p, n) = (p + length, n + 1),
            None => match star {
                Some((at, begun)) => {
                    star = Some((at, begun + 1));
                    (p, n) = (at + 1, begun + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

/// How much of the pattern takes this character; `None` if it does not.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '*' | '?' => Some(1),
        '[' => class(pattern, c),
        '\\' if pattern.len() > 1 => (pattern[1] == c).then_some(2),
        plain => (*plain == c).then_some(1),
    }
}

/// `[a-z_]` or `[!0-9]`; a bracket that is not closed stands for itself.
fn class(pattern: &[char], c: char) -> Option<usize> {
    let begin = if matches!(pattern.get(1), Some('!' | '^')) { 2 } else { 1 };
    // A bracket directly behind the opening one is one of the characters.
    let Some(close) = pattern.iter().skip(begin + 1).position(|p| *p == ']').map(|at| at + begin + 1) else {
        return (c == '[').then_some(1);
    };
    let (set, mut at, mut found) = (&pattern[begin..close], 0, false);
    while at < set.len() {
        if at + 2 < set.len() && set[at + 1] == '-' {
            found |= (set[at]..=set[at + 2]).contains(&c);
            at += 3;
        } else {
            found |= set[at] == c;
            at += 1;
        }
    }
    (found != (begin == 2)).then_some(close + 1)
}
