#!/usr/bin/env python3
"""Times `cargo xtask build`, and compares what it makes with what other builders make of the same workspace.

usage: build.py [--repo PATH] [--bin target/debug/xtask] [--part nothing,one,cold,table] [--runs 5] [--check]

  nothing   everything is in the store, nothing has changed: seconds, on a workspace of 40 members, 10 of them programs
  one       one program of the ten has a new comment: how many are built
  cold      empty target folders: CPU time of the build / that of `cargo build` with the same flags, by turns
  table     with --repo: program, target, size, linker, and whether two folders with two homes of cargo give the same
            bytes, for `cargo xtask build`, `cargo zigbuild` and `cargo build`

Without --repo, the workspace is made anew in a temporary folder, from packages that must be on this machine or to be had.
The sides take turns; what counts is the median. With --check, a broken bound makes the exit code 1.
"""

import argparse
import hashlib
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PARTS = ("nothing", "one", "cold", "table")
TARGETS = ("x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl")
ELSEWHERE = ("CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS")
MEMBERS, PROGRAMS = 40, 10


def environment():
    env = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    if "CARGO" not in env:
        found = subprocess.run(["rustup", "which", "cargo"], capture_output=True, text=True, check=True)
        env["CARGO"] = found.stdout.strip()
    env["PATH"] = f"{pathlib.Path(env['CARGO']).resolve().parent}:{env['PATH']}"
    return env


ENV = environment()


def run(line, folder, env=None):
    """Wall and CPU seconds, and what was printed on stdout. A failure ends the measurement."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(line, cwd=folder, env=env or ENV, capture_output=True, text=True)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, line))} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make(root):
    """40 members: 10 programs, each over some of 30 libraries, and some packages of a registry."""
    write(root / "Cargo.toml", '[workspace]\nresolver = "3"\nmembers = ["m*"]\n')
    write(root / ".gitignore", "target\n")
    for n in range(MEMBERS):
        is_program = n < PROGRAMS
        uses = range(PROGRAMS + n, MEMBERS, PROGRAMS) if is_program else range(n + PROGRAMS, MEMBERS, PROGRAMS)
        lines = [f'm{u} = {{ path = "../m{u}" }}' for u in uses]
        if is_program:
            lines += ['serde_json = "1"', 'regex = "1"']
        manifest = f'[package]\nname = "m{n}"\nversion = "0.1.0"\nedition = "2024"\n\n[dependencies]\n'
        write(root / f"m{n}/Cargo.toml", manifest + "\n".join(lines) + "\n")
        calls = " + ".join(["1"] + [f"m{u}::f(x)" for u in uses])
        if is_program:
            body = (
                "fn main() {\n    let x = std::env::args().count() as u64;\n"
                f'    let n: u64 = {calls};\n    let re = regex::Regex::new("^[0-9]+$").unwrap();\n'
                '    println!("{} {}", serde_json::json!({ "n": n }), re.is_match(&n.to_string()));\n}\n'
            )
            write(root / f"m{n}/src/main.rs", body)
        else:
            write(root / f"m{n}/src/lib.rs", f"pub fn f(x: u64) -> u64 {{\n    x + {calls}\n}}\n")
    run(["cargo", "generate-lockfile"], root)
    for line in (["init", "-q"], ["add", "-A"], ["-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "b"]):
        run(["git", *line], root)


def built(root):
    return json.loads((root / "target/xtask/build.json").read_text())["programs"]


def nothing(args, root, told):
    run([args.bin, "build", "-q"], root)
    times = []
    for _ in range(args.runs):
        wall, _, _ = run([args.bin, "build"], root)
        if any(made["verdict"] != "cached" for made in built(root)):
            sys.exit("something was built although nothing changed")
        times.append(wall)
    told.append(("nothing changed, wall seconds", statistics.median(times), 0.5))


def one(args, root, told):
    run([args.bin, "build", "-q"], root)
    source = root / "m3/src/main.rs"
    text = source.read_text()
    source.write_text(text + "// changed\n")
    run([args.bin, "build", "-q"], root)
    source.write_text(text)
    made = [entry for entry in built(root) if entry["verdict"] == "passed"]
    names = {entry["program"] for entry in made}
    told.append(("one of ten changed: programs built", float(len(names)), 1.0))


def same_flags(args, root, target):
    """The environment of `cargo build` with the flags that the plan shows."""
    _, _, text = run([args.bin, "build", "--plan", "--format", "json", "--target", target], root)
    plan = json.loads(text)
    step = next(step for step in plan["steps"] if step["does"] == "build")
    home = ENV.get("CARGO_HOME", str(pathlib.Path.home() / ".cargo"))
    _, _, sysroot = run(["rustc", "--print", "sysroot"], root)
    places = {"<workspace>": str(root), "<target>": str(root / "plain"), "<cargo-home>": home, "<sysroot>": sysroot.strip()}
    env = dict(ENV)
    for name, value in step["environment"].items():
        for place, path in places.items():
            value = value.replace(place, path)
        env[name] = value
    env["CARGO_TARGET_DIR"] = str(root / "plain")
    programs = sorted({s["program"] for s in plan["steps"] if s["does"] == "build"})
    jobs = step["command"][step["command"].index("--jobs") + 1]
    line = ["cargo", "build", "--locked", "--release", "--target", target, "--jobs", jobs]
    return env, line + [word for name in programs for word in ("--bin", name)]


def cold(args, root, told):
    target = TARGETS[0]
    env, line = same_flags(args, root, target)
    ours, plain, ratios = [], [], []
    for _ in range(args.runs):
        shutil.rmtree(root / "target", ignore_errors=True)
        shutil.rmtree(root / "plain", ignore_errors=True)
        _, cpu, _ = run([args.bin, "build", "-q", "--target", target], root)
        ours.append(cpu)
        _, cpu, _ = run(line, root, env)
        plain.append(cpu)
    shutil.rmtree(root / "plain", ignore_errors=True)
    over, base = statistics.median(ours), statistics.median(plain)
    told.append(("cold, CPU seconds of `cargo build`", base, None))
    told.append(("cold, CPU seconds of `cargo xtask build`", over, base * 1.03 + 0.5))


def digests(root, line, env, places):
    """By (program, target): the digest and size of what `line` leaves below `places`."""
    run(line, root, env)
    found = {}
    for program, target, path in places():
        data = path.read_bytes()
        found[program, target] = (hashlib.sha256(data).hexdigest()[:12], len(data))
    return found


def home_like(folder):
    """A home of cargo with the downloads of the other one, to be unpacked anew."""
    real = pathlib.Path(ENV.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
    for name in ("registry/index", "registry/cache", "git/db", "config.toml", "bin"):
        if (real / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(real / name)
    return folder


def table(args, root, told):
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        sides = []
        for name in ("one", "the/other/one"):
            clone = scratch / name / "repository"
            run(["git", "clone", "-q", str(root), str(clone)], scratch)
            home = scratch / name / "cargo"
            home.mkdir(parents=True)
            sides.append((clone, dict(ENV, CARGO_HOME=str(home_like(home)))))
        rows = {}
        for builder in ("cargo xtask build", "cargo zigbuild", "cargo build"):
            results = []
            for clone, env in sides:
                if builder == "cargo xtask build":
                    run([args.bin, "build", "-q"], clone, env)
                    made = built(clone)
                    results.append({(m["program"], m["target"]): (m["sha256" if "sha256" in m else "digest"][:12], m["size"], m["linker"]["name"]) for m in made})
                    continue
                found = {}
                programs = sorted({m["program"] for m in built(clone)})
                for target in TARGETS:
                    for program in programs:
                        line = ["cargo", builder.split()[1], "--locked", "--release", "--target", target, "--bin", program]
                        done = subprocess.run(line, cwd=clone, env=env, capture_output=True, text=True)
                        path = clone / "target" / target / "release" / program
                        if done.returncode == 0 and path.exists():
                            data = path.read_bytes()
                            linker = "zig" if builder == "cargo zigbuild" else "cc"
                            found[program, target] = (hashlib.sha256(data).hexdigest()[:12], len(data), linker)
                        else:
                            found[program, target] = ("fails", 0, "cc")
                results.append(found)
            rows[builder] = results
        print("| program | target | builder | linker | bytes | the same bytes in two folders |")
        print("|---|---|---|---|---|---|")
        for key in sorted(rows["cargo xtask build"][0]):
            for builder, (one_side, other) in rows.items():
                digest, size, linker = one_side[key]
                stable = "fails" if digest == "fails" else "yes" if digest == other[key][0] else "no"
                print(f"| {key[0]} | {key[1]} | `{builder}` | {linker} | {size or '-'} | {stable} |")
                if builder == "cargo xtask build" and stable != "yes":
                    told.append((f"{key} is not the same in two folders", 1.0, 0.0))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", type=pathlib.Path)
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("target/debug/xtask"))
    parser.add_argument("--part", default="nothing,one,cold")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    args.bin = args.bin.resolve()
    parts = args.part.split(",")
    if set(parts) - set(PARTS):
        parser.error(f"--part takes {', '.join(PARTS)}")
    told = []
    with tempfile.TemporaryDirectory() as scratch:
        root = args.repo.resolve() if args.repo else pathlib.Path(scratch) / "workspace"
        if not args.repo:
            root.mkdir()
            make(root)
        for part in parts:
            globals()[part](args, root, told)
    broken = False
    for what, value, bound in told:
        beyond = bound is not None and value > bound
        broken |= beyond
        limit = "" if bound is None else f" (at most {bound:.3f}){' BROKEN' if beyond else ''}"
        print(f"{what}: {value:.3f}{limit}")
    sys.exit(1 if broken and args.check else 0)


if __name__ == "__main__":
    main()
