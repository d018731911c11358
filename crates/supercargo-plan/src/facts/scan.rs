//! A source file's text to what it names.
//!
//! Read token by token, without macros expanded: a literal that a macro passes on still counts as a path that may be
//! read. Where the text leaves open which file is meant, more is named rather than less.

use super::lexer::{Callee, Lexer, Token};
use super::source::{Inputs, Literal, Module, Source, Usage};

/// Macros whose literals are no files that the compiler reads.
const RUNTIME_MACROS: [&str; 33] = [
    "assert",
    "assert_eq",
    "assert_matches",
    "assert_ne",
    "bail",
    "concat",
    "dbg",
    "debug",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "ensure",
    "env",
    "eprint",
    "eprintln",
    "error",
    "format",
    "format_args",
    "info",
    "matches",
    "option_env",
    "panic",
    "print",
    "println",
    "todo",
    "trace",
    "unimplemented",
    "unreachable",
    "vec",
    "warn",
    "write",
    "writeln",
    "anyhow",
];

/// Longest literal that is taken for a path, in bytes.
const LONGEST_PATH: usize = 512;

/// Parses a source file; text that is no Rust gives what can be made of it.
#[must_use]
pub fn parse(text: &[u8]) -> Source {
    let mut reader = Reader {
        source: Source::default(),
        depth: 0,
        open: Vec::new(),
        closed_worlds: 0,
        counted_from: 0,
        has_modules: memchr::memmem::find(text, b"mod ").is_some(),
        pending_test: None,
        pending_paths: Vec::new(),
        joined: None,
    };
    if memchr::memmem::find(text, b"rerun_if_changed").is_some() {
        reader.source.inputs = Inputs::Computed;
    }
    let mut lexer = Lexer::new(text);
    while let Some(token) = lexer.next() {
        reader.token(token, &lexer);
        let every = reader.pending_test.is_some() || reader.closed_worlds > 0;
        if every && !lexer.every_bracket {
            reader.counted_from = reader.depth.saturating_sub(reader.closed_worlds);
        }
        lexer.every_bracket = every;
    }
    if reader.source.inputs == Inputs::Silent {
        // Bare words are folders only to a build script that names its inputs.
        let bare = |literal: &Literal| literal.usage == Usage::Any && !literal.text.contains(['/', '.']);
        reader.source.literals.retain(|literal| !bare(literal));
    }
    reader.source.literals.sort_by(|a, b| (&a.text, a.usage, a.test).cmp(&(&b.text, b.usage, b.test)));
    reader.source.literals.dedup();
    reader.source
}

/// Macros whose literals are put together to one.
const GATHERING: [&str; 6] = ["concat", "env", "include", "include_bytes", "include_str", "option_env"];

/// Words before `!(` that make it a negation.
const KEYWORDS: [&str; 7] = ["if", "while", "return", "in", "match", "else", "move"];

/// An open bracket and what it means for what is inside.
struct Open<'a> {
    /// How many brackets were open before it.
    depth: usize,
    /// Where what was understood of its inside ends.
    read_to: usize,
    /// A macro's name where the bracket is one of a macro call.
    macro_name: Option<&'a str>,
    /// The pieces of a `concat!`, an `env!` or an include so far.
    pieces: Option<String>,
    opens_attribute: bool,
    /// Where the attribute starts that it opens, or lies in.
    attribute: Option<usize>,
    test: bool,
    /// The module whose body it is.
    module: Option<&'a str>,
}

struct Reader<'a> {
    source: Source,
    /// How many brackets are open, of those that count: all in attributes, macro calls and announcements, else braces.
    depth: usize,
    /// How many attributes and macro calls are open.
    closed_worlds: usize,
    /// The depth since which every bracket has counted.
    counted_from: usize,
    /// Those of them that mean something.
    open: Vec<Open<'a>>,
    /// Whether the word `mod` occurs at all.
    has_modules: bool,
    /// Depth at which an item marked as test-only was announced and has not begun.
    pending_test: Option<usize>,
    pending_paths: Vec<String>,
    /// Where the last `join` of a literal ended, and the path that it and those right before it make.
    joined: Option<(usize, String)>,
}

impl<'a> Reader<'a> {
    fn token(&mut self, token: Token<'a>, lexer: &Lexer<'a>) {
        match token {
            Token::Sign(sign @ (b'(' | b'[' | b'{'), at) => self.opened(sign, at, lexer),
            Token::Sign(sign @ (b')' | b']' | b'}'), at) => self.closed(sign, at, lexer),
            Token::Sign(b';', at) => self.ended(at, lexer),
            Token::Sign(b',', _) => self.pending_test = self.pending_test.filter(|depth| *depth != self.depth),
            Token::Sign(..) => {}
            Token::Text(text, at) => self.literal(&text, at, lexer),
            Token::Doc(text, at) => {
                self.variable(&text, lexer.callee(at));
                self.add(&text, Usage::Any, true);
            }
        }
    }

    fn in_test(&self) -> bool {
        self.pending_test.is_some() || self.open.last().is_some_and(|open| open.test)
    }

    fn opened(&mut self, sign: u8, at: usize, lexer: &Lexer<'a>) {
        self.unknown_pieces(at, lexer);
        let depth = self.depth;
        let outer = self.open.last();
        let (outer_test, in_attribute) = outer.map_or((false, None), |open| (open.test, open.attribute));
        let before = lexer.before(at).map_or(0, |n| lexer.byte(n));
        let attribute = sign == b'[' && matches!(before, b'#' | b'!') && lexer.opens_attribute(at);
        if attribute && before == b'#' && matches!(lexer.squeezed(at, b']').as_slice(), b"cfg(test)" | b"test") {
            self.pending_test = Some(depth);
        }
        let macro_name = if before == b'!' && !attribute { macro_before(at, lexer) } else { None };
        let begins_item = sign == b'{' && self.pending_test == Some(depth);
        let mut module = None;
        if sign == b'{' {
            module = if self.has_modules { module_before(at, lexer) } else { None };
            self.pending_paths.clear();
            self.pending_test = self.pending_test.filter(|_| !begins_item);
        }
        let closed_world = attribute || macro_name.is_some();
        if sign == b'{' || closed_world || lexer.every_bracket {
            self.depth += 1;
        }
        if !closed_world && module.is_none() && !begins_item {
            return;
        }
        self.closed_worlds += usize::from(closed_world);
        self.open.push(Open {
            depth,
            read_to: at + 1,
            macro_name,
            pieces: macro_name.filter(|name| GATHERING.contains(name)).map(|_| String::new()),
            opens_attribute: attribute,
            attribute: attribute.then_some(at).or(in_attribute),
            test: outer_test || begins_item,
            module,
        });
    }

    fn closed(&mut self, sign: u8, at: usize, lexer: &Lexer<'a>) {
        self.unknown_pieces(at, lexer);
        if sign != b'}' && self.depth <= self.counted_from {
            // It was opened before brackets counted: what was announced inside has ended with it.
            self.pending_test = None;
            return;
        }
        self.depth = self.depth.saturating_sub(1);
        // What was announced inside has ended with it.
        self.pending_test = self.pending_test.filter(|depth| *depth <= self.depth);
        let Some(open) = self.open.pop_if(|open| open.depth >= self.depth) else { return };
        self.closed_worlds -= usize::from(open.macro_name.is_some() || open.opens_attribute);
        if let Some(outer) = self.open.last_mut() {
            outer.read_to = at + 1;
        }
        let (Some(pieces), Some(name)) = (open.pieces, open.macro_name) else { return };
        if name.ends_with("env") {
            self.source.name_variable(&pieces);
        }
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

    /// Words in a `concat!` or an include that are none of the macros read here stand for something unknown.
    fn unknown_pieces(&mut self, at: usize, lexer: &Lexer<'a>) {
        let Some(open) = self.open.last_mut() else { return };
        if let Some(pieces) = &mut open.pieces {
            let known = |word: &[u8]| GATHERING.iter().any(|name| name.as_bytes() == word);
            if lexer.words(open.read_to.min(at), at).any(|word| !known(word)) {
                pieces.push_str("{}");
            }
            open.read_to = at + 1;
        }
    }

    /// A `;`: an item has ended.
    fn ended(&mut self, at: usize, lexer: &Lexer<'a>) {
        if let Some(name) = self.has_modules.then(|| module_before(at, lexer)).flatten() {
            let around = self.open.iter().filter_map(|open| open.module);
            let name = around.chain([name]).collect::<Vec<_>>().join("/");
            let paths = std::mem::take(&mut self.pending_paths);
            let test = self.in_test();
            self.source.modules.push(Module { name, paths, test });
        }
        self.pending_test = self.pending_test.filter(|depth| *depth != self.depth);
        self.pending_paths.clear();
    }

    fn literal(&mut self, text: &str, at: usize, lexer: &Lexer<'a>) {
        self.unknown_pieces(at, lexer);
        let callee = lexer.callee(at);
        self.join(text, callee, lexer);
        self.variable(text, callee.or_else(|| lexer.callee(lexer.comments_before(at)?)));
        let end = lexer.at();
        let Some(open) = self.open.last_mut() else { return self.text(text) };
        open.read_to = end;
        let assigned = lexer.before(at).filter(|n| lexer.byte(*n) == b'=').and_then(|n| lexer.word_before(n));
        let attribute = open.attribute.and_then(|start| lexer.words(start, at).next());
        if assigned.is_some_and(|(word, _)| word == "path") && matches!(attribute, Some(b"path" | b"cfg_attr")) {
            self.pending_paths.push(text.to_owned());
            return;
        }
        match &mut open.pieces {
            Some(pieces) => pieces.push_str(text),
            None => self.text(text),
        }
    }

    /// In `.join("a").join("b")`, the path is `a/b`.
    fn join(&mut self, text: &str, callee: Option<Callee<'_>>, lexer: &Lexer<'a>) {
        let Some(("join" | "push", start, false)) = callee else { return };
        let before = lexer.before(start).and_then(|dot| lexer.before(dot));
        let path = match self.joined.take() {
            Some((end, before_it)) if before.is_some_and(|n| n >= end && lexer.byte(n) == b')' && n - end < 2) => {
                let path = format!("{before_it}/{text}");
                self.add(&path, Usage::Any, self.in_test());
                path
            }
            _ => {
                // Where it leads is a guess, and what reads it runs: that is for the package's own tests to see.
                self.add(text, Usage::Join, true);
                text.to_owned()
            }
        };
        self.joined = Some((lexer.at(), path));
    }

    /// In `env!("A")` and `env::var("A")`, a variable is named.
    fn variable(&mut self, text: &str, callee: Option<Callee<'_>>) {
        if let Some(("var" | "var_os", ..) | ("env" | "option_env", _, true)) = callee {
            self.source.name_variable(text);
        }
    }

    /// A literal that no `concat!` or include holds.
    fn text(&mut self, text: &str) {
        if text.contains("rerun-if-") {
            return text.split('\n').for_each(|line| self.rerun(line.trim()));
        }
        let compiled = self.open.iter().rev().find_map(|open| {
            let named = open.macro_name.map(|name| !RUNTIME_MACROS.contains(&name));
            named.or(open.attribute.map(|_| true))
        });
        let usage = if compiled == Some(true) { Usage::Macro } else { Usage::Any };
        self.add(text, usage, self.in_test());
    }

    /// One instruction of a build script to cargo.
    fn rerun(&mut self, line: &str) {
        line.split("rerun-if-env-changed=").skip(1).for_each(|name| self.source.name_variable(name));
        let instruction = line.strip_prefix("cargo::").or_else(|| line.strip_prefix("cargo:")).unwrap_or(line);
        let inputs = match instruction.strip_prefix("rerun-if-changed=") {
            Some(path) if path.trim_start_matches("{}").trim_start_matches('{').is_empty() => Inputs::Computed,
            Some(path) => {
                self.add(path, Usage::Rerun, false);
                if path.contains('{') && !path.starts_with("{CARGO_MANIFEST_DIR}") {
                    Inputs::Computed
                } else {
                    Inputs::Named
                }
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
            Usage::Join => text.bytes().all(is_name_byte),
            Usage::Include | Usage::Rerun => true,
        };
        if pathlike && !text.is_empty() && text.len() <= LONGEST_PATH && !text.chars().any(char::is_control) {
            self.source.literals.push(Literal { text: text.to_owned(), usage, test });
        }
    }
}

/// The macro that is called with the bracket at a place.
fn macro_before<'a>(at: usize, lexer: &Lexer<'a>) -> Option<&'a str> {
    let (name, _) = lexer.word_before(lexer.before(at)?)?;
    (!KEYWORDS.contains(&name)).then_some(name)
}

/// The module that is declared right before a place.
fn module_before<'a>(at: usize, lexer: &Lexer<'a>) -> Option<&'a str> {
    let (name, start) = lexer.word_before(at)?;
    // A raw identifier is named without its prefix.
    let raw = start >= 2 && lexer.byte(start - 1) == b'#' && lexer.byte(start - 2) == b'r';
    let (keyword, _) = lexer.word_before(if raw { start - 2 } else { start })?;
    (keyword == "mod").then_some(name)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(text: &str) -> Vec<String> {
        parse(text.as_bytes()).environment.into_iter().collect()
    }

    #[test]
    fn variables_are_those_that_code_names() {
        let one = |text: &str| assert_eq!(variables(text), ["A_1"], "{text}");
        one("const A: &str = env!(\"A_1\");");
        one("env!(\"A_1\", \"no such variable\")");
        one("std::option_env! [ r\"A_1\" ]");
        one("core::env!{r#\"A_1\"#}");
        one("fn f() { std::env::var(\"A_1\") }");
        one("let a = env::var_os(r#\"A_1\"#);");
        one("if var ( \"A_1\" ).is_ok() {}");
        one("system.var(\"A_1\")");
        one("include_str!(concat!(env!(\"A_1\"), \"/a.txt\"))");
        one("env!(concat!(\"A\", \"_1\"))");
        one("foreign!(a, b, option_env!(\"A_1\"))");
        one("#[doc = env!(\"A_1\")] struct S;");
        one("#[cfg(test)] mod t { fn f() { env::var(\"A_1\") } }");
        one("env::var(\n    // \"why\"\n    // and how\n    \"A_1\",\n)");
        one("env::var( // why\n \"A_1\")");
        one("env::var(/* why */ \"A_1\")");
        one("//! let a = std::env::var(\"A_1\");\n/// env!(\"A_1\")");
    }

    #[test]
    fn variables_that_a_build_script_watches() {
        let one = |text: &str| assert_eq!(variables(text), ["A_1"], "{text}");
        one("println!(\"cargo:rerun-if-env-changed=A_1\")");
        one("println!(\"cargo::rerun-if-env-changed=A_1\")");
        one("print!(\"a\\n  cargo:rerun-if-env-changed=A_1\\nb\")");
        one("println!(concat!(\"cargo:rerun-if-env-changed=\", \"A_1\"))");
        one("out.write_all(br\"cargo:rerun-if-env-changed=A_1\")");
    }

    #[test]
    fn what_names_no_variable() {
        let none = |text: &str| assert!(variables(text).is_empty(), "{text}: {:?}", variables(text));
        none("println!(\"cargo:rerun-if-env-changed={}\", name)");
        none("println!(\"cargo:rerun-if-env-changed=A_{name}\")");
        none("env::var(\"A B\"); env::var(\"\"); env::var(\"1A\"); env::var(\"A=\"); env::var(name)");
        none("env::set_var(\"A\", \"B\"); env::remove_var(\"A\"); my_var(\"A\"); command.env(\"A\", \"B\")");
        none("f(var, \"A\"); var[\"A\"]; \"var(\\\"A\\\")\"; // env::var(\"A\")\n/* env!(\"A\") */");
        none("f(\"http://x(\",\n\"A\")");
    }

    #[test]
    fn variables_leave_literals_as_they_are() {
        let source = parse(
            b"fn f() { env::var(\"a/b\"); p.join(\"x\"); join!(\"y\"); println!(\"cargo:rerun-if-env-changed=A\") }",
        );
        let literals: Vec<_> = source.literals.iter().map(|literal| (literal.text.as_str(), literal.usage)).collect();
        assert_eq!(literals, [("a/b", Usage::Any), ("x", Usage::Any), ("x", Usage::Join), ("y", Usage::Macro)]);
        assert_eq!(source.environment.into_iter().collect::<Vec<_>>(), ["A"]);
    }
}
