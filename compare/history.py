#!/usr/bin/env python3
"""Compares `xtask affected` with guppy's determinator over a repository's real history.

Each of the last first-parent commits is compared with its first parent. For every member that the determinator has
and xtask has not, the changed paths are asked why; what they do not tell is UNEXPLAINED, and for a person to look at.
An explanation goes by folders, manifests and modules: it does not see a test that walks through another member's files.
Python 3.11, standard library only.
"""

import argparse
import collections
import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
UNEXPLAINED = "UNEXPLAINED"
NAMED = "named by sources of nobody but"
# What xtask takes for nobody's at the root of a package, of the workspace or of the repository.
NOBODYS = re.compile(r"(readme|changelog|changes|releases)(\.(md|txt|rst|adoc))?", re.IGNORECASE)
# The determinator's default rules: paths that count for nobody, and paths that count for everyone.
IGNORED = re.compile(
    r"(.*/)?\.(gitignore|gitattributes|ignore)|\.(docker|hg|svn)ignore|clippy\.toml|rustfmt\.toml|\.lintrules/.*"
    r"|Cargo\.lock|(.*/)?(README|LICENSE|CONTRIBUTING|CODE_OF_CONDUCT|SECURITY).*"
)
EVERYONES = re.compile(r"rust-toolchain|Cargo\.toml|(.*/)?\.cargo/config(\.toml)?")
CHECK_FOLDERS = {"tests", "benches", "examples"}
CHECK_KEYS = {"dev-dependencies", "dev_dependencies", "test", "bench", "example"}


class Failed(Exception):
    """A command that did not do what it should."""


def run(*command, folder=None, env=None):
    """What a command prints, as bytes."""
    done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip()
        raise Failed(f"`{' '.join(map(str, command[:3]))} ...` ended with {done.returncode}: {message}")
    return done.stdout


def cargo():
    return os.environ.get("CARGO", "cargo")


def environment():
    """The environment without target folders, so that what xtask keeps stays in the scratch clone."""
    return {key: value for key, value in os.environ.items() if not key.endswith("TARGET_DIR")}


def determinator():
    """Builds the other side, and says where the program is."""
    manifest = HERE / "determinator" / "Cargo.toml"
    command = [cargo(), "build", "--release", "--locked", "--message-format", "json", "--manifest-path", manifest]
    built = [json.loads(line) for line in run(*command).splitlines()]
    return next(message["executable"] for message in built if message.get("executable"))


class Scratch:
    """A clone of the repository that may be checked out, and the metadata of its commits."""

    def __init__(self, repository, folder, fetch):
        self.clone, self.folder, self.fetch = folder / "clone", folder, fetch
        # Shared: the objects are read where they are, and nothing is written there.
        run("git", "clone", "--quiet", "--shared", "--no-checkout", repository, self.clone)

    def git(self, *arguments):
        return run("git", *arguments, folder=self.clone)

    def check_out(self, commit):
        self.git("checkout", "--quiet", "--force", "--detach", commit)

    @functools.cache
    def metadata(self, commit):
        """The file with the commit's metadata, or the message of cargo, which could not read it."""
        self.check_out(commit)
        if self.fetch:
            # Of a commit whose lockfile lags behind, metadata may be had all the same.
            with contextlib.suppress(Failed):
                run(cargo(), "fetch", "--locked", folder=self.clone, env=environment())
        try:
            command = [cargo(), "metadata", "--format-version", "1", "--all-features", "--offline"]
            text = run(*command, folder=self.clone, env=environment())
        except Failed as failed:
            return failed
        path = self.folder / f"{commit}.json"
        path.write_bytes(text)
        return path

    def text(self, commit, path):
        """A file's text, or none where there is no such file."""
        try:
            return self.git("cat-file", "blob", f"{commit}:{path}").decode(errors="replace")
        except Failed:
            return None


class Workspace:
    """What the explanations need of a commit's metadata."""

    def __init__(self, path):
        metadata = json.loads(path.read_text())
        self.root = metadata["workspace_root"]
        packages = {package["id"]: package for package in metadata["packages"]}
        self.names = {id: packages[id]["name"] for id in metadata["workspace_members"]}
        self.folders = {name: self.folder(packages[id]) for id, name in self.names.items()}
        self.sources = {
            name: {os.path.relpath(target["src_path"], self.root) for target in packages[id]["targets"]}
            for id, name in self.names.items()
        }
        self.scripted = {
            name
            for id, name in self.names.items()
            if any("custom-build" in target["kind"] for target in packages[id]["targets"])
        }
        self.edges = {node["id"]: node["deps"] for node in metadata["resolve"]["nodes"]}
        self.package_names = {id: package["name"] for id, package in packages.items()}

    def folder(self, package):
        folder = os.path.relpath(os.path.dirname(package["manifest_path"]), self.root)
        return "" if folder == "." else folder

    def owner(self, path):
        """The member in whose folder the path lies, the nearest one."""
        holding = [(len(folder), name) for name, folder in self.folders.items() if below(path, folder) is not None]
        return max(holding)[1] if holding else None

    @functools.cache
    def reach(self, name):
        """The ids of the packages that a member depends on: its dev-dependencies, but not theirs."""
        own = next(id for id, known in self.names.items() if known == name)
        seen, open_ids = {own}, [own]
        while open_ids:
            user = open_ids.pop()
            for used in self.edges[user]:
                needed = user == own or any(kind["kind"] != "dev" for kind in used["dep_kinds"])
                if needed and used["pkg"] not in seen:
                    seen.add(used["pkg"])
                    open_ids.append(used["pkg"])
        return seen


def below(path, folder):
    """The path seen from the folder, or none where it lies elsewhere."""
    if not folder:
        return path
    return path[len(folder) + 1 :] if path.startswith(folder + "/") else None


def leaves(value, key=()):
    """Every leaf of a TOML value, by its key."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from leaves(item, (*key, name))
    else:
        yield key, json.dumps(value, sort_keys=True, default=str)


class Why:
    """Why a member that the determinator has may be missing in xtask's answer."""

    def __init__(self, scratch, base, head, paths, answer):
        self.scratch, self.commits, self.paths = scratch, (base, head), paths
        self.workspace = Workspace(scratch.metadata(head))
        self.before = Workspace(scratch.metadata(base))
        # Whom xtask gives a path to.
        self.readers = collections.defaultdict(set)
        for member in answer["members"]:
            for reason in member["reasons"]:
                if reason["kind"] == "file" and reason["distance"] == 0:
                    self.readers[reason["what"]].add(member["name"])

    def member(self, name):
        """The reasons, sorted; UNEXPLAINED among them where a path does not tell."""
        reached = {self.workspace.names[id] for id in self.workspace.reach(name) if id in self.workspace.names}
        found = set()
        for path in self.paths:
            owner = self.workspace.owner(path)
            if IGNORED.fullmatch(path):
                continue
            if owner is None or EVERYONES.fullmatch(path):
                found.add(self.everyones(path, name, reached))
            elif owner == name:
                found.add(self.own(path, owner))
            elif owner in reached:
                found.add(self.own(path, owner) if self.of_nobody(path, owner) else self.used(path, owner))
        return sorted(found) or [f"{UNEXPLAINED}: no changed path leads to it"]

    def of_nobody(self, path, owner):
        return NOBODYS.fullmatch(below(path, self.workspace.folders[owner]))

    def own(self, path, owner):
        if self.of_nobody(path, owner):
            return f"README or CHANGELOG at the root of {owner}"
        if Path(path).name == "Cargo.toml" and not self.keys(path):
            return f"manifest of {owner} changed in comments or order alone"
        return f"{UNEXPLAINED}: {path}"

    def used(self, path, owner):
        """A path of a member that the member in question depends on: it must be for its owner's tests alone."""
        inside = below(path, self.workspace.folders[owner])
        if inside == "Cargo.toml":
            keys = self.keys(path)
            if not keys:
                return self.own(path, owner)
            if all(CHECK_KEYS & set(key) for key in keys):
                return f"dev-dependencies or test targets of {owner}"
            return f"{UNEXPLAINED}: {path}"
        if inside.split("/")[0] in CHECK_FOLDERS:
            return f"tests, benches or examples of {owner}"
        sides = [commit for commit in self.commits if self.scratch.text(commit, path) is not None]
        if path.endswith(".rs") and inside.startswith("src/"):
            if all(self.test_module(commit, path) for commit in sides):
                return f"modules of {owner} under cfg(test)"
        elif path not in self.workspace.sources[owner] and owner not in self.workspace.scripted:
            if not any(self.named_by_product(commit, path, owner) for commit in sides):
                return f"data that only tests of {owner} can see"
        return f"{UNEXPLAINED}: {path}"

    def test_module(self, commit, path):
        """Whether the source is a module that is declared under `cfg(test)`, or lies below one."""
        folder, name = os.path.split(path[: -len(".rs")])
        if name in ("lib", "main"):
            return False
        if name == "mod":
            folder, name = os.path.split(folder)
        attributes = r"(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))?\s+)?"
        declared = re.compile(r"#\[cfg\(test\)\]\s*" + attributes + rf"mod\s+{re.escape(name)}\s*;")
        for parent in [f"{folder}.rs", f"{folder}/mod.rs", f"{folder}/lib.rs", f"{folder}/main.rs"]:
            text = self.scratch.text(commit, parent)
            if text is not None and parent != path and re.search(rf"\bmod\s+{re.escape(name)}\s*;", text):
                return bool(declared.search(text)) or self.test_module(commit, parent)
        return False

    def named_by_product(self, commit, path, owner):
        """Whether a source that is built into the library or a program names the file, or the folder it lies in."""
        folder = self.workspace.folders[owner]
        words = [part for part in below(path, folder).split("/") if part != "src"]
        pattern = [argument for word in words for argument in ("-e", f'{word}["/]', "-e", f'"{word}')]
        try:
            hits = self.scratch.git("grep", "-l", *pattern, commit, "--", f"{folder or '.'}/src/**.rs")
        except Failed:
            return False
        sources = [line.split(":", 1)[1] for line in hits.decode(errors="replace").splitlines()]
        return not all(self.test_module(commit, source) for source in sources)

    @functools.cache
    def keys(self, path):
        """The keys of a TOML file whose values differ; none of them where only comments or order do."""
        texts = [self.scratch.text(commit, path) for commit in self.commits]
        before, after = (dict(leaves(tomllib.loads(text))) if text else {} for text in texts)
        return frozenset(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))

    def everyones(self, path, name, reached):
        """A path that counts for everyone there, and here only for some."""
        if path == "Cargo.toml":
            keys = self.keys(path)
            if not keys:
                return "root manifest changed in comments or order alone"
            if not any(self.inherited(key, name, reached) for key in keys):
                return "root manifest: keys that it does not inherit"
        elif "/" not in path and NOBODYS.fullmatch(path):
            return "README or CHANGELOG at the root"
        elif (gone := self.before.owner(path)) and gone not in self.workspace.folders:
            return f"files of {gone}, which is gone: its users changed their manifests"
        elif self.readers[path]:
            return f"{path}: out of every package, {NAMED} {', '.join(sorted(self.readers[path]))}"
        return f"{UNEXPLAINED}: {path}"

    def inherited(self, key, name, reached):
        """Whether a key of the root manifest means anything to the member or to what it depends on."""
        manifests = [os.path.join(self.workspace.folders[member], "Cargo.toml") for member in reached | {name}]
        texts = [self.scratch.text(commit, manifest) for commit in self.commits for manifest in manifests]
        written = [tomllib.loads(text) for text in texts if text is not None]
        if key[:2] == ("workspace", "dependencies") and len(key) > 2:
            tables = written + [table for manifest in written for table in manifest.get("target", {}).values()]
            kinds = ("dependencies", "dev-dependencies", "build-dependencies")
            used = [table.get(kind, {}).get(key[2]) for table in tables for kind in kinds]
            return any(isinstance(item, dict) and item.get("workspace") for item in used)
        if key[:2] == ("workspace", "package") and len(key) > 2:
            used = [manifest.get("package", {}).get(key[2]) for manifest in written]
            return any(isinstance(item, dict) and item.get("workspace") for item in used)
        if key[0] == "profile" and len(key) > 3 and key[2] == "package":
            return key[3] == "*" or key[3] in {self.workspace.package_names[id] for id in self.workspace.reach(name)}
        return key[:2] not in {("workspace", "members"), ("workspace", "exclude"), ("workspace", "default-members")}


def nearest(member):
    """The nearest of xtask's reasons for a member, on one line."""
    reason = min(member["reasons"], key=lambda reason: reason["distance"])
    way = " by way of " + " -> ".join(reason["chain"][:-1]) if reason["distance"] else ""
    return f"{reason['kind']} {reason['what']} ({reason['change']}, {reason['set']}){way}"


class Comparison:
    """The table, row by row, and its sums."""

    COLUMNS = ("commit", "members", "ours", "theirs", "missing", "extra")

    def __init__(self, arguments, scratch, program):
        self.arguments, self.scratch, self.program = arguments, scratch, program
        self.compared, self.skipped = 0, 0
        self.sums = collections.Counter()
        self.classes = collections.Counter()

    def row(self, *cells):
        print(f"{cells[0]:<12}" + "".join(f"{cell:>10}" for cell in cells[1:]), flush=True)

    def ours(self, base, head, form):
        self.scratch.check_out(head)
        command = [self.arguments.bin, "affected", base, "--head", head, "--format", form]
        return run(*command, folder=self.scratch.clone, env=environment())

    def theirs(self, base, head, paths):
        metadata = [self.scratch.metadata(commit) for commit in (base, head)]
        for commit, found in zip((base, head), metadata):
            if isinstance(found, Failed):
                raise Failed(f"no metadata of {commit[:12]}: {found}")
        file = self.scratch.folder / "paths"
        file.write_bytes(paths)
        return run(self.program, *metadata, file)

    def commit(self, base, head):
        paths = self.scratch.git("diff", "--no-renames", "--name-only", "-z", base, head)
        try:
            ours = set(self.ours(base, head, "names").decode().split())
            theirs = set(self.theirs(base, head, paths).decode().split())
        except Failed as failed:
            self.skipped += 1
            print(f"{head[:12]}  left out: {failed}", flush=True)
            return
        members = Workspace(self.scratch.metadata(head)).names.values()
        missing, extra = sorted(theirs - ours), sorted(ours - theirs)
        counts = (len(members), len(ours), len(theirs), len(missing), len(extra))
        self.row(head[:12], *counts)
        self.compared += 1
        self.sums.update(dict(zip(self.COLUMNS[1:], counts)))
        paths = [path for path in paths.decode(errors="replace").split("\0") if path]
        if self.arguments.verbose:
            print("".join(f"    {path}\n" for path in paths), end="")
        if missing or extra:
            self.differences(base, head, paths, missing, extra)

    def differences(self, base, head, paths, missing, extra):
        answer = json.loads(self.ours(base, head, "json"))
        why = Why(self.scratch, base, head, paths, answer)
        alike = collections.defaultdict(list)
        for name in missing:
            reasons = why.member(name)
            alike["; ".join(reasons)].append(name)
            self.classes.update({kind(reason) for reason in reasons})
        self.groups("-", alike)
        if self.arguments.verbose:
            alike = collections.defaultdict(list)
            for member in answer["members"]:
                if member["name"] in extra:
                    alike[nearest(member)].append(member["name"])
            self.groups("+", alike)

    def groups(self, sign, alike):
        for reason, names in alike.items():
            print(f"  {sign} {len(names)}: {reason}")
            if self.arguments.verbose:
                print(f"      {' '.join(names)}")

    def total(self):
        self.row("sum", *(self.sums[column] for column in self.COLUMNS[1:]))
        if self.compared:
            self.row("mean", *(f"{self.sums[column] / self.compared:.1f}" for column in self.COLUMNS[1:]))
        print(f"{self.compared} commits compared, {self.skipped} left out")
        for name, count in self.classes.most_common():
            print(f"  missing: {count} for {name}")


def kind(reason):
    """A reason without the member or path that it speaks of."""
    if reason.startswith(UNEXPLAINED):
        return UNEXPLAINED
    if NAMED in reason:
        return "a path out of every package, which some sources name: does nobody else read it?"
    return re.sub(r"\bof [\w-]+(?= under|$| changed| can|, which is gone)", "of a member", reason)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, type=Path, metavar="XTASK", help="the xtask program")
    parser.add_argument("--repo", required=True, type=Path, metavar="PATH", help="a local clone; it is only read")
    parser.add_argument("--commits", type=int, default=30, metavar="N", help="how many first-parent commits of HEAD")
    parser.add_argument("--fetch", action="store_true", help="download the packages that metadata needs")
    parser.add_argument("-v", "--verbose", action="store_true", help="print changed paths and the extra members too")
    arguments = parser.parse_args()
    arguments.bin = shutil.which(arguments.bin) or sys.exit(f"{arguments.bin} is no program")
    arguments.bin = os.path.abspath(arguments.bin)
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        scratch = Scratch(arguments.repo.resolve(), Path(folder), arguments.fetch)
        comparison = Comparison(arguments, scratch, determinator())
        listed = scratch.git("rev-list", "--first-parent", "--parents", "-n", str(arguments.commits), "HEAD")
        comparison.row(*Comparison.COLUMNS)
        # The oldest first: each commit's metadata serves the next one too.
        for line in reversed(listed.decode().splitlines()):
            head, *parents = line.split()
            if parents:
                comparison.commit(parents[0], head)
        comparison.total()


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"error: {failed}")
