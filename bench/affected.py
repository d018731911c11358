#!/usr/bin/env python3
"""Times `cargo xtask affected` against `cargo metadata` on one workspace, in one run, and prints the ratios.

usage: affected.py --repo PATH [--bin target/release/xtask] [--base HEAD~1] [--runs 15] [--check]

The commands take turns, so that a machine whose speed drifts slows all of them alike; what counts is the ratio of the
medians. Needs the workspace's packages on this machine (`cargo fetch --locked`). With --check, a ratio over its bound
makes the exit code 1. Set CARGO to time another cargo than the one that rustup gives.
"""

import argparse
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import time


def cargo(repo):
    """The real cargo, not rustup's shim: the shim's own time is not the question."""
    if "CARGO" in os.environ:
        return os.environ["CARGO"]
    found = subprocess.run(["rustup", "which", "cargo"], cwd=repo, capture_output=True, text=True, check=True)
    return found.stdout.strip()


def once(command, repo, env):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(command, cwd=repo, env=env, capture_output=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{command}: {done.stderr.decode(errors='replace')}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", required=True, type=pathlib.Path)
    parser.add_argument("--bin", default="target/release/xtask", type=pathlib.Path)
    parser.add_argument("--base", default="HEAD~1")
    parser.add_argument("--runs", default=15, type=int)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    repo, xtask = args.repo.resolve(), str(args.bin.resolve())
    env = {name: value for name, value in os.environ.items() if name != "CARGO_TARGET_DIR"}
    env["CARGO"] = cargo(repo)
    facts = repo / "target" / "xtask" / "facts"
    # A fresh clone's index makes git read every file again; one refresh, as any `git status` does, ends that.
    subprocess.run(["git", "update-index", "-q", "--refresh"], cwd=repo, check=False)

    metadata = [env["CARGO"], "metadata", "--format-version", "1", "--offline"]
    cold = lambda: shutil.rmtree(facts, ignore_errors=True)
    warm = lambda: None
    rows = [
        ("cargo metadata", metadata, warm, None),
        ("cargo metadata --no-deps", metadata + ["--no-deps"], warm, None),
        ("affected --head HEAD, first time", [xtask, "affected", args.base, "--head", "HEAD"], cold, 0.25),
        ("affected --head HEAD", [xtask, "affected", args.base, "--head", "HEAD"], warm, 0.06),
        ("affected, first time", [xtask, "affected", args.base], cold, None),
        ("affected", [xtask, "affected", args.base], warm, 0.12),
    ]
    times = {name: [] for name, *_ in rows}
    for _ in range(args.runs + 1):
        for name, command, prepare, _ in rows:
            prepare()
            times[name].append(once(command, repo, env))
    median = {name: [statistics.median(column) * 1e3 for column in zip(*runs[1:])] for name, runs in times.items()}
    whole = median["cargo metadata"]
    print(f"{repo.name}, {args.runs} runs, medians; ratio to `cargo metadata`")
    print(f"{'':34} {'wall ms':>8} {'ratio':>6} {'cpu ms':>8} {'ratio':>6} {'bound':>6}")
    late = 0
    for name, _, _, bound in rows:
        wall, cpu = median[name]
        late += bound is not None and wall / whole[0] > bound
        shown = "" if bound is None else f"{bound:.2f}"
        print(f"{name:34} {wall:8.1f} {wall / whole[0]:6.3f} {cpu:8.1f} {cpu / whole[1]:6.3f} {shown:>6}")
    return 1 if args.check and late else 0


if __name__ == "__main__":
    sys.exit(main())
