//! What a source file names, read from its text.

use supercargo_plan::facts::scan::parse;
use supercargo_plan::facts::source::{Inputs, Literal, Module, Usage};

fn literals(text: &str) -> Vec<(String, Usage, bool)> {
    let mut found: Vec<_> =
        parse(text.as_bytes()).literals.into_iter().map(|Literal { text, usage, test }| (text, usage, test)).collect();
    found.sort();
    found
}

fn modules(text: &str) -> Vec<(String, Vec<String>, bool)> {
    parse(text.as_bytes()).modules.into_iter().map(|Module { name, paths, test }| (name, paths, test)).collect()
}

#[test]
fn includes_in_every_spelling() {
    let one = |text: &str, path: &str| assert_eq!(literals(text), [(path.to_owned(), Usage::Include, false)], "{text}");
    one("const A: &str = include_str!(\"../a.txt\");", "../a.txt");
    one("const A: &[u8] = include_bytes! [ r\"../a.txt\" ];", "../a.txt");
    one("std::include!{\"../a.txt\"}", "../a.txt");
    one("#![doc = include_str!(\"../README.md\")]", "../README.md");
    one(
        "include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/../x/\", \"a.txt\"))",
        "{CARGO_MANIFEST_DIR}/../x/a.txt",
    );
    one("include!(concat!(env!(\"OUT_DIR\"), \"/gen.rs\"));", "{OUT_DIR}/gen.rs");
    one("include_str!(concat!($dir, \"/a.txt\"))", "{}/a.txt");
    one("include_str!(concat!(env!(\"ROOT\"), \"/a.txt\"))", "{}/a.txt");
}

#[test]
fn comments_name_nothing_but_documentation_may() {
    assert_eq!(literals("// include_str!(\"a/b\")\n/* \"c/d\" */"), []);
    assert_eq!(literals("/// let x = include_str!(\"a/b\");"), [("a/b".into(), Usage::Any, true)]);
}

#[test]
fn code_that_only_tests_compile_is_told_apart() {
    let of = |text: &str| literals(text).into_iter().map(|(text, _, test)| (text, test)).collect::<Vec<_>>();
    assert_eq!(
        of("fn a() { f(\"a/b\") }\n#[cfg(test)]\nmod t { fn b() { f(\"c/d\") } }\nfn c() { f(\"e/f\") }"),
        [("a/b".into(), false), ("c/d".into(), true), ("e/f".into(), false)]
    );
    assert_eq!(
        of("#[test] fn a() { f(\"a/b\") } fn b() { f(\"c/d\") }"),
        [("a/b".into(), true), ("c/d".into(), false)]
    );
    assert_eq!(
        of("#[cfg(test)] const A: &str = \"a/b\"; const B: &str = \"c/d\";"),
        [("a/b".into(), true), ("c/d".into(), false)]
    );
    // Not exactly `test`: it may be in the library.
    assert_eq!(of("#[cfg(any(test, feature = \"x\"))] mod t { const A: &str = \"a/b\"; }")[0], ("a/b".into(), false));
    assert_eq!(of("#[cfg(not(test))] mod t { const A: &str = \"a/b\"; }"), [("a/b".into(), false)]);
    assert_eq!(of("enum E { #[cfg(test)] A, B } const C: &str = \"a/b\";"), [("a/b".into(), false)]);
    assert_eq!(of("enum E { B, #[cfg(test)] A } const C: &str = \"a/b\";"), [("a/b".into(), false)]);
    assert_eq!(of("#[cfg(test)] fn f(x: [u8; 3]) { g(\"a/b\") }"), [("a/b".into(), true)]);
}

#[test]
fn modules_and_where_they_lie() {
    assert_eq!(modules("pub mod a; mod r#type;"), [("a".into(), vec![], false), ("type".into(), vec![], false)]);
    assert_eq!(
        modules("mod outer { mod inner; } mod next;"),
        [("outer/inner".into(), vec![], false), ("next".into(), vec![], false)]
    );
    assert_eq!(
        modules("#[path = \"../x.rs\"] mod a; mod b;"),
        [("a".into(), vec!["../x.rs".into()], false), ("b".into(), vec![], false)]
    );
    assert_eq!(
        modules("#[cfg_attr(unix, path = \"u.rs\")] #[cfg_attr(windows, path = \"w.rs\")] mod sys;"),
        [("sys".into(), vec!["u.rs".into(), "w.rs".into()], false)]
    );
    assert_eq!(
        modules("#[cfg(test)] mod tests;\nmod real;"),
        [("tests".into(), vec![], true), ("real".into(), vec![], false)]
    );
    assert_eq!(modules("#[cfg(test)]\n#[path = \"t.rs\"]\nmod tests;"), [("tests".into(), vec!["t.rs".into()], true)]);
    assert_eq!(modules("#[cfg(test)] mod tests { mod deep; }"), [("tests/deep".into(), vec![], true)]);
    assert_eq!(modules("// mod a;\nlet x = \"mod b;\";"), []);
}

#[test]
fn a_literal_in_an_attribute_or_a_foreign_macro_may_be_read_when_compiled() {
    let usage = |text: &str| literals(text)[0].1;
    assert_eq!(usage("#[template(path = \"hello.html\")] struct A;"), Usage::Macro);
    assert_eq!(usage("#[grammar = \"x.pest\"] struct A;"), Usage::Macro);
    assert_eq!(usage("#[folder = \"assets\"] struct A;"), Usage::Macro);
    assert_eq!(usage("static D: Dir = include_dir!(\"assets\");"), Usage::Macro);
    assert_eq!(usage("assert_eq!(read(\"data/x\"), y)"), Usage::Any);
    assert_eq!(usage("if !(a == \"data/x\") {}"), Usage::Any);
}

#[test]
fn what_a_build_script_says_of_its_inputs() {
    let inputs = |text: &str| parse(text.as_bytes()).inputs;
    assert_eq!(inputs("fn main() {}"), Inputs::Silent);
    assert_eq!(inputs("println!(\"cargo:rustc-link-lib=z\")"), Inputs::Silent);
    assert_eq!(inputs("println!(\"cargo:rerun-if-changed=a.c\")"), Inputs::Named);
    assert_eq!(inputs("println!(\"cargo::rerun-if-env-changed=CC\")"), Inputs::Named);
    assert_eq!(inputs("println!(\"cargo:rerun-if-changed={}\", p)"), Inputs::Computed);
    assert_eq!(inputs("println!(\"cargo:rerun-if-changed={p}\")"), Inputs::Computed);
    assert_eq!(inputs("println!(\"cargo:{}={}\", \"rerun-if-changed\", p)"), Inputs::Computed);
    assert_eq!(inputs("build_rs::output::rerun_if_changed(p)"), Inputs::Computed);
    assert_eq!(literals("println!(\"cargo:rerun-if-changed=../x/a.c\")"), [("../x/a.c".into(), Usage::Rerun, false)]);
    assert_eq!(
        literals("println!(concat!(\"cargo:rerun-if-changed=\", env!(\"CARGO_MANIFEST_DIR\"), \"/x\"))"),
        [("{CARGO_MANIFEST_DIR}/x".into(), Usage::Rerun, false)]
    );
}

#[test]
fn rubbish_is_read_to_its_end() {
    for text in [
        "",
        "\"",
        "#[",
        "#![cfg(test",
        "mod",
        "mod a",
        ";",
        "}}}}",
        "concat!(",
        "include_str!(\"",
        "r#\"",
        "//!\"",
        "\u{0}\"\u{0}",
    ] {
        assert!(parse(text.as_bytes()).literals.len() < 2, "{text}");
    }
    assert_eq!(parse(&[0xff, 0xfe, b'"', 0xff, b'/', b'"', b'\'', 0xf0]).modules, []);
}

#[test]
fn what_is_announced_ends_with_the_bracket_around_it() {
    let of = |text: &str| literals(text).into_iter().map(|(text, _, test)| (text, test)).collect::<Vec<_>>();
    assert_eq!(
        of("mod t { fn g(#[cfg(test)] x: u8) { f(\"a/b\") } } const C: &str = \"c/d\";"),
        [("a/b".into(), false), ("c/d".into(), false)]
    );
    assert_eq!(
        of("#[cfg(test)] mod t { fn g(#[cfg(test)] x: u8) {} const A: &str = \"a/b\"; } const C: &str = \"c/d\";"),
        [("a/b".into(), true), ("c/d".into(), false)]
    );
    assert_eq!(of("m!( #[cfg(test)] x ); const C: &str = \"c/d\";"), [("c/d".into(), false)]);
    assert_eq!(
        of(
            "if !(a) { f([1; 2], \"a/b\") } #[cfg(test)] mod t { fn h() { f(m!(1), \"c/d\") } } const E: &str = \"e/f\";"
        ),
        [("a/b".into(), false), ("c/d".into(), true), ("e/f".into(), false)]
    );
    assert_eq!(modules("m! { mod a; } #![x] mod b { #[y(z)] mod c; } mod d;").len(), 3);
    assert_eq!(modules("mod b { #[y(z)] fn f(a: [u8; 2]) { g!(h(1)) } mod c; } mod d;")[0].0, "b/c");
}

#[test]
fn joins_make_one_path() {
    assert_eq!(
        literals("fn f() { root().join(\"test\").join(\"scenarios\").join(name) }"),
        [("test".into(), Usage::Join, true), ("test/scenarios".into(), Usage::Any, false)]
    );
    assert_eq!(literals("fn f() { a.join(\"x\"); b.push(\"y\"); c.joined(\"z\") }").len(), 2);
}

#[test]
fn comments_in_an_include_are_no_part_of_it() {
    for text in [
        "include_str!(/* the */ \"../a.txt\")",
        "include_str!(\n    // the file\n    \"../a.txt\"\n)",
        "include_str!(\"\\x2e./a.txt\")",
    ] {
        assert_eq!(literals(text), [("../a.txt".into(), Usage::Include, false)], "{text}");
    }
    let text = "include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), // here\n \"/../a.txt\"))";
    assert_eq!(literals(text), [("{CARGO_MANIFEST_DIR}/../a.txt".into(), Usage::Include, false)]);
}
