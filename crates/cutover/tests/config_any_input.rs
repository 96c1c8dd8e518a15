//! No text panics the reader, and none makes it show a secret.

mod config;

use config::Folder;
use proptest::prelude::*;

/// Values of every kind, to stand where another kind is expected.
const VALUES: &[&str] = &[
    "\"\"",
    "\"x\"",
    "\"\\u0000\"",
    "\"ü é\"",
    "\":\"",
    "\"-\"",
    "\"{\"",
    "\"{}\"",
    "\"${\"",
    "\"/\"",
    "\"[::\"",
    "\"1-\"",
    "\"18446744073709551615d18446744073709551615d\"",
    "\"18446744073709551615GiB\"",
    "\"1ü\"",
    "0",
    "-1",
    "9223372036854775807",
    "0xffffffffffffffffff",
    "1.5",
    "nan",
    "true",
    "1979-05-27",
    "[]",
    "[[]]",
    "[\"\"]",
    "[0]",
    "[\"a\", 1]",
    "{}",
    "{ a = 1 }",
    "{ listen = 80 }",
    "{ \"\" = {} }",
    "'''\n'''",
];

/// One slip of the editor.
#[derive(Debug, Clone)]
enum Slip {
    Value(usize, usize),
    Remove(usize, usize),
    Insert(usize, String),
    Swap(usize, usize),
    Repeat(usize),
}

fn slip() -> impl Strategy<Value = Slip> {
    let at = || 0usize..4096;
    prop_oneof![
        4 => (at(), 0..VALUES.len()).prop_map(|(line, value)| Slip::Value(line, value)),
        1 => (at(), 0usize..40).prop_map(|(from, count)| Slip::Remove(from, count)),
        1 => (at(), "\\PC{0,4}|[\\[\\]{}=\"'.,\\r\\n#]{1,3}").prop_map(|(from, text)| Slip::Insert(from, text)),
        1 => (at(), at()).prop_map(|(a, b)| Slip::Swap(a, b)),
        1 => at().prop_map(Slip::Repeat),
    ]
}

fn apply(text: &str, slip: &Slip) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if chars.is_empty() || lines.is_empty() {
        return text.to_owned();
    }
    let (places, count) = (chars.len(), lines.len());
    match slip {
        Slip::Remove(from, length) => {
            let from = from % places;
            chars.drain(from..places.min(from + length));
            return chars.into_iter().collect();
        }
        Slip::Insert(from, new) => {
            let from = from % places;
            chars.splice(from..from, new.chars());
            return chars.into_iter().collect();
        }
        Slip::Value(line, value) => {
            let line = &mut lines[line % count];
            if let Some((key, _)) = line.split_once(" = ") {
                *line = format!("{key} = {}", VALUES[*value]);
            }
        }
        Slip::Swap(a, b) => lines.swap(a % count, b % count),
        Slip::Repeat(line) => lines.insert(line % count, lines[line % count].clone()),
    }
    lines.join("\n")
}

fn survives(folder: &Folder, text: &str) {
    for environment in [None, Some("staging")] {
        match folder.load(text, environment) {
            Ok(config) => assert!(!format!("{config:?}").contains("hunter2"), "{text}"),
            Err(errors) => {
                assert!(!errors.0.is_empty(), "refused without a reason: {text}");
                assert!(!errors.to_string().contains("hunter2"), "{errors}");
                let lines = text.split('\n').count() as u32;
                let places = errors.0.iter().filter_map(|error| error.place.as_ref());
                assert!(
                    places.filter(|place| place.file == "cutover.toml").all(|place| place.line <= lines),
                    "{errors}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_good_file_with_a_few_slips(slips in prop::collection::vec(slip(), 1..6)) {
        let folder = Folder::new();
        let text = slips.iter().fold(cutover::config::example().to_owned(), |text, slip| apply(&text, slip));
        survives(&folder, &text);
    }

    #[test]
    fn an_env_file_of_anything(text in "([A-Z]{0,2}[= '\"\\\\#]{0,3}\\PC{0,5}\r?\n?){0,8}") {
        let folder = Folder::new();
        folder.file("any.env", text);
        survives(&folder, "project = \"shop\"\n[service.web]\ncommand = [\"./server\"]\nenv_file = \"any.env\"");
    }

    #[test]
    fn anything(text in "\\PC{0,200}") {
        survives(&Folder::new(), &text);
    }
}

#[test]
fn a_deep_file_is_refused() {
    let folder = Folder::new();
    for deep in ["[".repeat(100_000), "{a=".repeat(100_000), format!("{}a", "a.".repeat(100_000))] {
        survives(&folder, &format!("x = {deep}"));
        survives(&folder, &format!("{deep} = 1"));
    }
}
