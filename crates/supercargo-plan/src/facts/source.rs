//! What a Rust source file names: files it includes, modules it declares, paths among its string literals.
//!
//! Read token by token, without macros expanded: a literal that a macro passes on still counts as a path that may be
//! read. Where the text leaves open which file is meant, more is named rather than less.

use serde::{Deserialize, Serialize};

use super::lexer::{Lexer, Token};

/// What one source file names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "l")]
    pub literals: Vec<Literal>,
    /// Modules that lie in files of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "m")]
    pub modules: Vec<Module>,
    /// For a build script: what it says of its inputs.
    #[serde(default, skip_serializing_if = "Inputs::is_silent", rename = "i")]
    pub inputs: Inputs,
}

/// Whether a build script tells cargo what to watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inputs {
    /// It names nothing, so cargo watches every file of the package.
    #[default]
    Silent,
    /// It names all that it reads, in literals.
    Named,
    /// Some of what it names is computed, and so unknown here.
    Computed,
}

impl Inputs {
    fn is_silent(&self) -> bool {
        *self == Self::Silent
    }
}

/// A path in a source file. Text in `{}` or after `$` stands for what is not known, such as an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Literal {
    /// The text.
    #[serde(rename = "t")]
    pub text: String,
    /// How it is used.
    #[serde(default, skip_serializing_if = "is_default", rename = "u")]
    pub usage: Usage,
    /// Whether it stands in code that only tests compile.
    #[serde(default, skip_serializing_if = "is_default", rename = "c")]
    pub test: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How a literal is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Usage {
    /// Somewhere in the code: it may be read when it runs.
    #[default]
    Any,
    /// In an attribute or a macro that is not one of the standard library's: it may be read when it is compiled.
    Macro,
    /// In `include!`, `include_str!` or `include_bytes!`.
    Include,
    /// After `rerun-if-changed=`.
    Rerun,
}

/// A `mod name;`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its name, after the inline modules around it, parted by `/`.
    #[serde(rename = "n")]
    pub name: String,
    /// Files that `#[path]` (or a `cfg_attr` with `path`) gives it.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "p")]
    pub paths: Vec<String>,
    /// Whether only tests compile it.
    #[serde(default, skip_serializing_if = "is_default", rename = "c")]
    pub test: bool,
}

/// Macros whose literals are no files that the compiler reads.
const RUNTIME_MACROS: [&str; 33] = [
    "assert", "assert_eq", "assert_matches", "assert_ne", "bail", "concat", "dbg", "debug", "debug_assert",
    "debug_assert_eq", "debug_assert_ne", "ensure", "env", "eprint", "eprintln", "error", "format", "format_args",
    "info", "matches", "option_env", "panic", "print", "println", "todo", "trace", "unimplemented", "unreachable",
    "vec", "warn", "write", "writeln", "anyhow",
];

/// Longest literal that is taken for a path, in bytes.
const LONGEST_PATH: usize = 512;

/// Parses a source file; text that is no Rust gives what can be made of it.
#[must_use]
pub fn parse(text: &[u8]) -> Source {
    let mut reader = Reader {
        source: Source::default(),
        open: Vec::new(),
        before: [Before::Other; 2],
        attribute: String::new(),
        pending_test: None,
        pending_paths: Vec::new(),
        pending_module: None,
    };
    Lexer::new(text).for_each(|token| reader.token(token));
    if reader.source.inputs == Inputs::Silent {
        // Bare words are folders only to a build script that names its inputs.
        let bare = |literal: &Literal| literal.usage == Usage::Any && !literal.text.contains(['/', '.']);
        reader.source.literals.retain(|literal| !bare(literal));
    }
    reader.source.literals.sort_by(|a, b| (&a.text, a.usage, a.test).cmp(&(&b.text, b.usage, b.test)));
    reader.source.literals.dedup();
    reader.source
}

/// Words before `!(` that make it a negation.
const KEYWORDS: [&str; 7] = ["if", "while", "return", "in", "match", "else", "move"];

/// An open bracket and what it means for what is inside.
struct Open<'a> {
    /// A macro's name where the bracket is one of a macro call.
    macro_name: Option<&'a str>,
    /// The pieces of a `concat!`, an `env!` or an include so far.
    pieces: Option<String>,
    attribute: bool,
    test: bool,
    /// The module whose body it is.
    module: Option<&'a str>,
}

/// A token that came before.
#[derive(Clone, Copy, PartialEq)]
enum Before<'a> {
    Word(&'a str),
    Sign(u8),
    Other,
}

struct Reader<'a> {
    source: Source,
    open: Vec<Open<'a>>,
    /// The two tokens before this one, the nearer last.
    before: [Before<'a>; 2],
    /// The words and brackets of the attribute being read.
    attribute: String,
    /// Depth at which an item marked as test-only was announced and has not begun.
    pending_test: Option<usize>,
    pending_paths: Vec<String>,
    pending_module: Option<&'a str>,
}

impl<'a> Reader<'a> {
    fn token(&mut self, token: Token<'a>) {
        let shown = match &token {
            Token::Word(word) => Before::Word(word),
            Token::Sign(sign) => Before::Sign(*sign),
            Token::Text(_) => Before::Other,
            Token::Doc(_) => return self.doc(token),
        };
        match token {
            Token::Word(word) => self.word(word),
            Token::Sign(sign @ (b'(' | b'[' | b'{')) => self.opened(sign),
            Token::Sign(b')' | b']' | b'}') => self.closed(),
            Token::Sign(sign) => self.sign(sign),
            Token::Text(text) => self.literal(&text),
            Token::Doc(_) => {}
        }
        self.before = [self.before[1], shown];
    }

    fn doc(&mut self, token: Token<'a>) {
        if let Token::Doc(text) = token {
            self.add(&text, Usage::Any, true);
        }
    }

    fn in_test(&self) -> bool {
        self.pending_test.is_some() || self.open.last().is_some_and(|open| open.test)
    }

    fn word(&mut self, word: &'a str) {
        if self.before[1] == Before::Word("mod") {
            self.pending_module = Some(word);
        }
        if word == "rerun_if_changed" {
            self.source.inputs = Inputs::Computed;
        }
        let Some(open) = self.open.last_mut() else { return };
        if open.attribute {
            self.attribute.push_str(word);
        }
        // Something in a `concat!` or an include that is neither literal nor one of these macros is not known.
        if let (Some(pieces), false) = (&mut open.pieces, matches!(word, "env" | "option_env" | "concat")) {
            pieces.push_str("{}");
        }
    }

    fn opened(&mut self, sign: u8) {
        let outer = self.open.last();
        let (outer_test, in_attribute) = outer.map_or((false, false), |open| (open.test, open.attribute));
        let inner_attribute = self.before == [Before::Sign(b'#'), Before::Sign(b'!')];
        let attribute = sign == b'[' && (inner_attribute || self.before[1] == Before::Sign(b'#'));
        let macro_name = match self.before {
            [Before::Word(name), Before::Sign(b'!')] if !KEYWORDS.contains(&name) => Some(name),
            _ => None,
        };
        if attribute {
            self.attribute.clear();
            self.attribute.push(if inner_attribute { '!' } else { '#' });
        } else if in_attribute {
            self.attribute.push('(');
        }
        let gathers = macro_name.is_some_and(|name| {
            matches!(name, "concat" | "include" | "include_str" | "include_bytes" | "env" | "option_env")
        });
        let begins_item = sign == b'{' && self.pending_test == Some(self.open.len());
        let mut module = None;
        if sign == b'{' {
            module = self.pending_module.take();
            self.pending_paths.clear();
            self.pending_test = self.pending_test.filter(|_| !begins_item);
        }
        self.open.push(Open {
            macro_name,
            pieces: gathers.then(String::new),
            attribute: attribute || in_attribute,
            test: outer_test || begins_item,
            module,
        });
    }

    fn closed(&mut self) {
        let Some(open) = self.open.pop() else { return };
        // What was announced inside has ended with it.
        self.pending_test = self.pending_test.filter(|depth| *depth <= self.open.len());
        if open.attribute {
            self.attribute.push(')');
            let last = !self.open.last().is_some_and(|open| open.attribute);
            if last && matches!(self.attribute.as_str(), "#cfg(test))" | "#test)") {
                self.pending_test = Some(self.open.len());
            }
        }
        let (Some(pieces), Some(name)) = (open.pieces, open.macro_name) else { return };
        let whole = match (name, pieces.as_str()) {
            ("env" | "option_env", "OUT_DIR" | "CARGO_MANIFEST_DIR") => format!("{{{pieces}}}"),
            ("env" | "option_env", _) => "{}".to_owned(),
            _ => pieces,
        };
        match self.open.last_mut().and_then(|open| open.pieces.as_mut()) {
            Some(outer) => outer.push_str(&whole),
            None if name.starts_with("include") => self.add(&whole, Usage::Include, self.in_test()),
            None if name == "concat" => self.text(&whole),
            None => {}
        }
    }

    fn sign(&mut self, sign: u8) {
        let here = self.open.len();
        if sign == b';' {
            if let Some(name) = self.pending_module.take() {
                let around = self.open.iter().filter_map(|open| open.module);
                let name = around.chain([name]).collect::<Vec<_>>().join("/");
                let paths = std::mem::take(&mut self.pending_paths);
                let test = self.in_test();
                self.source.modules.push(Module { name, paths, test });
            }
        }
        if matches!(sign, b';' | b',') && self.pending_test == Some(here) {
            self.pending_test = None;
        }
        if sign == b';' {
            self.pending_paths.clear();
        }
    }

    fn literal(&mut self, text: &str) {
        if self.open.last().is_some_and(|open| open.attribute) {
            if self.before == [Before::Word("path"), Before::Sign(b'=')] {
                self.pending_paths.push(text.to_owned());
                return;
            }
            self.attribute.push('"');
        }
        match self.open.last_mut().and_then(|open| open.pieces.as_mut()) {
            Some(pieces) => pieces.push_str(text),
            None => self.text(text),
        }
    }

    /// A literal that no `concat!` or include holds.
    fn text(&mut self, text: &str) {
        if text.contains("rerun-if-") {
            return text.split('\n').for_each(|line| self.rerun(line.trim()));
        }
        let compiled = self.open.iter().rev().find_map(|open| {
            let named = open.macro_name.map(|name| !RUNTIME_MACROS.contains(&name));
            named.or(open.attribute.then_some(true))
        });
        let usage = if compiled == Some(true) { Usage::Macro } else { Usage::Any };
        self.add(text, usage, self.in_test());
    }

    /// One instruction of a build script to cargo.
    fn rerun(&mut self, line: &str) {
        let instruction = line.strip_prefix("cargo::").or_else(|| line.strip_prefix("cargo:")).unwrap_or(line);
        let inputs = match instruction.strip_prefix("rerun-if-changed=") {
            Some(path) if path.trim_start_matches("{}").trim_start_matches('{').is_empty() => Inputs::Computed,
            Some(path) => {
                self.add(path, Usage::Rerun, false);
                if path.contains('{') && !path.starts_with("{CARGO_MANIFEST_DIR}") { Inputs::Computed } else { Inputs::Named }
            }
            None if instruction.starts_with("rerun-if-env-changed") => Inputs::Named,
            None if instruction.starts_with("rerun-if-changed") => Inputs::Computed,
            None => return,
        };
        self.source.inputs = match (self.source.inputs, inputs) {
            (Inputs::Silent, new) => new,
            (Inputs::Computed, _) | (_, Inputs::Computed) => Inputs::Computed,
            (old, _) => old,
        };
    }

    fn add(&mut self, text: &str, usage: Usage, test: bool) {
        let pathlike = match usage {
            Usage::Any | Usage::Macro => text.contains('/') || text.bytes().all(is_name_byte),
            Usage::Include | Usage::Rerun => true,
        };
        if pathlike && !text.is_empty() && text.len() <= LONGEST_PATH && !text.chars().any(char::is_control) {
            self.source.literals.push(Literal { text: text.to_owned(), usage, test });
        }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}
