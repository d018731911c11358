//! Which `cfg(..)` keys of cargo's configuration hold for a target: the only file that knows cargo-platform, cargo's own
//! reader of them.

use cargo_platform::{Cfg, CfgExpr};

/// The conditions that are set for a target: what rustc prints when asked ([`Self::question`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions(Vec<Cfg>);

impl Conditions {
    /// The arguments with which rustc prints the conditions that are set for `triple` with `flags`, as cargo asks. The
    /// type of the crate is part of it: `target_feature = "crt-static"` is not set for musl by default when it may be a
    /// procedural macro, and so it is not for cargo.
    #[must_use]
    pub fn question(triple: &str, flags: &[String]) -> Vec<String> {
        let asked = ["-", "--crate-name=___", "--crate-type=bin", "--crate-type=proc-macro", "--print=cfg", "--target"];
        let asked = asked.into_iter().chain([triple]).map(str::to_owned);
        asked.chain(flags.iter().cloned()).collect()
    }

    /// Parses what rustc prints: a name, or a name and a quoted value, a line. What is neither counts for nothing.
    #[must_use]
    pub fn parse(printed: &str) -> Self {
        // Cargo takes this one out, since it tells of rustc and not of the target.
        let lines = printed.lines().filter(|line| *line != "proc_macro");
        Self(lines.filter_map(|line| line.parse().ok()).collect())
    }

    /// Whether `key`, such as `cfg(all(unix, target_env = "musl"))`, holds. What is not written so does not.
    #[must_use]
    pub fn hold(&self, key: &str) -> bool {
        CfgExpr::matches_key(key, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_judged_as_cargo_does() {
        let printed = "debug_assertions\nproc_macro\ntarget_abi=\"\"\ntarget_env=\"musl\"\ntarget_os=\"linux\"\nunix\n";
        let conditions = Conditions::parse(printed);
        for (key, holds) in [
            ("cfg(unix)", true),
            ("cfg(windows)", false),
            ("cfg(target_env = \"musl\")", true),
            ("cfg(target_env=\"gnu\")", false),
            ("cfg(target_abi = \"\")", true),
            ("cfg(target_env)", false),
            ("cfg(debug_assertions)", true),
            ("cfg(proc_macro)", false),
            ("cfg(feature = \"x\")", false),
            ("cfg(not(feature = \"x\"))", true),
            ("cfg(all(unix, not(windows), target_os = \"linux\",))", true),
            ("cfg(all(unix, windows))", false),
            ("cfg(any(windows, unix))", true),
            ("cfg(all())", true),
            ("cfg(any())", false),
            ("cfg(true)", true),
            ("cfg(not(false))", true),
            ("cfg(r#unix)", true),
            ("cfg( unix )", true),
            // What is no expression does not hold.
            ("unix", false),
            ("cfg()", false),
            ("cfg(unix unix)", false),
            ("cfg(unix\t)", false),
            ("cfg(not(windows, unix))", false),
            ("cfg(not())", false),
            ("cfg(all)", false),
            ("cfg(all(unix)", false),
            ("cfg(any(,unix))", false),
            ("cfg(target_env = musl)", false),
            ("cfg(target_env = \"musl)", false),
            ("cfg(1x)", false),
            ("cfg(r#)", false),
            ("cfg(é)", false),
            ("cfg", false),
        ] {
            assert_eq!(conditions.hold(key), holds, "{key}");
        }
    }
}
