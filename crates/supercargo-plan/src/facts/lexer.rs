//! Rust's tokens, as far as finding string literals in code needs them: comments, characters and raw strings told apart.

use std::borrow::Cow;

/// One token.
#[derive(Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// An identifier, keyword or number.
    Word(&'a str),
    /// One character of punctuation.
    Sign(u8),
    /// A string literal's content, escapes resolved; byte and C strings too.
    Text(Cow<'a, str>),
    /// A quoted piece of a documentation comment, which may be code that a doctest compiles.
    Doc(Cow<'a, str>),
}

/// Yields the tokens of a text. Never fails: what is no Rust gives tokens of some kind.
pub struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    /// The rest of a documentation line.
    doc: Option<(usize, usize)>,
}

impl<'a> Lexer<'a> {
    /// Starts at the beginning of `text`.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, doc: None }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn seek(&self, from: usize, byte: u8) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        memchr::memchr(byte, rest).map_or(self.text.len(), |n| from + n)
    }

    /// A line comment; a documentation comment's quoted pieces are tokens.
    fn line_comment(&mut self) {
        let end = self.seek(self.at, b'\n');
        let doc = self.peek(2) == b'!' || (self.peek(2) == b'/' && self.peek(3) != b'/');
        self.doc = doc.then_some((self.at + 3, end));
        self.at = end;
    }

    fn doc_piece(&mut self) -> Option<Token<'a>> {
        let (from, end) = self.doc.take()?;
        let open = self.seek(from, b'"');
        let close = self.seek(open + 1, b'"');
        if open >= end || close >= end {
            return None;
        }
        self.doc = Some((close + 1, end));
        Some(Token::Doc(String::from_utf8_lossy(&self.text[open + 1..close])))
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.text.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => (depth, self.at) = (depth + 1, self.at + 2),
                (b'*', b'/') => (depth, self.at) = (depth - 1, self.at + 2),
                _ => self.at += 1,
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// A character literal is passed over; of a lifetime, only its quote.
    fn quote(&mut self) {
        self.at += 1;
        if self.peek(0) == b'\\' {
            self.at = self.seek(self.at + 2, b'\'') + 1;
            return;
        }
        let width = match self.peek(0) {
            0xf0.. => 4,
            0xe0.. => 3,
            0xc0.. => 2,
            _ => 1,
        };
        if self.peek(width) == b'\'' {
            self.at += width + 1;
        }
    }

    /// A string whose opening quote is here.
    fn string(&mut self) -> Token<'a> {
        self.at += 1;
        let start = self.at;
        while self.at < self.text.len() && !matches!(self.peek(0), b'"' | b'\\') {
            self.at += 1;
        }
        if self.peek(0) != b'\\' {
            let content = &self.text[start..self.at];
            self.at += 1;
            return Token::Text(String::from_utf8_lossy(content));
        }
        let mut content = self.text[start..self.at].to_vec();
        while self.at < self.text.len() && self.peek(0) != b'"' {
            match (self.peek(0), self.peek(1)) {
                (b'\\', b'\n') => {
                    self.at += 2;
                    while self.peek(0).is_ascii_whitespace() {
                        self.at += 1;
                    }
                }
                (b'\\', escaped) => {
                    content.push(match escaped {
                        b'n' => b'\n',
                        b't' => b'\t',
                        b'r' => b'\r',
                        b'0' => 0,
                        other => other,
                    });
                    self.at += 2;
                }
                (byte, _) => {
                    content.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Token::Text(String::from_utf8_lossy(&content).into_owned().into())
    }

    /// A raw string whose first `#` or quote is here; none where this is no raw string.
    fn raw_string(&mut self) -> Option<Token<'a>> {
        let hashes = self.text[self.at..].iter().take_while(|byte| **byte == b'#').count();
        if self.peek(hashes) != b'"' {
            return None;
        }
        let start = self.at + hashes + 1;
        let mut end = start;
        loop {
            end = self.seek(end, b'"');
            let closing = self.text.get(end + 1..).unwrap_or_default().iter().take_while(|byte| **byte == b'#').count();
            if end >= self.text.len() || closing >= hashes {
                break;
            }
            end += 1;
        }
        self.at = (end + 1 + hashes).min(self.text.len());
        Some(Token::Text(String::from_utf8_lossy(&self.text[start..end])))
    }

    fn word(&mut self) -> Token<'a> {
        let start = self.at;
        while self.peek(0) == b'_' || self.peek(0).is_ascii_alphanumeric() || self.peek(0) >= 0x80 {
            self.at += 1;
        }
        let word = std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default();
        let prefixed = match word {
            "r" | "br" | "cr" => self.raw_string(),
            "b" | "c" if self.peek(0) == b'"' => Some(self.string()),
            "b" if self.peek(0) == b'\'' => {
                self.quote();
                return Token::Word("b");
            }
            _ => None,
        };
        if word == "r" && prefixed.is_none() && self.peek(0) == b'#' {
            // A raw identifier: its name is what counts.
            self.at += 1;
            return self.word();
        }
        prefixed.unwrap_or(Token::Word(word))
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            if let Some(piece) = self.doc_piece() {
                return Some(piece);
            }
            let byte = *self.text.get(self.at)?;
            match byte {
                b'/' if self.peek(1) == b'/' => self.line_comment(),
                b'/' if self.peek(1) == b'*' => self.block_comment(),
                b'\'' => self.quote(),
                b'"' => return Some(self.string()),
                b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | 0x80.. => return Some(self.word()),
                byte if byte.is_ascii_whitespace() => self.at += 1,
                sign => {
                    self.at += 1;
                    return Some(Token::Sign(sign));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        let texts = Lexer::new(source.as_bytes()).filter_map(|token| match token {
            Token::Text(text) => Some(text.into_owned()),
            _ => None,
        });
        texts.collect()
    }

    #[test]
    fn strings_of_every_kind() {
        assert_eq!(texts(r##"a("x\"y", b"z", r"c\d", r#"e"f"#, br"g", c"h")"##), ["x\"y", "z", "c\\d", "e\"f", "g", "h"]);
        assert_eq!(texts("\"one\\\n   two\""), ["onetwo"]);
    }

    #[test]
    fn quotes_that_open_no_string() {
        assert_eq!(texts("'\"' '\\'' b'\"' '\\u{22}' 'é' fn f<'a>(x: &'a str) { \"real\" }"), ["real"]);
        assert_eq!(texts("// \"no\"\n/* \"no\" /* \"no\" */ \"no\" */ \"yes\""), ["yes"]);
        assert_eq!(texts("r#type \"yes\""), ["yes"]);
    }

    #[test]
    fn documentation_gives_its_quoted_pieces() {
        let tokens: Vec<_> = Lexer::new(b"/// let a = \"x/y\"; \"z\n//! \"w\"\n//// \"no\"\n").collect();
        assert_eq!(tokens, [Token::Doc("x/y".into()), Token::Doc("w".into())]);
    }

    #[test]
    fn rubbish_ends() {
        for text in ["\"", "r#\"", "'", "'\\", "/*", "b'", "r#", "\u{fffd}", "c\"\\"] {
            assert!(Lexer::new(text.as_bytes()).count() <= text.len() + 1, "{text}");
        }
    }
}
