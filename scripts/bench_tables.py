"""Tables from the results of `scripts/bench kernels`: a folder with one criterion folder for each round."""

import datetime
import json
import pathlib
import platform
import re
import statistics
import subprocess
import sys

# Bytes that a weight takes in the plain read of each group.
READ_BYTES = {"decode": 0.25, "head": 1.0}


def load(folder):
    """{group: {function: elements per nanosecond}}: the median over rounds of criterion's medians."""
    samples = {}
    for path in sorted(folder.glob("*/*/*/new/benchmark.json")):
        about = json.loads(path.read_text())
        nanoseconds = json.loads((path.parent / "estimates.json").read_text())["median"]["point_estimate"]
        rate = about["throughput"]["Elements"] / nanoseconds
        samples.setdefault(about["group_id"], {}).setdefault(about["function_id"], []).append(rate)
    return {
        group: {name: statistics.median(rates) for name, rates in functions.items()}
        for group, functions in samples.items()
    }


def command(*arguments):
    return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip()


def machine():
    fields = dict(re.findall(r"^([^:\n]+):\s*(.*)$", command("lscpu"), re.M))
    memory = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())
    caches = ", ".join(f"{name} {fields[name]}" for name in ("L1d cache", "L2 cache", "L3 cache") if name in fields)
    flags = fields.get("Flags", "").split()
    sets = [name for name in ("avx2", "avx_vnni", "avx512_vnni", "avx512_vbmi", "asimddp", "i8mm") if name in flags]
    return [
        f"- machine: {fields.get('Model name', platform.processor())}, {fields.get('CPU(s)')} CPUs, "
        f"{int(memory[1]) / 2**20:.0f} GiB; {caches}; {' '.join(sets) or 'no relevant instruction set'}"
        + (f"; virtual ({fields['Hypervisor vendor']})" if "Hypervisor vendor" in fields else ""),
        f"- system: Linux {platform.release()}, {command('rustc', '--version')}",
        f"- commit: {command('git', 'describe', '--always', '--dirty')}",
    ]


def table(heading, rows):
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def split(functions, limit):
    """Ours and peers' rates without the limits."""
    ours = {n: r for n, r in functions.items() if not n.startswith(("peer-", limit))}
    return ours, {n: r for n, r in functions.items() if n.startswith("peer-")}


def order(group):
    kind, shape, threads = group.split("/")
    rows, cols = shape.split("x")
    return kind, int(rows) * int(cols), int(rows), int(threads)


def decode(groups, kind):
    limit_bytes = READ_BYTES[kind]
    rows = []
    for group in sorted((g for g in groups if g.startswith(kind + "/")), key=order):
        functions = groups[group]
        read = functions.get("read")
        ours, peers = split(functions, "read")
        best_peer = max(peers.values(), default=None)
        _, shape, threads = group.split("/")
        if read:
            rows.append([shape, threads, "plain read", f"{read * limit_bytes:.1f}", f"{read:.1f}", "1", ""])
        for name, rate in {**ours, **peers}.items():
            packed = {"two-bit": 0.25, "dense": 5 / 24, "fives": 1 / 5}.get(re.sub(r"-(?:avx|neon|dot|i8).*", "", name))
            rows.append([
                shape,
                threads,
                name.removeprefix("peer-"),
                f"{rate * packed:.1f}" if packed else "",
                f"{rate:.1f}",
                f"{rate / read:.2f}" if read else "",
                f"{rate / best_peer:.2f}" if best_peer and name in ours else "",
            ])
    return rows


def prefill(groups):
    rows = []
    for group in sorted((g for g in groups if g.startswith("prefill/")), key=order):
        functions = groups[group]
        ours, peers = split(functions, "peak")
        peaks = {n: r for n, r in functions.items() if n.startswith("peak")}
        top = max(peaks.values(), default=None)
        best_peer = max(peers.values(), default=None)
        _, shape, threads = group.split("/")
        for name, rate in {**peaks, **ours, **peers}.items():
            rows.append([
                shape,
                threads,
                name.removeprefix("peer-"),
                f"{rate:.1f}",
                f"{rate / top:.2f}" if top else "",
                f"{rate / best_peer:.2f}" if best_peer and name in ours else "",
            ])
    return rows


def main():
    results = pathlib.Path(sys.argv[1])
    groups = load(results)
    rounds = sum(1 for entry in results.iterdir() if entry.is_dir())
    date = datetime.datetime.now(datetime.timezone.utc).date()
    lines = [f"# Kernels, {date}", "", f"`scripts/bench kernels --rounds {rounds}`: medians.", "", *machine(), ""]
    if rows := decode(groups, "decode"):
        lines += [
            "## One token",
            "",
            "Giga-weights a second, and GB/s of packed weights. The smallest shape is in the second-level cache, others"
            " come from DRAM. The limit is a plain read of two bits for each weight.",
            "",
        ]
        lines += table(["rows x columns", "threads", "kernel", "GB/s", "Gw/s", "of the limit", "of the best peer"], rows)
    if rows := prefill(groups):
        lines += ["## 128 tokens", "", "Giga-products of a weight and an activation a second. The limit is the largest peak.", ""]
        lines += table(["rows x columns", "threads", "kernel", "GMAC/s", "of the limit", "of the best peer"], rows)
    if rows := decode(groups, "head"):
        lines += ["## Head", "", "The limit is a plain read of one byte for each weight.", ""]
        lines += table(["rows x columns", "threads", "kernel", "GB/s", "Gw/s", "of the limit", ""], rows)
        output = (results / "output.txt").read_text()
        notes = dict.fromkeys(re.findall(r"^(?:top-|eight-bit).*", output, re.M))
        lines += [f"- {note}" for note in notes] + [""]
    print("\n".join(lines).rstrip())


if __name__ == "__main__":
    main()
