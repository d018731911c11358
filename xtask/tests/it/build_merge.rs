//! Records of several machines in one, with the programs that they name, or why not.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::build_sandbox::{OTHER, OWN, Shipped, saying};
use crate::sandbox::Sandbox;

/// A clone that builds for one target: where its record lies.
fn machine(sandbox: &Sandbox, name: &str, arguments: &[&str]) -> PathBuf {
    let folder = sandbox.path(&format!("../{name}"));
    sandbox.git(&["clone", "--quiet", ".", folder.to_str().unwrap()]);
    let output = sandbox.building_in(&folder, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join("target/xtask/build.json")
}

/// Two machines, each of which built for one target.
fn two() -> (Sandbox, PathBuf, PathBuf) {
    let sandbox = Sandbox::shipping_both(&[("app", &saying("a")), ("other", &saying("b"))]);
    let one = machine(&sandbox, "one", &["--target", OWN]);
    let two = machine(&sandbox, "two", &["--target", OTHER]);
    (sandbox, one, two)
}

fn merge(sandbox: &Sandbox, records: &[&Path]) -> Shipped {
    let records: Vec<&str> = records.iter().map(|path| path.to_str().unwrap()).collect();
    sandbox.build(&[&["--merge"], &records[..]].concat())
}

/// What is done to a record.
type Edit<'a> = &'a dyn Fn(&mut Value);

/// The record of `from` beside its store, with `edit` done to it.
fn edited(sandbox: &Sandbox, from: &Path, edit: Edit<'_>) -> PathBuf {
    let folder = from.parent().unwrap();
    let path = folder.join("edited.json");
    let mut record: Value = serde_json::from_slice(&fs::read(from).unwrap()).unwrap();
    edit(&mut record);
    fs::write(&path, record.to_string()).unwrap();
    sandbox.path("target").exists().then(|| sandbox.remove("target"));
    path
}

#[test]
fn records_of_two_machines_come_to_one() {
    let (sandbox, one, two) = two();
    let merged = merge(&sandbox, &[&one, &two]).ends(0);
    let expected = ["app aarch64 passed", "app x86_64 passed", "other aarch64 passed", "other x86_64 passed"];
    assert_eq!(merged.verdicts(), expected);
    assert_eq!((sandbox.stored().len(), sandbox.names_seen().len()), (4, 4));
    assert!(!sandbox.path("target/xtask/cargo").exists(), "nothing is built");
    let turned = merge(&sandbox, &[&two, &one]).ends(0);
    assert_eq!(merged.record, turned.record);
    assert_eq!(merge(&sandbox, &[&one, &two, &one]).ends(0).record, merged.record);
    // Its own record is one too.
    assert_eq!(merge(&sandbox, &[&sandbox.path("target/xtask/build.json")]).ends(0).verdicts(), expected);
    // What was merged is not built again.
    let built = sandbox.build(&[]).ends(0).verdicts();
    assert_eq!(built, expected.map(|verdict| verdict.replace("passed", "cached")));
    let lacking = merge(&sandbox, &[&one]).ends(1);
    lacking.says(&format!("no record has: app({OTHER}), other({OTHER})"));
}

#[test]
fn bytes_that_are_missing_or_altered_are_not_merged() {
    let (sandbox, one, two) = two();
    let store = two.with_file_name("store/sha256");
    let name = crate::build_sandbox::listed(&store).remove(0);
    let bytes = fs::read(store.join(&name)).unwrap();
    fs::remove_file(store.join(&name)).unwrap();
    for altered in [None, Some(b"altered".to_vec()), Some(bytes[..bytes.len() - 1].to_vec())] {
        if let Some(altered) = altered {
            fs::write(store.join(&name), altered).unwrap();
        }
        let merged = merge(&sandbox, &[&one, &two]).ends(3);
        merged.says("are not here");
        merged.says("mend: put the `store` of the machine that built it beside");
        assert!(!sandbox.path("target/xtask/build.json").exists());
    }
    fs::write(store.join(&name), bytes).unwrap();
    merge(&sandbox, &[&one, &two]).ends(0);
}

#[test]
fn a_record_of_another_commit_or_of_nothing_is_refused_with_what_mends_it() {
    let (sandbox, one, two) = two();
    for (content, told) in [
        ("", "is no record of `build`"),
        ("{", "is no record of `build`"),
        ("[1]", "is no record of `build` in form 1"),
        ("{\"verb\":\"gate\",\"schema\":1}", "is no record of `build` in form 1: verb \"gate\""),
        ("{\"verb\":\"build\",\"schema\":2}", "schema 2"),
        ("{\"verb\":\"build\",\"schema\":1}", "is no whole record of `build`"),
    ] {
        fs::write(sandbox.path("../rubbish.json"), content).unwrap();
        let merged = merge(&sandbox, &[&one, &sandbox.path("../rubbish.json")]).ends(3);
        merged.says(told);
        merged.says("mend: cargo xtask build");
    }
    merge(&sandbox, &[&one, &sandbox.path("../nowhere.json")]).ends(3).says("cannot be read");
    sandbox.commit("on");
    merge(&sandbox, &[&one, &two]).ends(3).says("mend: git checkout ");
}

#[test]
fn a_program_that_is_not_the_same_in_two_records_is_a_conflict() {
    let (sandbox, one, two) = two();
    // A machine whose own configuration makes other bytes.
    sandbox.write("../home/.cargo/config.toml", "[build]\nrustflags = [\"-Copt-level=1\", \"-Cdebuginfo=1\"]\n");
    let three = machine(&sandbox, "three", &["--target", OWN]);
    let merged = merge(&sandbox, &[&one, &three]).ends(3);
    merged.says(&format!("app for {OWN} is not the same in"));
    merged.says("three/target/xtask/build.json");
    assert!(!sandbox.path("target/xtask/store/keys").exists(), "what does not agree is under no key");
    let other = crate::build_sandbox::listed(&two.with_file_name("store/sha256")).remove(0);
    // What a record calls a program must be one for its target, whatever its digest.
    let lying = edited(&sandbox, &one, &|record| {
        let size = fs::metadata(two.with_file_name("store/sha256").join(&other)).unwrap().len();
        record["programs"][0]["digest"] = other.as_str().into();
        record["programs"][0]["size"] = size.into();
    });
    let store = one.with_file_name("store/sha256");
    fs::copy(two.with_file_name("store/sha256").join(&other), store.join(&other)).unwrap();
    let merged = merge(&sandbox, &[&lying, &two]).ends(3);
    merged.says("it is made for AArch64");
    merged.says(&format!("mend: cargo xtask build --bin app --target {OWN}"));
}

#[test]
fn a_program_that_nobody_asked_for_so_is_refused() {
    let (sandbox, one, two) = two();
    let edits: [(Edit<'_>, &str); 6] = [
        (&|record| record["programs"][0]["profile"] = "dev".into(), "profile dev"),
        (&|record| record["programs"][0]["features"] = serde_json::json!(["x"]), "features"),
        (&|record| record["programs"][0]["version"] = "9.9.9".into(), "9.9.9"),
        (&|record| record["programs"][0]["program"] = "../../../evil".into(), "../../../evil"),
        (&|record| record["programs"][0]["target"] = "../../up".into(), "../../up"),
        (&|record| record["programs"][0]["size"] = 7.into(), "are not here"),
    ];
    for (edit, told) in edits {
        let wrong = edited(&sandbox, &one, edit);
        let merged = merge(&sandbox, &[&wrong, &two]).ends(3);
        merged.says(told);
        merged.says("mend: ");
        assert!(!sandbox.path("target/xtask/build.json").exists(), "{told}");
    }
}

#[test]
fn a_failure_of_one_machine_is_one_of_all() {
    let (sandbox, one, two) = two();
    let failed = edited(&sandbox, &one, &|record| {
        let made = record["programs"][0].as_object_mut().unwrap();
        made.remove("digest");
        made.remove("size");
        made.insert("verdict".into(), "failed".into());
        made.insert("because".into(), "it does not compile".into());
    });
    let merged = merge(&sandbox, &[&failed, &two]).ends(1);
    assert_eq!(merged.of("app", OWN)["verdict"], "failed");
    let interrupted = edited(&sandbox, &two, &|record| record["interrupted"] = true.into());
    assert_eq!(merge(&sandbox, &[&one, &interrupted]).ends(1).record["interrupted"], true);
    let left = edited(&sandbox, &two, &|record| {
        record["steps"][format!("std({OTHER})")] = serde_json::json!({ "verdict": "failed", "because": "x" });
    });
    merge(&sandbox, &[&one, &left]).ends(1);
}

#[test]
fn a_program_that_does_not_start_or_was_left_out_is_not_good() {
    let (sandbox, one, two) = two();
    let fails = edited(&sandbox, &one, &|record| {
        record["programs"][0]["smoke"] = serde_json::json!({ "verdict": "failed", "because": "exit code 1" });
    });
    merge(&sandbox, &[&fails, &two]).ends(1);
    // Who did not start it does not outweigh who did.
    merge(&sandbox, &[&one, &fails, &two]).ends(1);
    let left_out = edited(&sandbox, &one, &|record| {
        for made in record["programs"].as_array_mut().unwrap() {
            made["verdict"] = "skipped".into();
            made["because"] = "not affected since HEAD".into();
            for name in ["digest", "size"] {
                made.as_object_mut().unwrap().remove(name);
            }
        }
    });
    merge(&sandbox, &[&left_out, &two]).ends(1).says("no record has");
}
