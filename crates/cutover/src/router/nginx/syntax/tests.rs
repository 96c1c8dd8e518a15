use proptest::prelude::*;

use super::*;

fn said(directives: &[Directive]) -> String {
    let one = |directive: &Directive| {
        let words: Vec<&str> = directive.words.iter().map(|word| word.text.as_str()).collect();
        match &directive.block {
            Some(block) => format!("{}{{{}}}", words.join("|"), said(block)),
            None => format!("{};", words.join("|")),
        }
    };
    directives.iter().map(one).collect()
}

fn read(text: &str) -> String {
    parse(text.as_bytes()).map_or_else(|error| error.to_string(), |directives| said(&directives))
}

#[test]
fn it_reads_as_nginx_does() {
    for (text, wanted) in [
        ("", ""),
        ("worker_processes auto;", "worker_processes|auto;"),
        ("a b;c{d;}e f { }", "a|b;c{d;}e|f{}"),
        ("a # b;\n c;", "a|c;"),
        ("a x#y;", "a|x#y;"),
        ("a \"b;{}# c\" 'd \"e';", "a|b;{}# c|d \"e;"),
        ("a \"b\\\"c\" d\\ne f\\;g;", "a|b\"c|d\ne|f\\;g;"),
        ("a ${b}c$d{e;}", "a|${b}c$d{e;}"),
        ("if ($x = \"y\") { return 200; }", "if|($x|=|y|){return|200;}"),
        ("location ~ \\.php$ { x; }", "location|~|\\.php${x;}"),
        ("a b}c;", "a|b}c;"),
        ("content_by_lua_block { if x then y = \"}\" end -- }\n local t = {} } a;", "content_by_lua_block{}a;"),
        ("a\r\n{\r\nb\tc;\r\n}\r\n", "a{b|c;}"),
    ] {
        assert_eq!(read(text), wanted, "{text:?}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, wanted) in [
        ("a;\nb", "line 2: a \";\" or \"}\" is missing"),
        ("a {\nb;\n", "line 3: a \"}\" is missing"),
        ("a;\n}", "line 2: unexpected \"}\""),
        ("a;\n;", "line 2: unexpected \";\""),
        ("{", "line 1: unexpected \"{\""),
        ("a { b }", "line 1: unexpected \"}\""),
        ("a;\nb \"c", "line 2: a quote is not closed"),
        ("a \"b\"c;", "line 1: something follows a closing quote without a blank"),
        ("x_by_lua_block {\n\n", "line 1: a block of Lua is not closed"),
    ] {
        // A "}" in the middle of a statement is a mistake only where a word could begin.
        assert_eq!(read(text), wanted, "{text:?}");
    }
    assert!(read(&"a{".repeat(100_000)).contains("too many blocks"));
}

#[test]
fn words_and_ends_have_their_places() {
    let text = "x;\nupstream web {\n  server 'a' b;\n}\n";
    let directives = parse(text.as_bytes()).unwrap();
    let server = &directives[1].inner()[0];
    assert_eq!(&text[server.words[1].at.clone()], "'a'");
    assert_eq!((server.line(), &text[server.end..=server.end]), (3, ";"));
    assert_eq!(&text[directives[1].end..=directives[1].end], "}");
}

#[test]
fn patterns_are_those_of_glob() {
    for (pattern, path, wanted) in [
        ("/etc/nginx/conf.d/*.conf", "/etc/nginx/conf.d/web.conf", true),
        ("/etc/nginx/conf.d/*.conf", "/etc/nginx/conf.d/deep/web.conf", false),
        ("/etc/nginx/conf.d/*.conf", "/etc/nginx/conf.d/.web.conf", false),
        ("/etc/nginx/*/*", "/etc/nginx/conf.d/x", true),
        ("/a/?[bc][!d].x", "/a/qbe.x", true),
        ("/a/?[bc][!d].x", "/a/qbd.x", false),
        ("/a/[a-c]*z", "/a/bxyz", true),
        ("/a/[a-c]*z", "/a/dz", false),
        ("/a/*a*b", "/a/xaxxbab", true),
        ("/a/*a*b", "/a/xaxxba", false),
        ("/a/[x", "/a/[x", true),
        ("/a/b", "/a/b", true),
        ("/a/\\*", "/a/*", true),
    ] {
        assert_eq!(matches(pattern, path), wanted, "{pattern} {path}");
    }
}

proptest! {
    /// Whatever is in a file, reading it gives an answer, and every place lies inside the text.
    #[test]
    fn any_bytes_get_an_answer(text in proptest::collection::vec(prop_oneof![
        Just(b'{'), Just(b'}'), Just(b';'), Just(b'"'), Just(b'\''), Just(b'\\'), Just(b'#'), Just(b'$'), Just(b' '),
        Just(b'\n'), Just(b'a'), any::<u8>()], 0..200)) {
        if let Ok(directives) = parse(&text) {
            inside(&directives, text.len())?;
        }
    }

    /// What is written with quotes comes back word for word.
    #[test]
    fn quoted_words_come_back(words in proptest::collection::vec("[ -~\n\té]{0,12}", 1..6)) {
        let quoted: Vec<String> =
            words.iter().map(|word| format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))).collect();
        let directives = parse(format!("{};", quoted.join(" ")).as_bytes()).unwrap();
        let back: Vec<&str> = directives[0].words.iter().map(|word| word.text.as_str()).collect();
        prop_assert_eq!(back, words.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn any_pattern_gets_an_answer(pattern in "[*?\\[\\]!^a-c/.\\\\-]{0,16}", path in "[a-c/.]{0,16}") {
        matches(&pattern, &path);
    }
}

fn inside(directives: &[Directive], length: usize) -> Result<(), TestCaseError> {
    for directive in directives {
        prop_assert!(directive.end < length && !directive.words.is_empty());
        prop_assert!(directive.words.iter().all(|word| word.at.start <= word.at.end && word.at.end <= directive.end));
        inside(directive.inner(), length)?;
    }
    Ok(())
}
