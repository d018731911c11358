#!/usr/bin/env python3
"""Times `cargo xtask gate` against the same steps run one after the other, on one workspace, in one run.

usage: gate.py --repo PATH [--bin target/release/xtask] [--part nothing,leaf,cold] [--leaf SOURCE] [--runs 5]
               [--cold-runs 3] [--gate-args WORDS] [--serial LINE] [--check]

  nothing   everything has passed before, nothing has changed: serial / gate
  leaf      one source file has a new comment before each run of either: gate / serial
  cold      a fresh target folder: one lane / the sum of its steps, and two lanes / one lane

The two sides take turns, so that a machine whose speed drifts slows both alike; what counts is the ratio of the medians.
A side that fails ends the measurement. Give a clone that nobody works in: `leaf` edits the file and puts it back, `cold`
removes the target folder. The workspace's packages must be on this machine (`cargo fetch --locked`). Where a step fails
for reasons of its own, --gate-args and --serial make both sides leave it out. With --check, a broken bound makes the exit
code 1. Set CARGO to use another cargo than the one that rustup gives.
"""

import argparse
import collections
import json
import os
import pathlib
import resource
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

SERIAL = (
    "cargo fmt --check && cargo clippy --workspace --all-targets"
    " && cargo nextest run --workspace && cargo test --doc --workspace"
)
PARTS = ("nothing", "leaf", "cold")
# Set by whoever calls, these would lead cargo out of the clone's own target folder.
ELSEWHERE = ("CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_BUILD_DIR")
SHOWN = 40  # lines of what a failed side said


def environment(repo):
    """Both sides call the real cargo, not rustup's shim: the shim's own time is not the question."""
    env = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    if "CARGO" not in env:
        found = subprocess.run(["rustup", "which", "cargo"], cwd=repo, capture_output=True, text=True, check=True)
        env["CARGO"] = found.stdout.strip()
    env["PATH"] = f"{pathlib.Path(env['CARGO']).resolve().parent}:{env['PATH']}"
    return env


class Bench:
    """The two sides, and what was measured of them."""

    def __init__(self, args):
        self.repo = args.repo.resolve()
        self.target = self.repo / "target"
        self.env = environment(self.repo)
        self.gate_line = [str(args.bin.resolve()), "gate", *shlex.split(args.gate_args)]
        self.serial_line = ["bash", "-c", args.serial]
        self.broken = 0

    def once(self, line):
        """Wall and CPU seconds of one run."""
        with tempfile.TemporaryFile() as said:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            start = time.perf_counter()
            done = subprocess.run(line, cwd=self.repo, env=self.env, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            wall = time.perf_counter() - start
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if done.returncode:
                said.seek(0)
                tail = said.read().decode(errors="replace").splitlines()[-SHOWN:]
                sys.exit("\n".join([*tail, f"gate.py: exit {done.returncode}, no measurement: {shlex.join(line)}"]))
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def gate(self, *more):
        return self.once([*self.gate_line, *more])

    def serial(self):
        return self.once(self.serial_line)

    def steps(self):
        """Verdict and seconds of each step, as the last gate's own record has them."""
        events = self.target / "xtask" / "gate" / "latest" / "events.jsonl"
        try:
            lines = [json.loads(line) for line in events.read_text().splitlines() if line.strip()]
        except (OSError, ValueError) as error:
            sys.exit(f"gate.py: the gate's record cannot be read: {error}")
        steps = [
            (line.get("verdict", "?"), float(line.get("seconds") or 0))
            for line in lines
            if line.get("reason") == "step-finished"
        ]
        return steps or sys.exit(f"gate.py: no step has finished, says {events}")

    def verdicts(self):
        counts = collections.Counter(verdict for verdict, _ in self.steps())
        return ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))

    def row(self, name, times):
        """Prints a side's medians; gives that of the wall time."""
        walls, cpus = zip(*times)
        wall = statistics.median(walls)
        print(f"{name:34} {wall:9.3f} {min(walls):9.3f} {max(walls):9.3f} {statistics.median(cpus):9.3f}", flush=True)
        return wall

    def bound(self, name, value, least=None, most=None):
        kept = value >= least if most is None else value <= most
        self.broken += not kept
        wanted = f">= {least}" if most is None else f"<= {most}"
        print(f"{name:34} {value:9.3f}   {wanted}, {'kept' if kept else 'BROKEN'}", flush=True)

    def nothing(self, runs):
        self.gate()
        self.serial()
        gate, serial = [], []
        for _ in range(runs):
            gate.append(self.gate())
            serial.append(self.serial())
        print(f"nothing changed, {runs} runs; the last gate's steps: {self.verdicts()}")
        ours, theirs = self.row("  gate", gate), self.row("  serial", serial)
        self.bound("  serial / gate", theirs / ours, least=75)
        self.bound("  gate, seconds", ours, most=0.5)

    def leaf(self, runs, path):
        git = ["git", "-C", str(self.repo)]
        name = os.path.relpath(self.repo / path, self.repo)
        if subprocess.run([*git, "ls-files", "--error-unmatch", name], capture_output=True).returncode:
            sys.exit(f"gate.py: {name} is not tracked by git")
        if subprocess.run([*git, "diff", "--quiet", "HEAD", "--", name]).returncode:
            sys.exit(f"gate.py: {name} has changes, which would be lost: commit or stash them")
        source = self.repo / name
        text = source.read_bytes()
        text += b"" if text.endswith(b"\n") else b"\n"

        def edited(side):
            # Never the same twice, in a later call of this program neither: what has passed once is cached.
            source.write_bytes(text + f"// {time.time_ns()}\n".encode())
            return side()

        self.gate()
        self.serial()
        gate, serial = [], []
        try:
            for _ in range(runs):
                gate.append(edited(self.gate))
                verdicts = self.verdicts()
                serial.append(edited(self.serial))
        finally:
            subprocess.run([*git, "checkout", "--quiet", "HEAD", "--", name], check=True)
        print(f"{name} edited, {runs} runs; the last gate's steps: {verdicts}")
        ours, theirs = self.row("  gate", gate), self.row("  serial", serial)
        self.bound("  gate / serial", ours / theirs, most=0.5)

    def cold(self, runs):
        one, two, over = [], [], []
        for _ in range(runs):
            for lanes, times in ((1, one), (2, two)):
                shutil.rmtree(self.target, ignore_errors=True)
                if self.target.exists():
                    sys.exit(f"gate.py: {self.target} cannot be removed")
                times.append(self.gate("--lanes", str(lanes)))
                if lanes == 1:
                    work = sum(seconds for _, seconds in self.steps())
                    over.append(times[-1][0] / work if work else float("inf"))
        print(f"fresh target folder, {runs} runs; the last gate's steps: {self.verdicts()}")
        alone, together = self.row("  one lane", one), self.row("  two lanes", two)
        self.bound("  one lane / the sum of its steps", statistics.median(over), most=1.05)
        self.bound("  two lanes / one lane", together / alone, most=1.0)


def first_line(command, repo, env):
    try:
        done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True)
    except OSError:
        return f"{command[0]} is absent"
    return done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else f"{shlex.join(command)} fails"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", required=True, type=pathlib.Path)
    parser.add_argument("--bin", default="target/release/xtask", type=pathlib.Path)
    parser.add_argument("--part", help="of nothing, leaf, cold; by default each, `leaf` where --leaf is given")
    parser.add_argument("--leaf", type=pathlib.Path, help="the source file that `leaf` edits, from --repo")
    parser.add_argument("--runs", default=5, type=int)
    parser.add_argument("--cold-runs", default=3, type=int)
    parser.add_argument("--gate-args", default="", help="more words for each gate, in one argument: --gate-args='-p a'")
    parser.add_argument("--serial", default=SERIAL, help="the serial side, as a line for bash")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    args.part = args.part.split(",") if args.part else [p for p in PARTS if p != "leaf" or args.leaf]
    unknown = sorted(set(args.part) - set(PARTS))
    if unknown:
        parser.error(f"--part: {', '.join(unknown)}: none of {', '.join(PARTS)}")
    if "leaf" in args.part and args.leaf is None:
        parser.error("--part leaf: name the source with --leaf")
    if min(args.runs, args.cold_runs) < 1:
        parser.error("--runs, --cold-runs: at least 1")
    if not args.bin.is_file():
        parser.error(f"--bin: {args.bin} is not there; cargo build --release --package xtask")
    if "cold" in args.part and args.bin.resolve().is_relative_to((args.repo / "target").resolve()):
        parser.error("--bin: `cold` removes the target folder that it lies in; copy it elsewhere")
    return args


def main():
    args = arguments()
    # So that an edited file is put back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(args)
    versions = [["git", "--version"], ["cargo", "--version"], ["cargo", "nextest", "--version"]]
    head = first_line(["git", "rev-parse", "--short=10", "HEAD"], bench.repo, bench.env)
    print(f"{bench.repo.name} at {head}; " + "; ".join(first_line(v, bench.repo, bench.env) for v in versions))
    print(f"gate:   {shlex.join(['xtask', *bench.gate_line[1:]])}")
    print(f"serial: {args.serial}")
    print(f"{'':34} {'wall s':>9} {'least':>9} {'most':>9} {'cpu s':>9}", flush=True)
    # A fresh clone's index makes git read every file again; one refresh, as any `git status` does, ends that.
    subprocess.run(["git", "update-index", "-q", "--refresh"], cwd=bench.repo, check=False)
    for part in PARTS:
        if part not in args.part:
            continue
        match part:
            case "nothing":
                bench.nothing(args.runs)
            case "leaf":
                bench.leaf(args.runs, args.leaf)
            case "cold":
                bench.cold(args.cold_runs)
    return 1 if args.check and bench.broken else 0


if __name__ == "__main__":
    sys.exit(main())
