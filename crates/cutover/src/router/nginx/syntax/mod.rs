//! nginx's configuration syntax: words, directives, blocks, comments, quotes and includes, with the place of each in the text.
//!
//! It reads as nginx does (`ngx_conf_read_token` in its source), and takes bytes: comments in old encodings must survive an
//! edit. Nothing is known here about what directives mean, but for one thing: the blocks of nginx's Lua module hold Lua.

mod glob;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use glob::matches;

/// Blocks may lie in each other this deep. nginx itself has fewer contexts.
const DEEPEST: usize = 64;

/// A directive, with its block if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Its name and arguments.
    pub words: Vec<Word>,
    /// What stands between its braces; `None` if it ends with a semicolon.
    pub block: Option<Vec<Directive>>,
    /// Where its semicolon or closing brace is.
    pub end: usize,
}

/// A word, without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What it says.
    pub text: String,
    /// Where it stands, with its quotes.
    pub at: Range<usize>,
    /// On which line; the first is 1.
    pub line: usize,
}

/// Where a text stops being nginx configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct SyntaxError {
    /// The line; the first is 1.
    pub line: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl Directive {
    /// Its name.
    pub fn name(&self) -> &str {
        self.words.first().map_or("", |word| word.text.as_str())
    }

    /// Its arguments.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.words.iter().skip(1).map(|word| word.text.as_str())
    }

    /// Its first argument.
    pub fn argument(&self) -> Option<&str> {
        self.arguments().next()
    }

    /// The line it begins on.
    pub fn line(&self) -> usize {
        self.words.first().map_or(0, |word| word.line)
    }

    /// The directives of its block.
    pub fn inner(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// Reads a whole text.
pub fn parse(text: &[u8]) -> Result<Vec<Directive>, SyntaxError> {
    let mut reader = Scanner { text, at: 0, line: 1 };
    // Each open block: the words before its brace, and what it holds so far.
    let mut open: Vec<(Vec<Word>, Vec<Directive>)> = Vec::new();
    let mut here: Vec<Directive> = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    loop {
        let at = reader.at;
        let token = reader.next()?;
        let line = reader.line;
        match token {
            Token::Word(word) => words.push(word),
            Token::Semicolon if words.is_empty() => return Err(SyntaxError { line, what: "unexpected \";\"" }),
            Token::Semicolon => {
                here.push(Directive { words: std::mem::take(&mut words), block: None, end: reader.at - 1 });
            }
            Token::Open if words.is_empty() => return Err(SyntaxError { line, what: "unexpected \"{\"" }),
            Token::Open if words[0].text.ends_with("_by_lua_block") => {
                reader.skip_lua()?;
                let block = Some(Vec::new());
                here.push(Directive { words: std::mem::take(&mut words), block, end: reader.at - 1 });
            }
            Token::Open if open.len() >= DEEPEST => return Err(SyntaxError { line, what: "too many blocks" }),
            Token::Open => open.push((std::mem::take(&mut words), std::mem::take(&mut here))),
            Token::Close => {
                let Some((head, outer)) = open.pop().filter(|_| words.is_empty()) else {
                    return Err(SyntaxError { line, what: "unexpected \"}\"" });
                };
                let inner = std::mem::replace(&mut here, outer);
                here.push(Directive { words: head, block: Some(inner), end: reader.at - 1 });
            }
            Token::End if words.is_empty() && open.is_empty() => return Ok(here),
            Token::End => {
                let what = if words.is_empty() { "a \"}\" is missing" } else { "a \";\" or \"}\" is missing" };
                return Err(SyntaxError { line, what });
            }
        }
        debug_assert!(reader.at > at, "every token but the last takes something");
    }
}

enum Token {
    Word(Word),
    Semicolon,
    Open,
    Close,
    End,
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl Scanner<'_> {
    fn take(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<Token, SyntaxError> {
        loop {
            match self.peek() {
                None => return Ok(Token::End),
                Some(b' ' | b'\t' | b'\r' | b'\n') => drop(self.take()),
                Some(b'#') => while self.take().is_some_and(|byte| byte != b'\n') {},
                Some(b';') => return Ok(self.sign(Token::Semicolon)),
                Some(b'{') => return Ok(self.sign(Token::Open)),
                Some(b'}') => return Ok(self.sign(Token::Close)),
                Some(quote @ (b'"' | b'\'')) => return self.quoted(quote).map(Token::Word),
                Some(_) => return Ok(Token::Word(self.plain())),
            }
        }
    }

    fn sign(&mut self, token: Token) -> Token {
        self.take();
        token
    }

    fn quoted(&mut self, quote: u8) -> Result<Word, SyntaxError> {
        let (begin, line) = (self.at, self.line);
        self.take();
        let mut said = Vec::new();
        loop {
            match self.take() {
                None => return Err(SyntaxError { line, what: "a quote is not closed" }),
                Some(b'\\') => said.extend(self.escaped()),
                Some(byte) if byte == quote => break,
                Some(byte) => said.push(byte),
            }
        }
        if let Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')') | None = self.peek() {
            return Ok(self.word(said, begin, line));
        }
        Err(SyntaxError { line: self.line, what: "something follows a closing quote without a blank" })
    }

    fn plain(&mut self) -> Word {
        let (begin, line) = (self.at, self.line);
        let mut said = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' => break,
                // `${name}` is a variable, not a block.
                b'{' if said.last() != Some(&b'$') => break,
                b'\\' => {
                    self.take();
                    said.extend(self.escaped());
                }
                _ => said.extend(self.take()),
            }
        }
        self.word(said, begin, line)
    }

    /// What a backslash and the byte behind it stand for.
    fn escaped(&mut self) -> Vec<u8> {
        match self.take() {
            Some(byte @ (b'"' | b'\'' | b'\\')) => vec![byte],
            Some(b't') => vec![b'\t'],
            Some(b'r') => vec![b'\r'],
            Some(b'n') => vec![b'\n'],
            Some(byte) => vec![b'\\', byte],
            None => vec![b'\\'],
        }
    }

    fn word(&self, said: Vec<u8>, begin: usize, line: usize) -> Word {
        Word { text: String::from_utf8_lossy(&said).into_owned(), at: begin..self.at, line }
    }

    /// Lua between braces: only its own braces, strings and comments matter.
    fn skip_lua(&mut self) -> Result<(), SyntaxError> {
        let begun = self.line;
        let mut depth = 1;
        while depth > 0 {
            match self.take() {
                None => return Err(SyntaxError { line: begun, what: "a block of Lua is not closed" }),
                Some(b'{') => depth += 1,
                Some(b'}') => depth -= 1,
                Some(quote @ (b'"' | b'\'')) => self.skip_lua_string(quote),
                Some(b'-') if self.peek() == Some(b'-') => while self.take().is_some_and(|byte| byte != b'\n') {},
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn skip_lua_string(&mut self, quote: u8) {
        while let Some(byte) = self.take() {
            match byte {
                b'\\' => drop(self.take()),
                b'\n' => return,
                _ if byte == quote => return,
                _ => {}
            }
        }
    }
}
