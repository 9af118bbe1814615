"""The chain, the worker, the verifier and the one completion of scripts/dev."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from harness import MODEL, Chain, Failure, Process, find_receipt, free_port, http_json, target_dir, wait_for

STAGES: list[tuple[str, float]] = []


class Stage:
    """Announces a stage, and keeps how long it took."""

    def __init__(self, name: str):
        self.name = name

    def __enter__(self):
        print(f"==> {self.name} ... ", end="", flush=True)
        self.start = time.monotonic()
        return self

    def __exit__(self, kind, value, trace):
        seconds = time.monotonic() - self.start
        print("failed" if kind else f"{seconds:.1f} s", flush=True)
        STAGES.append((self.name, seconds))


def run(args, processes: list[Process], folder: Path) -> None:
    built = target_dir()
    for program in (built / "aria", built / "aria-worker", MODEL):
        if not program.is_file():
            raise Failure(f"{program} is missing: run scripts/dev without --no-build")

    rpc, api, api2 = free_port(9944), free_port(3000), free_port(3001)
    p2p, prometheus = free_port(30333), free_port(9615)
    chain = Chain(rpc)

    with Stage("start the chain"):
        node = Process(
            "node",
            [built / "aria", "--dev", "--tmp", "--rpc-port", rpc, "--port", p2p, "--prometheus-port", prometheus]
            + ["--worker", "--model", MODEL, "--api-port", api, "--worker-key", "//Worker"],
            folder / "node.log",
        )
        processes.append(node)
        wait_for("the first block", lambda: chain.best() >= 1, 60, processes)

    with Stage("start the verifier"):
        verifier = Process(
            "verifier",
            [built / "aria-worker", "serve", "--model", MODEL, "--node", f"ws://127.0.0.1:{rpc}"]
            + ["--roles", "verifier", "--worker-key", "//Verifier", "--api-port", api2]
            + ["--state-dir", folder / "verifier"],
            folder / "verifier.log",
        )
        processes.append(verifier)
        wait_for(
            "the worker's API", lambda: http_json("GET", f"http://127.0.0.1:{api}/health")[0] == 200, 60, processes
        )

    def registered() -> bool:
        roles = [w["roles"] for w in chain.workers(finalized=False).values()]
        return any(r["worker"] for r in roles) and any(r["verifier"] for r in roles)

    url = f"http://127.0.0.1:{api}/v1"
    with Stage("register worker and verifier"):
        wait_for("both registrations", registered, 60, processes)
        # On a development chain a worker may grant its first contract itself.
        wait_for("the consent", lambda: http_json("GET", f"{url}/status")[1]["consent_version"], 60, processes)
    with Stage("completion"):
        models = http_json("GET", f"{url}/models")[1]
        model = models["data"][0]["id"]
        status, answer = http_json(
            "POST",
            f"{url}/completions",
            {"model": model, "prompt": args.prompt, "max_tokens": args.max_tokens, "temperature": 0, "seed": 1},
        )
        if status != 200:
            raise Failure(f"the completion failed with status {status}: {answer}")
    receipt = find_receipt(answer)
    if receipt is None:
        raise Failure(f"no receipt in the answer: {json.dumps(answer)}")

    with Stage("commit"):
        wait_for("the commitment", lambda: chain.stats(finalized=False)["receipts"] >= 1, 60, processes)
    with Stage("draw"):
        draw = wait_for(
            "the draw",
            lambda: [d for d in chain.draws(finalized=False) if d["worker"] == receipt["worker"]],
            60,
            processes,
        )[0]

    def record(finalized: bool):
        identifier = next((d["record"] for d in chain.draws(finalized=finalized) if d["id"] == draw["id"]), None)
        found = identifier and chain.record(identifier, finalized)
        return found and {"id": identifier, **found}

    with Stage("open"):
        found = wait_for("the opening", lambda: record(False), 60, processes)
        if found["trace_root"] != receipt["trace_root"]:
            raise Failure("the record on the chain is not this answer's")
    with Stage("re-execute and settle"):
        wait_for("the verdict", lambda: record(False)["status"] not in ("drawn", "opened"), 60, processes)
    with Stage("finalize"):
        found = wait_for(
            "the finalized record",
            lambda: (r := record(True)) and r["status"] not in ("drawn", "opened") and r,
            60,
            processes,
        )

    print(f"\n{args.prompt}{answer['choices'][0]['text']}\n")
    print(json.dumps(found, indent=2))
    print()
    if args.built_in:
        print(f"{'build':32}{args.built_in:8.1f} s")
    for name, seconds in STAGES:
        print(f"{name:32}{seconds:8.1f} s")
    print(f"{'all of it, once built':32}{sum(s for _, s in STAGES):8.1f} s\n")
    print(f"OpenAI API   {url}")
    print(f"chain RPC    ws://127.0.0.1:{rpc}   (https://polkadot.js.org/apps/?rpc=ws://127.0.0.1:{rpc})")
    print(f"metrics      http://127.0.0.1:{prometheus}/metrics", flush=True)
    if found["status"] != "accepted":
        raise Failure(f"the answer was not accepted: {found['status']}")

    if args.keep:
        print("\nrunning until Ctrl-C; logs are in", folder, flush=True)
        while all(p.alive() for p in processes):
            time.sleep(0.5)
        raise Failure("a process ended by itself; see its log")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--prompt", default="Once upon a time")
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--built-in", type=float, default=0)
    args = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="aria-dev-"))
    processes: list[Process] = []
    keep_logs = False
    try:
        run(args, processes, folder)
        return 0
    except KeyboardInterrupt:
        print("\nstopping")
        return 0 if args.keep else 130
    except Failure as failure:
        keep_logs = True
        print(f"\nerror: {failure}\nlogs are in {folder}", file=sys.stderr)
        return 1
    finally:
        for process in reversed(processes):
            process.stop()
        if not keep_logs:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
