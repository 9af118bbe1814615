"""Counts what scripts/test ran, from the reports in the folder named on the command line.

Prints a line for each kind of test, one for each different "skipped: ..." that tests wrote or were skipped with, and
last "sums PASSED FAILED SKIPPED".
A property test is one that a `proptest!` block defines; with `--properties` in place of the folder, prints their names.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("kernels", "pallets", "runtime", "inference-worker", "node")


def property_names() -> set[str]:
    """Names of the functions inside `proptest!` blocks."""
    names = set()
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*.rs"):
            text = path.read_text(encoding="utf-8", errors="replace")
            for block in re.finditer(r"proptest!\s*\{", text):
                depth, end = 1, block.end()
                while depth and end < len(text):
                    depth += {"{": 1, "}": -1}.get(text[end], 0)
                    end += 1
                names.update(re.findall(r"#\[test\]\s*fn\s+(\w+)", text[block.end() : end]))
    return names


def cases(path: Path):
    """(name, failed, skipped, output) of each test in a JUnit report."""
    if not path.exists():
        return
    for case in ElementTree.parse(path).iter("testcase"):
        failed = case.find("failure") is not None or case.find("error") is not None
        output = "".join(child.text or "" for child in case if child.tag in ("system-out", "system-err"))
        skipped = case.find("skipped")
        if skipped is not None:
            output += f"\nskipped: {skipped.get('message', '')}"
        yield case.get("name", ""), failed, skipped is not None, output


def main() -> None:
    if sys.argv[1] == "--properties":
        print("\n".join(sorted(property_names())))
        return
    results = Path(sys.argv[1])
    counts = {kind: [0, 0] for kind in ("unit", "property", "doc", "emulated", "end-to-end")}
    notes: dict[str, list[str]] = {}
    left_out = 0
    properties = property_names()
    for file, kind_of in (
        ("tests.xml", lambda name: "property" if name.rsplit("::", 1)[-1] in properties else "unit"),
        ("e2e.xml", lambda _: "end-to-end"),
    ):
        for name, failed, skipped, output in cases(results / file):
            if skipped:
                left_out += 1
            else:
                counts[kind_of(name)][failed] += 1
            for line in output.splitlines():
                if line.strip().startswith("skipped: "):
                    notes.setdefault(line.strip(), []).append(name)
    # What cargo prints itself, without a report.
    for kind, file in (("doc", "doctests.txt"), ("emulated", "emulated.txt")):
        if not (results / file).exists():
            continue
        text = (results / file).read_text(errors="replace")
        for ok, bad in re.findall(r"^test result: \w+\. (\d+) passed; (\d+) failed", text, re.M):
            counts[kind][0] += int(ok)
            counts[kind][1] += int(bad)
        for line in re.findall(r"^skipped: .*", text, re.M):
            notes.setdefault(line.strip(), []).append(kind)
    for kind, (ok, bad) in counts.items():
        print(f"{kind + ' tests':18} {ok:5} passed {bad:5} failed")
    for note, names in notes.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        print(f"{note} ({names[0]}{more})")
    print("sums", sum(c[0] for c in counts.values()), sum(c[1] for c in counts.values()), left_out)


if __name__ == "__main__":
    main()
