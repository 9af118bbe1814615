"""Tables from the results of `scripts/bench`.

bench_tables.py kernels FOLDER: of criterion's results, a folder for each round.
bench_tables.py engine FOLDER ARGUMENT...: of FOLDER/engine.jsonl, which `aria-worker bench --json ARGUMENT...` printed.
"""

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


def today():
    return datetime.datetime.now(datetime.timezone.utc).date()


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


def kernels(results):
    groups = load(results)
    rounds = sum(1 for entry in results.iterdir() if entry.is_dir())
    lines = [f"# Kernels, {today()}", "", f"`scripts/bench kernels --rounds {rounds}`: medians.", "", *machine(), ""]
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
    return lines


def with_spread(report, name, spread):
    low, high = report[spread]
    return f"{report[name]:.1f} ({low:.1f} to {high:.1f})"


def percent(share):
    return "" if share is None else f"{share:.0%}"


def energy(report):
    microjoules = report["energy_microjoules_per_token"]
    return "unknown" if microjoules is None else f"{microjoules / 1e3:.1f} mJ, {report['energy_grade']}"


def megabytes(report, name):
    return f"{report[name] / 1e6:.0f}" if report[name] else ""


def engine(results, arguments):
    reports = [json.loads(line) for line in (results / "engine.jsonl").read_text().splitlines()]
    alone = [report for report in reports if report["batch"] == 1]
    lines = [f"# Engine, {today()}", "", f"`scripts/bench engine {' '.join(arguments)}`", "", *machine()]
    bandwidths = {(r["threads"], r["isa"]): r["read_bandwidth_gb_per_second"] for r in reports}
    reads = ", ".join(f"{rate:.1f} GB/s with {threads} ({isa})" for (threads, isa), rate in bandwidths.items())
    lines += [f"- plain read by threads: {reads}", ""]
    if alone:
        lines += [
            "## One answer",
            "",
            "Medians, least and most. The limit is the bytes that a token reads over the plain read's bandwidth.",
            "",
        ]
        heading = ["model", "threads", "prompt", "prefill, tokens/s", "decode, tokens/s", "of the limit"]
        heading += ["first token, ms", "re-check, of the answer's time", "energy of a token"]
        lines += table(heading, [
            [
                report["model"],
                str(report["threads"]),
                str(report["prompt_tokens"]),
                with_spread(report, "prefill_tokens_per_second", "prefill_spread"),
                with_spread(report, "decode_tokens_per_second", "decode_spread"),
                percent(report["share_of_bandwidth"]),
                f"{report['time_to_first_token_ms']:.0f}",
                percent(report["recheck_share_of_generation"]),
                energy(report),
            ]
            for report in alone
        ])
    rates = {(r["model"], r["threads"], r["prompt_tokens"], r["output_tokens"]): r for r in alone}
    rows = []
    for report in reports:
        one = rates.get(tuple(report[key] for key in ("model", "threads", "prompt_tokens", "output_tokens")))
        if report["batch"] > 1:
            rate = report["decode_tokens_per_second"]
            rows.append([
                report["model"],
                str(report["threads"]),
                str(report["prompt_tokens"]),
                str(report["batch"]),
                f"{rate:.1f}",
                f"{rate / one['decode_tokens_per_second']:.2f}" if one else "",
                f"{report['throughput_tokens_per_second']:.1f}",
                f"{report['time_to_first_token_ms']:.0f}",
                energy(report),
            ])
    if rows:
        lines += ["## Requests together", ""]
        heading = ["model", "threads", "prompt", "requests", "decode, tokens/s", "times one"]
        lines += table(heading + ["with prompts, tokens/s", "first token, ms", "energy of a token"], rows)
    lines += ["## Memory", "", "Loading is from the page cache where the file was read before.", ""]
    loads = {(report["model"], report["packing"]): report for report in reports}
    peaks = {}
    for report in reports:
        key = report["model"], report["packing"]
        peaks[key] = max(peaks.get(key, 0), report["peak_memory_bytes"] or 0)
    heading = ["model", "packing", "loading, s", "weights in memory, MB", "most while loading, MB", "most while running, MB"]
    lines += table(heading, [
        [
            *key,
            f"{report['load_seconds']:.2f}",
            megabytes(report, "weights_bytes"),
            megabytes(report, "load_peak_memory_bytes"),
            f"{peaks[key] / 1e6:.0f}",
        ]
        for key, report in loads.items()
    ])
    return lines


def main():
    results = pathlib.Path(sys.argv[2])
    lines = kernels(results) if sys.argv[1] == "kernels" else engine(results, sys.argv[3:])
    print("\n".join(lines).rstrip())


if __name__ == "__main__":
    main()
