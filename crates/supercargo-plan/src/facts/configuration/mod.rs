//! Cargo's effective configuration, from the texts of its files: flags, linker, wrapper, and a digest of what counts.

mod digest;
mod node;

pub use digest::counted;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::conditions::Conditions;
use crate::problem::Problem;
use node::{Node, load};

/// One file of configuration.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file's absolute path, such as `/w/.cargo/config.toml`: paths in it start at the folder above its own.
    pub path: String,
    /// Its content.
    pub text: Vec<u8>,
}

/// Cargo's effective configuration.
#[derive(Clone, Debug)]
pub struct Configuration {
    here: String,
    root: Node,
    included: Vec<String>,
}

/// Parses the files of configuration that cargo reads when it is called in the absolute folder `here`: the nearest first,
/// `$CARGO_HOME`'s last, one of each folder (where there are both, `config` and not `config.toml`). They are merged as
/// cargo 1.95 does: tables key by key, the nearest wins, lists are joined with the nearest's last; below each file what
/// it names by `include`, for which `read` gives the content of the file at an absolute path.
///
/// # Errors
/// On the first file that cargo would refuse for its syntax, for an `include`, or for values that do not go together;
/// and where flags, a linker or a wrapper are of no type that they can have.
pub fn parse(
    here: &str,
    sources: &[Source],
    read: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
) -> Result<Configuration, Problem> {
    let mut root = Node::Table(BTreeMap::new());
    let mut included = Vec::new();
    for source in sources {
        let mut seen = BTreeSet::new();
        let node = load(&source.path, &source.text, read, &mut seen).and_then(|node| root.merge(node, false));
        node.map_err(|fault| {
            Problem::mend(format!("cargo's configuration {}: {fault}", source.path), format!("$EDITOR {}", source.path))
        })?;
        seen.remove(&source.path);
        included.extend(seen);
    }
    let configuration = Configuration { here: here.to_owned(), root, included };
    match configuration.fault() {
        None => Ok(configuration),
        Some((fault, path)) => {
            Err(Problem::mend(format!("cargo's configuration {path}: {fault}"), format!("$EDITOR {path}")))
        }
    }
}

impl Configuration {
    /// The files that were read because others include them, so that who keeps the answer knows what it depends on.
    #[must_use]
    pub fn included(&self) -> &[String] {
        &self.included
    }

    /// Whether any key is a condition: else nobody needs to ask rustc for a target's.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        self.targets().any(|(key, _)| key.starts_with("cfg("))
    }

    /// The profiles that it has something to say of.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        let profiles = match self.root.get(&["profile"]) {
            Some(Node::Table(profiles)) => Some(profiles),
            _ => None,
        };
        profiles.into_iter().flatten().map(|(name, _)| name.as_str())
    }

    /// The flags that rustc gets from cargo with `--target triple`, by the first of these that there is:
    /// `CARGO_ENCODED_RUSTFLAGS`, `RUSTFLAGS`, `target.*.rustflags`, `build.rustflags`. The target's `conditions` are
    /// those that rustc prints with the flags that there are without any (`None`); cargo goes round no second time.
    #[must_use]
    pub fn rustflags(
        &self,
        triple: &str,
        conditions: Option<&Conditions>,
        environment: &BTreeMap<String, String>,
    ) -> Vec<String> {
        if let Some(encoded) = environment.get("CARGO_ENCODED_RUSTFLAGS") {
            let flags = encoded.split('\u{1f}').map(str::to_owned);
            return if encoded.is_empty() { Vec::new() } else { flags.collect() };
        }
        if let Some(flags) = environment.get("RUSTFLAGS") {
            return flags.split(' ').map(str::trim).filter(|flag| !flag.is_empty()).map(str::to_owned).collect();
        }
        let mut flags = self.words(&keys_of(triple, "rustflags"), environment);
        for (key, _) in self.targets() {
            if conditions.is_some_and(|conditions| conditions.hold(key)) {
                flags.extend(self.words(&["target", key, "rustflags"], environment));
            }
        }
        if flags.is_empty() { self.words(&["build", "rustflags"], environment) } else { flags }
    }

    /// The linker for `triple`: a name for `PATH`, or an absolute path. The `conditions` are those that rustc prints with
    /// the final flags. Where several hold that name a linker, it is the first's: cargo refuses them.
    #[must_use]
    pub fn linker(
        &self,
        triple: &str,
        conditions: Option<&Conditions>,
        environment: &BTreeMap<String, String>,
    ) -> Option<String> {
        let conditional = || {
            let mut held = self.targets().filter(|(key, _)| conditions.is_some_and(|conditions| conditions.hold(key)));
            held.find_map(|(key, _)| self.program(&["target", key, "linker"], environment))
        };
        self.program(&keys_of(triple, "linker"), environment).or_else(conditional)
    }

    /// Whether folders are used in place of packages (`paths`), whose content nobody names.
    #[must_use]
    pub fn overrides(&self) -> bool {
        self.root.get(&["paths"]).is_some()
    }

    /// The compiler that takes the place of the toolchain's own.
    #[must_use]
    pub fn rustc(&self) -> Option<&str> {
        self.root.get(&["build", "rustc"]).and_then(Node::text).map(|(program, _)| program)
    }

    /// The value of a variable that `[env]` sets where the environment does not.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        let text = |keys: &[&str]| self.root.get(keys).and_then(Node::text).map(|(value, _)| value);
        text(&["env", name]).or_else(|| text(&["env", name, "value"]))
    }

    /// The program that is called in rustc's place, with rustc's path before its arguments.
    #[must_use]
    pub fn rustc_wrapper(&self, environment: &BTreeMap<String, String>) -> Option<String> {
        let wrapper = match environment.get("RUSTC_WRAPPER") {
            Some(wrapper) => Some(program(wrapper, &self.here)),
            None => self.program(&["build", "rustc-wrapper"], environment),
        };
        wrapper.filter(|wrapper| !wrapper.is_empty())
    }

    fn targets(&self) -> impl Iterator<Item = (&str, &Node)> {
        let targets = match self.root.get(&["target"]) {
            Some(Node::Table(targets)) => Some(targets),
            _ => None,
        };
        targets.into_iter().flatten().map(|(key, node)| (key.as_str(), node))
    }

    fn words(&self, keys: &[&str], environment: &BTreeMap<String, String>) -> Vec<String> {
        let mut words = self.root.get(keys).and_then(Node::words).unwrap_or_default();
        let added = environment.get(&variable(keys));
        words.extend(added.into_iter().flat_map(|words| words.split_whitespace()).map(str::to_owned));
        words
    }

    fn program(&self, keys: &[&str], environment: &BTreeMap<String, String>) -> Option<String> {
        match environment.get(&variable(keys)) {
            Some(value) => Some(program(value, &self.here)),
            None => self.root.get(keys).and_then(Node::text).map(|(value, path)| program(value, folder(path))),
        }
    }

    /// What no type fits of what is asked for here, and the file that says so.
    fn fault(&self) -> Option<(String, &str)> {
        let mut asked = vec![(vec!["build", "rustflags"], true), (vec!["build", "rustc-wrapper"], false)];
        for (key, _) in self.targets() {
            asked.push((vec!["target", key, "rustflags"], true));
            asked.push((vec!["target", key, "linker"], false));
        }
        asked.iter().find_map(|(keys, words)| {
            let node = self.root.get(keys)?;
            let fits = if *words { node.words().is_some() } else { node.text().is_some() };
            let wanted = if *words { "a string or a list of strings" } else { "a string" };
            (!fits).then(|| (format!("`{}` is not {wanted}", keys.join(".")), node.path()))
        })
    }
}

/// Cargo parts a triple at its dots, as TOML does.
fn keys_of<'a>(triple: &'a str, key: &'a str) -> Vec<&'a str> {
    ["target"].into_iter().chain(triple.split('.')).chain([key]).collect()
}

/// The variable that stands for a key.
fn variable(keys: &[&str]) -> String {
    format!("CARGO_{}", keys.join("_").replace('-', "_").to_uppercase())
}

/// The folder that paths in the file at `path` start from.
fn folder(path: &str) -> &str {
    let folder = Path::new(path).parent().and_then(Path::parent);
    folder.and_then(Path::to_str).unwrap_or("/")
}

/// A program as cargo calls it: a name is looked up in `PATH`, a path starts at `folder`.
fn program(value: &str, folder: &str) -> String {
    if value.contains('/') { Path::new(folder).join(value).to_string_lossy().into_owned() } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MUSL: &str = "x86_64-unknown-linux-musl";

    /// Parses files at `paths`, of which those that are included are only read where they are named.
    fn parsed(here: &str, files: &[(&str, &str)]) -> Result<Configuration, String> {
        let sources = files
            .iter()
            .filter(|(path, _)| path.contains("config"))
            .map(|(path, text)| Source { path: (*path).to_owned(), text: text.as_bytes().to_vec() });
        let mut read =
            |wanted: &str| files.iter().find(|(path, _)| *path == wanted).map(|(_, text)| text.as_bytes().to_vec());
        parse(here, &sources.collect::<Vec<_>>(), &mut read).map_err(|problem| problem.what)
    }

    fn variables(set: &[(&str, &str)]) -> BTreeMap<String, String> {
        set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn flags(files: &[(&str, &str)], set: &[(&str, &str)]) -> String {
        let conditions = Conditions::parse("unix\ntarget_env=\"musl\"\n");
        parsed("/w", files).unwrap().rustflags(MUSL, Some(&conditions), &variables(set)).join(" ")
    }

    #[test]
    fn flags_come_from_the_first_place_that_has_any() {
        let table = "target.x86_64-unknown-linux-musl.rustflags = ['t']\nbuild.rustflags = 'b  c'";
        let file = [("/w/.cargo/config.toml", table)];
        assert_eq!(flags(&file, &[]), "t");
        assert_eq!(flags(&file, &[("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS", "v  w")]), "t v w");
        assert_eq!(flags(&file, &[("RUSTFLAGS", " r  s ")]), "r s");
        assert_eq!(flags(&file, &[("RUSTFLAGS", "")]), "");
        assert_eq!(flags(&file, &[("RUSTFLAGS", "r"), ("CARGO_ENCODED_RUSTFLAGS", "e f\u{1f}g")]), "e f g");
        assert_eq!(flags(&file, &[("RUSTFLAGS", "r"), ("CARGO_ENCODED_RUSTFLAGS", "")]), "");
        let file =
            [("/w/.cargo/config.toml", "build.rustflags = 'b  c'\ntarget.x86_64-unknown-linux-musl.rustflags = []")];
        assert_eq!(flags(&file, &[]), "b c");
        assert_eq!(flags(&file, &[("CARGO_BUILD_RUSTFLAGS", "d")]), "b c d");
        assert_eq!(flags(&[], &[]), "");
    }

    #[test]
    fn conditions_add_to_the_target_in_the_order_of_their_keys() {
        let text = "[target.'cfg(unix)']\nrustflags = ['u']\n[target.'cfg(all())']\nrustflags = 'a'\n\
             [target.'cfg(windows)']\nrustflags = ['w']\n[target.x86_64-unknown-linux-musl]\nrustflags = ['t']";
        let configuration = parsed("/w", &[("/w/.cargo/config.toml", text)]).unwrap();
        assert!(configuration.is_conditional());
        assert_eq!(flags(&[("/w/.cargo/config.toml", text)], &[]), "t a u");
        assert_eq!(configuration.rustflags(MUSL, None, &variables(&[])), ["t"]);
    }

    #[test]
    fn the_nearest_wins_and_lists_are_joined() {
        let near = ("/w/.cargo/config.toml", "build.rustflags = ['near']\nbuild.rustc-wrapper = 'n'");
        let far = ("/.cargo/config", "build.rustflags = ['far']\nbuild.rustc-wrapper = 'f'");
        assert_eq!(flags(&[near, far], &[]), "far near");
        let configuration = parsed("/w", &[near, far]).unwrap();
        assert_eq!(configuration.rustc_wrapper(&variables(&[])).as_deref(), Some("n"));
        assert_eq!(configuration.rustc_wrapper(&variables(&[("CARGO_BUILD_RUSTC_WRAPPER", "a/b")])).unwrap(), "/w/a/b");
        assert_eq!(configuration.rustc_wrapper(&variables(&[("RUSTC_WRAPPER", "")])), None);
    }

    #[test]
    fn a_path_starts_above_the_folder_of_its_file() {
        let near = ("/w/.cargo/config.toml", "target.'cfg(unix)'.linker = 'ld'");
        let far = ("/home/me/.cargo/config.toml", "target.x86_64-unknown-linux-musl.linker = './bin/ld'");
        let unix = Conditions::parse("unix");
        let linker = |files: &[(&str, &str)], set: &[(&str, &str)]| {
            parsed("/w", files).unwrap().linker(MUSL, Some(&unix), &variables(set))
        };
        assert_eq!(linker(&[near], &[]).as_deref(), Some("ld"));
        assert_eq!(linker(&[near, far], &[]).as_deref(), Some("/home/me/./bin/ld"));
        let set = ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER", "x/ld");
        assert_eq!(linker(&[near, far], &[set]).as_deref(), Some("/w/x/ld"));
        assert_eq!(linker(&[], &[]), None);
    }

    #[test]
    fn what_is_included_lies_below_who_includes_it() {
        let main = (
            "/w/.cargo/config.toml",
            "include = ['a.toml', { path = 'no.toml', optional = true }, 'x/b.toml']\n\
             build.rustflags = ['m']\nbuild.rustc-wrapper = './m'",
        );
        let one = ("/w/.cargo/a.toml", "build = { rustflags = ['a'], rustc-wrapper = './a' }");
        let other = ("/w/.cargo/x/b.toml", "build.rustflags = ['b']\ntarget.x86_64-unknown-linux-musl.linker = './l'");
        let configuration = parsed("/w", &[main, one, other]).unwrap();
        assert_eq!(configuration.rustflags(MUSL, None, &variables(&[])), ["a", "b", "m"]);
        assert_eq!(configuration.rustc_wrapper(&variables(&[])).unwrap(), "/w/./m");
        assert_eq!(configuration.linker(MUSL, None, &variables(&[])).unwrap(), "/w/.cargo/./l");
        assert_eq!(configuration.included(), ["/w/.cargo/a.toml", "/w/.cargo/x/b.toml"]);
    }

    #[test]
    fn what_cargo_refuses_is_refused() {
        for (text, said) in [
            ("build = ", "line 1: "),
            ("include = 'a.toml'", "`include` is no list"),
            ("include = ['a']", "`include` names `a`, and cargo takes plain paths that end in .toml"),
            ("include = ['*.toml']", "`include` names `*.toml`"),
            ("include = [{ path = 'a.toml', optional = 1 }]", "`include.optional` is 1"),
            ("include = [{}]", "`include` names no file"),
            ("include = ['b.toml']", "there is no `/w/.cargo/b.toml`, which it includes"),
            ("include = ['config.toml']", "config.toml: `/w/.cargo/config.toml` is included more than once"),
            ("build.rustflags = 1", "`build.rustflags` is not a string or a list of strings"),
            ("build.rustflags = [1]", "`build.rustflags` is not a string or a list of strings"),
            ("target.x.linker = ['a']", "`target.x.linker` is not a string"),
            ("x = 1.5", "cargo takes no number like 1.5"),
            ("x = 1979-05-27", "cargo takes no dates"),
            ("[env]\nA = { value = 'b' }", "`env.A` is a single value here and a table in a nearer file"),
        ] {
            let far = ("/.cargo/config.toml", "env.A = 'b'");
            let fault = parsed("/w", &[("/w/.cargo/config.toml", text), far]).unwrap_err();
            let at = if text.contains("[env]") { "/.cargo" } else { "/w/.cargo" };
            assert!(fault.starts_with(&format!("cargo's configuration {at}/config.toml: {said}")), "{fault}");
        }
    }

    fn digest(here: &str, files: &[(&str, &str)]) -> String {
        parsed(here, files).unwrap().digest().to_string()
    }

    #[test]
    fn the_digest_is_of_what_can_change_a_program() {
        let of = |text: &str| digest("/w", &[("/w/.cargo/config.toml", text)]);
        let plain = of("build.rustflags = ['a']");
        for same in [
            "# a comment\n[build]\nrustflags = [ \"a\" ]\njobs = 3\ntarget-dir = 'x'\n[net]\noffline = true",
            "[build]\nrustflags = ['a']\n[alias]\nx = 'y'\n[term]\ncolor = 'never'\n[registries.r]\nindex = 'i'",
        ] {
            assert_eq!(of(same), plain, "{same}");
        }
        for same in ["build.jobs = 3", "build.rustc-wrapper = '/usr/bin/sccache'", "[env]\n[target.x]\nrunner = 'r'"] {
            assert_eq!(of(same), of(""), "{same}");
        }
        assert_ne!(of("build.rustc-wrapper = 'mine'"), of(""));
        let others = ["", "build.rustflags = ['b']", "build.rustflags = 'a'", "build.rustflags = ['a']\nenv.A = 'a'"];
        for other in others {
            assert_ne!(of(other), plain, "{other}");
        }
        let runner = |runner: &str| of(&format!("target.x.linker = 'l'\ntarget.x.runner = '{runner}'"));
        assert_eq!(runner("a"), runner("b"));
        assert_ne!(of("profile.release.lto = true"), of("profile.release.lto = false"));
        assert_ne!(of("env.A = '1'"), of("env.A = { value = '1', relative = true }"));
    }

    #[test]
    fn the_digest_is_the_same_in_another_folder() {
        let text = |root: &str| format!("build.rustflags = ['-L{root}/lib']\nbuild.rustc-wrapper = 'tools/wrap'");
        let at = |root: &str| {
            let file = format!("{root}/.cargo/config.toml");
            digest(root, &[(&file, &text(root)), ("/home/me/.cargo/config.toml", "target.x.linker = './ld'")])
        };
        assert_eq!(at("/w"), at("/some/where/else"));
        // The same words in a file of another folder mean another program; a name in `PATH` does not.
        let moved = |text: &str| ["/w/.cargo/config", "/.cargo/config"].map(|file| digest("/w", &[(file, text)]));
        let [near, far] = moved("target.x.linker = 'tools/ld'");
        assert_ne!(near, far);
        let [near, far] = moved("target.x.linker = 'ld'\nenv.A = 'a/b'\nbuild.rustflags = ['a/b']");
        assert_eq!(near, far);
        assert_ne!(
            digest("/w", &[("/w/.cargo/config", "env.A = '/w'")]),
            digest("/w", &[("/w/.cargo/config", "env.A = '/wx'")])
        );
    }
}
