#!/usr/bin/env python3
"""Which file imports which, inside the worker and the engine; fails when some import each other in a loop.

Usage: scripts/imports.py [--folders | --write] [--help]

    --folders   print which folder imports which
    --write     write that into docs/architecture.md

An import counts where its item is defined: re-exports (`pub use`) are looked through. Unit tests don't count. Exit
status 1: a loop of files, a loop of folders, other arrows than docs/architecture.md shows, or a file of over 600 lines.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CRATES = {
    "aria_engine": ROOT / "inference-worker/engine/src",
    "aria_worker": ROOT / "inference-worker/src",
}
MAP = ROOT / "docs/architecture.md"
# The arrows in the map.
ARROWS = re.compile(r"(?<=```text\n)aria_[^`]*(?=```)")
# Most lines of a file of Rust; generated ones may have more.
MOST_LINES = 600
GENERATED = {"weights.rs"}

USE = re.compile(r"^[ \t]*(pub(?:\([^)]*\))? )?use ((?:[^;{]|\{[^;]*\})*?);", re.M)
INLINE = re.compile(r"\b(?:super|crate|aria_engine|aria_worker)(?:::\w+)+")
UNIT_TESTS = re.compile(r"^#\[cfg\(test\)\]\s*\nmod \w+\s*\{.*", re.M | re.S)


def split(text):
    """The parts of a use tree between braces."""
    depth, part = 0, ""
    for char in text:
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            yield part.strip()
            part = ""
        else:
            part += char
    if part.strip():
        yield part.strip()


def paths(tree, before=()):
    """The paths of a use tree, each a tuple; a name given by `as` stands last, after a colon."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        name, _, alias = tree.partition(" as ")
        path = before + tuple(part.strip() for part in name.split("::"))
        if path[-1] == "self":
            path = path[:-1]
        yield path, (alias.strip() or path[-1])
        return
    head = tuple(part.strip() for part in tree[:brace].split("::") if part.strip())
    for part in split(tree[brace + 1 : tree.rindex("}")]):
        yield from paths(part, before + head)


class File:
    """A file of Rust: its module, what it imports and what it hands on."""

    def __init__(self, path, crate, folder):
        self.path = path
        parts = path.relative_to(folder).with_suffix("").parts
        if parts[-1] in ("mod", "lib"):
            parts = parts[:-1]
        self.module = (crate, *parts)
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", UNIT_TESTS.sub("", path.read_text()), flags=re.S)
        text = re.sub(r"pub\(in [^)]*\)", "pub(crate)", text)
        self.text = text
        self.uses, self.reexports = [], {}
        for visible, tree in USE.findall(text):
            for path_, name in paths(tree):
                absolute = self.absolute(path_)
                if visible:
                    self.reexports.setdefault(name, []).append(absolute)
                else:
                    self.uses.append(absolute)
        rest = USE.sub("", text)
        below = "|".join(re.findall(r"^(?:pub(?:\([^)]*\))? )?mod (\w+);", text, re.M))
        inline = INLINE.findall(rest) + re.findall(rf"(?<!:)\b(?:{below or '!'})(?:::\w+)+", rest)
        self.uses += [self.absolute(tuple(found.split("::"))) for found in inline]

    def absolute(self, path):
        """A path from its crate's name on."""
        if path[0] == "crate":
            return (self.module[0], *path[1:])
        if path[0] == "self":
            return (*self.module, *path[1:])
        base = self.module
        while path and path[0] == "super":
            base, path = base[:-1], path[1:]
            if not path or path[0] != "super":
                return (*base, *path)
        return path if path[0] in CRATES else (*self.module, *path)

    def defines(self, name):
        """Whether an item of this name is defined here."""
        kinds = r"(?:struct|enum|union|fn|trait|type|const|static|macro_rules!)"
        return re.search(rf"\b{kinds}\s+{name}\b", self.text) is not None


def read():
    """All files by their modules, without those of unit tests."""
    files = {}
    for crate, folder in CRATES.items():
        for path in sorted(folder.rglob("*.rs")):
            if not (path.stem == "tests" or path.stem.endswith("_tests") or path.name == "main.rs"):
                file = File(path, crate, folder)
                files[file.module] = file
    return files


def resolve(files, path, seen=()):
    """The files that a path leads to."""
    for length in range(len(path), 0, -1):
        file = files.get(path[:length])
        if file is None:
            continue
        rest = path[length:]
        if not rest:
            return {file}
        name = rest[0]
        if name == "*":
            return {file}
        found = set()
        for target in file.reexports.get(name, []) + file.reexports.get("*", []):
            if target[-1] == "*":
                target = (*target[:-1], name)
                below = files.get(target[:-1])
                if below is None or not (below.defines(name) or name in below.reexports):
                    continue
            if target not in seen:
                found |= resolve(files, (*target, *rest[1:]), (*seen, target))
        if found:
            return found
        return {file} if file.defines(name) else set()
    return set()


def loops(graph):
    """Strongly connected parts of more than one node (Tarjan)."""
    index, low, stack, on, found = {}, {}, [], set(), []

    def visit(node):
        work = [(node, iter(sorted(graph.get(node, ()))))]
        index[node] = low[node] = len(index)
        stack.append(node)
        on.add(node)
        while work:
            at, following = work[-1]
            for after in following:
                if after not in index:
                    index[after] = low[after] = len(index)
                    stack.append(after)
                    on.add(after)
                    work.append((after, iter(sorted(graph.get(after, ())))))
                    break
                if after in on:
                    low[at] = min(low[at], index[after])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[at])
                if low[at] == index[at]:
                    part = []
                    while True:
                        part.append(stack.pop())
                        on.discard(part[-1])
                        if part[-1] == at:
                            break
                    if len(part) > 1:
                        found.append(sorted(part))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def folder_of(file):
    """The top folder of a file in its crate, or its name where it stands alone."""
    return "::".join(file.module[:2]) if len(file.module) > 1 else file.module[0]


def main():
    if "--help" in sys.argv:
        print(__doc__.strip())
        return 0
    files = read()
    graph, folders = {}, {}
    for file in files.values():
        name = str(file.path.relative_to(ROOT))
        for path in file.uses:
            for target in resolve(files, path):
                if target is not file:
                    graph.setdefault(name, set()).add(str(target.path.relative_to(ROOT)))
                    here, there = folder_of(file), folder_of(target)
                    if here != there and "::" in here and "::" in there:
                        folders.setdefault(here, {}).setdefault(there, name)
    problems = ["files import each other: " + ", ".join(loop) for loop in loops(graph)]
    problems += [
        "folders import each other: " + ", ".join(loop)
        for loop in loops({here: set(there) for here, there in folders.items()})
    ]
    for path in sorted(ROOT.rglob("*.rs")):
        inside = path.relative_to(ROOT)
        if "target" in inside.parts or path.name in GENERATED:
            continue
        lines = path.read_text().count("\n")
        if lines > MOST_LINES:
            problems.append(f"{inside} has {lines} lines, more than {MOST_LINES}")
    arrows = "".join(f"{here} -> {', '.join(sorted(folders[here]))}\n" for here in sorted(folders))
    if "--folders" in sys.argv:
        print(arrows, end="")
    text = MAP.read_text()
    if "--write" in sys.argv:
        text = ARROWS.sub(lambda _: arrows, text)
        MAP.write_text(text)
    if arrows not in text:
        problems.append(f"{MAP.relative_to(ROOT)} shows other arrows: scripts/imports.py --write")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
