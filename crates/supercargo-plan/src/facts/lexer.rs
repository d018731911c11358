//! Rust's tokens, as far as finding string literals in code needs them: comments, characters and raw strings told apart.
//!
//! Words are not tokens of their own: whoever needs one looks back from a sign, so that most bytes are only skipped.

use std::borrow::Cow;

/// One token.
#[derive(Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// One of `( ) [ ] { } ; ,`, and where it stands.
    Sign(u8, usize),
    /// A string literal's content, escapes resolved, byte and C strings too; and where it starts.
    Text(Cow<'a, str>, usize),
    /// A quoted piece of a documentation comment, which may be code that a doctest compiles; and where it starts.
    Doc(Cow<'a, str>, usize),
}

/// A function or macro: its name, where that starts, and whether it is a macro.
pub type Callee<'a> = (&'a str, usize, bool);

/// Bytes at which something may begin that is a token, or is to be passed over as a whole: in code where every bracket
/// counts, and in code where only braces do, and the brackets of attributes and macro calls.
const STOPS: [[bool; 256]; 2] = [table(b"{};#!\"'/"), table(b"()[]{};,#\"'/")];

const fn table(bytes: &[u8]) -> [bool; 256] {
    let mut stops = [false; 256];
    let mut n = 0;
    while n < bytes.len() {
        stops[bytes[n] as usize] = true;
        n += 1;
    }
    stops
}

/// Yields the tokens of a text. Never fails: what is no Rust gives tokens of some kind.
pub struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    /// The rest of a documentation line.
    doc: Option<(usize, usize)>,
    /// Whether every bracket and comma is a token; else only braces are, and what opens an attribute or a macro call.
    pub every_bracket: bool,
}

impl<'a> Lexer<'a> {
    /// Starts at the beginning of `text`.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, doc: None, every_bracket: false }
    }

    /// Where the last byte before `end` is that is not white space.
    #[must_use]
    pub fn before(&self, end: usize) -> Option<usize> {
        self.text[..end].iter().rposition(|byte| !byte.is_ascii_whitespace())
    }

    /// The word that ends before `end`, white space between passed over, and where it starts.
    #[must_use]
    pub fn word_before(&self, end: usize) -> Option<(&'a str, usize)> {
        let last = self.before(end)?;
        let start = self.text[..=last].iter().rposition(|byte| !is_word_byte(*byte)).map_or(0, |n| n + 1);
        let word = std::str::from_utf8(&self.text[start..=last]).ok()?;
        (!word.is_empty()).then_some((word, start))
    }

    /// Whose first argument starts at `at`.
    #[must_use]
    pub fn callee(&self, at: usize) -> Option<Callee<'a>> {
        let open = self.before(at).filter(|open| matches!(self.text[*open], b'(' | b'[' | b'{'))?;
        let bang = self.before(open).filter(|bang| self.text[*bang] == b'!');
        let (name, start) = self.word_before(bang.unwrap_or(open))?;
        (bang.is_some() || self.text[open] == b'(').then_some((name, start, bang.is_some()))
    }

    /// Where the comments right before `at` start; none where there are none.
    #[must_use]
    pub fn comments_before(&self, mut at: usize) -> Option<usize> {
        let comment = |end: usize| {
            let last = self.before(end)?;
            if self.text[..=last].ends_with(b"*/") {
                return memchr::memmem::rfind(&self.text[..last], b"/*");
            }
            if !self.text[last + 1..end].contains(&b'\n') {
                return None;
            }
            let line = memchr::memrchr(b'\n', &self.text[..=last]).map_or(0, |n| n + 1);
            Some(line + self.text[line..=last].windows(2).position(|pair| pair == b"//")?)
        };
        let mut start = None;
        while let Some(before) = comment(at) {
            (at, start) = (before, Some(before));
        }
        start
    }

    /// Whether the `[` at a place opens an attribute.
    #[must_use]
    pub fn opens_attribute(&self, at: usize) -> bool {
        let Some(before) = self.before(at) else { return false };
        match self.text[before] {
            b'#' => true,
            b'!' => self.before(before).is_some_and(|n| self.text[n] == b'#'),
            _ => false,
        }
    }

    /// Where the last token ended.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at.min(self.text.len())
    }

    /// The byte at a place.
    #[must_use]
    pub fn byte(&self, at: usize) -> u8 {
        self.text[at]
    }

    /// What stands between the bracket at `open` and the next `close`, without white space.
    #[must_use]
    pub fn squeezed(&self, open: usize, close: u8) -> Vec<u8> {
        let end = self.seek(open, close);
        self.text[(open + 1).min(end)..end].iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
    }

    /// The words between two places that have no string between them; those of comments left out.
    pub fn words(&self, from: usize, to: usize) -> impl Iterator<Item = &'a [u8]> {
        let (text, mut at) = (&self.text[..to], from);
        std::iter::from_fn(move || {
            loop {
                let rest = text.get(at..)?;
                let end =
                    |needle: &[u8]| memchr::memmem::find(rest, needle).map_or(text.len(), |n| at + n + needle.len());
                let word = rest.iter().take_while(|byte| is_word_byte(**byte)).count();
                match rest {
                    [] => return None,
                    [b'/', b'/', ..] => at = end(b"\n"),
                    [b'/', b'*', ..] => at = end(b"*/"),
                    _ if word == 0 => at += 1,
                    _ => {
                        at += word;
                        return Some(&rest[..word]);
                    }
                }
            }
        })
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
        let open = from + memchr::memchr(b'"', self.text.get(from..end)?)?;
        let close = open + 1 + memchr::memchr(b'"', &self.text[open + 1..end])?;
        self.doc = Some((close + 1, end));
        Some(Token::Doc(String::from_utf8_lossy(&self.text[open + 1..close]), open))
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
        let quote = self.at;
        self.at += 1;
        let start = self.at;
        let end = memchr::memchr2(b'"', b'\\', &self.text[start..]);
        self.at = end.map_or(self.text.len(), |n| start + n);
        if self.peek(0) != b'\\' {
            let content = &self.text[start..self.at];
            self.at += 1;
            return Token::Text(String::from_utf8_lossy(content), quote);
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
                (b'\\', b'x') => {
                    let digits = self.text.get(self.at + 2..self.at + 4).and_then(|hex| std::str::from_utf8(hex).ok());
                    content.extend(digits.and_then(|hex| u8::from_str_radix(hex, 16).ok()));
                    self.at += 4;
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
        Token::Text(String::from_utf8_lossy(&content).into_owned().into(), quote)
    }

    /// A raw string whose first `#` or quote is here; none where this is no raw string.
    fn raw_string(&mut self) -> Option<Token<'a>> {
        let prefix = self.text[..self.at].iter().rposition(|byte| !is_word_byte(*byte)).map_or(0, |n| n + 1);
        if !matches!(&self.text[prefix..self.at], b"r" | b"br" | b"cr") {
            return None;
        }
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
        Some(Token::Text(String::from_utf8_lossy(&self.text[start..end]), prefix))
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || byte >= 0x80
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            if let Some(piece) = self.doc_piece() {
                return Some(piece);
            }
            let stops = &STOPS[usize::from(self.every_bracket)];
            let stop = self.text[self.at()..].iter().position(|byte| stops[usize::from(*byte)])?;
            self.at += stop;
            match self.text[self.at] {
                b'/' if self.peek(1) == b'/' => self.line_comment(),
                b'/' if self.peek(1) == b'*' => self.block_comment(),
                b'/' => self.at += 1,
                b'\'' => self.quote(),
                b'"' => return Some(self.raw_string().unwrap_or_else(|| self.string())),
                sign @ (b'#' | b'!') => {
                    if let Some(raw) = (sign == b'#').then(|| self.raw_string()).flatten() {
                        return Some(raw);
                    }
                    self.at += 1;
                    if let Some(bracket) = (!self.every_bracket).then(|| self.bracket_after(sign)).flatten() {
                        self.at = bracket + 1;
                        return Some(Token::Sign(self.text[bracket], bracket));
                    }
                }
                sign => {
                    self.at += 1;
                    return Some(Token::Sign(sign, self.at - 1));
                }
            }
        }
    }
}

impl Lexer<'_> {
    /// The bracket that makes the `#` before here an attribute, or the `!` a macro call.
    fn bracket_after(&self, sign: u8) -> Option<usize> {
        let next = |from: usize| (from..self.text.len()).find(|at| !self.text[*at].is_ascii_whitespace());
        let mut at = next(self.at)?;
        if sign == b'#' && self.text[at] == b'!' {
            at = next(at + 1)?;
        }
        let opens: &[u8] = if sign == b'#' { b"[" } else { b"([{" };
        opens.contains(&self.text[at]).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        let texts = Lexer::new(source.as_bytes()).filter_map(|token| match token {
            Token::Text(text, _) => Some(text.into_owned()),
            _ => None,
        });
        texts.collect()
    }

    #[test]
    fn strings_of_every_kind() {
        assert_eq!(
            texts(r##"a("x\"y", b"z", r"c\d", r#"e"f"#, br"g", c"h")"##),
            ["x\"y", "z", "c\\d", "e\"f", "g", "h"]
        );
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
        assert_eq!(tokens, [Token::Doc("x/y".into(), 12), Token::Doc("w".into(), 26)]);
    }

    #[test]
    fn rubbish_ends() {
        for text in ["\"", "r#\"", "'", "'\\", "/*", "b'", "r#", "\u{fffd}", "c\"\\"] {
            assert!(Lexer::new(text.as_bytes()).count() <= text.len() + 1, "{text}");
        }
    }
}
