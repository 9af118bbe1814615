"""Many streaming clients on a worker at once: what they get, what it costs, and whether blocks are made meanwhile.

Standard library only. `scripts/bench load` runs it; the end-to-end tests run it for some seconds.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import hostile
from harness import MODEL, Chain, Failure, Process, Scale, free_port, http_json, target_dir, wait_for


@dataclass
class Client:
    """A client that asks again as soon as it has an answer."""

    number: int
    tokens: int = 0
    answers: int = 0
    refused: int = 0
    longest_wait: float = 0.0
    errors: list[str] = field(default_factory=list)
    first_tokens: list[float] = field(default_factory=list)


async def ask(client: Client, port: int, model: str, length: int, seed: int) -> float:
    """One streamed answer; the seconds to wait before the next."""
    body = json.dumps(
        {"model": model, "prompt": "Once upon a time", "max_tokens": length, "seed": seed, "stream": True}
    ).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nhost: worker\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    start = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if status != 200:
            text = await reader.read(65536)
            if status == 429:
                client.refused += 1
                retry = [line for line in head.split(b"\r\n") if line.lower().startswith(b"retry-after:")]
                return float(retry[0].split(b":")[1])
            client.errors.append(f"status {status}: {text[:200]!r}")
            return 1.0
        first, last, tail = None, time.monotonic(), b""
        while data := await reader.read(65536):
            # The headers of a piece never hold this, and an event is never cut: the server writes it as a whole.
            events = data.count(b'"finish_reason":null')
            now = time.monotonic()
            if events:
                client.tokens += events
                client.longest_wait = max(client.longest_wait, now - last)
                last = now
                first = first or now
            tail = (tail + data)[-64:]
        if b"data: [DONE]" not in tail:
            client.errors.append(f"the stream broke off: {tail!r}")
        if first:
            client.first_tokens.append(first - start)
        client.answers += 1
        return 0.0
    finally:
        writer.close()


async def live(client: Client, port: int, model: str, stop: asyncio.Event) -> None:
    """Asks until the end."""
    chance = random.Random(client.number)
    while not stop.is_set():
        seed = chance.randrange(1 << 32)
        try:
            pause = await ask(client, port, model, chance.randrange(16, 160), seed)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            client.errors.append(f"{type(error).__name__}: {error}")
            pause = 1.0
        if pause:
            await asyncio.sleep(pause * (0.75 + chance.random() / 2))


def resident(pid: int) -> float:
    """Memory of a process, MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    raise Failure("no VmRSS in /proc")


async def sample(pid: int, stop: asyncio.Event, into: list[float]) -> None:
    while not stop.is_set():
        into.append(resident(pid))
        await asyncio.sleep(1.0)


async def run(port: int, pid: int, clients: int, seconds: float, attacks: int) -> dict:
    """The load: what came of it."""
    model = http_json("GET", f"http://127.0.0.1:{port}/v1/models")[1]["data"][0]["id"]
    stop, memory = asyncio.Event(), []
    crowd = [Client(number) for number in range(clients)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(live(client, port, model, stop)) for client in crowd]
        group.create_task(sample(pid, stop, memory))
        harm = group.create_task(hostile.run(port, stop, attacks, 0.5))
        start = time.monotonic()
        await asyncio.sleep(seconds)
        # Before the stop: whoever is still being answered then counts as well.
        elapsed = time.monotonic() - start
        tokens = [client.tokens for client in crowd]
        stop.set()
        await asyncio.wait(tasks, timeout=60)
        for task in tasks:
            task.cancel()
    errors = [error for client in crowd for error in client.errors]
    firsts = sorted(time for client in crowd for time in client.first_tokens)
    quarter = max(len(memory) // 4, 1)
    return {
        "clients": clients,
        "seconds": round(elapsed, 1),
        "tokens_per_second": round(sum(tokens) / elapsed, 1),
        "answers": sum(client.answers for client in crowd),
        "refused_429": sum(client.refused for client in crowd),
        "errors": len(errors),
        "error_examples": errors[:5],
        "tokens_of_a_client": {
            "least": min(tokens),
            "median": statistics.median(tokens),
            "most": max(tokens),
            # 1 when all have the same, 1/n when one has all.
            "jain_index": round(sum(tokens) ** 2 / (clients * sum(t * t for t in tokens)), 3) if any(tokens) else 0,
        },
        "first_token_seconds": {
            "median": round(statistics.median(firsts), 2) if firsts else None,
            "p95": round(firsts[len(firsts) * 95 // 100], 2) if firsts else None,
        },
        "memory_mb": {
            "start": round(memory[0], 1),
            "second_quarter": round(statistics.median(memory[quarter : 2 * quarter] or memory), 1),
            "last_quarter": round(statistics.median(memory[-quarter:]), 1),
            "most": round(max(memory), 1),
        },
        "attacks": harm.result(),
    }


def slot(chain: Chain) -> tuple[int, int]:
    """Number and BABE slot of the best block."""
    header = chain.call("chain_getHeader")
    for log in header["digest"]["logs"]:
        # A pre-runtime digest of BABE: kind, engine, length, variant, authority, slot.
        if log.startswith("0x0642414245"):
            digest = Scale(bytes.fromhex(log[12:]))
            digest.compact()
            digest.take(5)
            return int(header["number"], 16), digest.uint(8)
    raise Failure("a block without a slot")


class Node:
    """`aria node --dev --worker` on the demonstration model, or the worker as a process of its own beside the node."""

    def __init__(self, folder: Path, cache_mib: int, apart: bool = False):
        self.rpc, self.api = free_port(), free_port()
        node = [target_dir() / "aria", "node", "--dev", "--base-path", folder / "node", "--no-telemetry"]
        node += ["--rpc-port", self.rpc, "--port", free_port(), "--no-prometheus"]
        served = ["--model", MODEL, "--api-port", self.api]
        worker = [target_dir() / "aria-worker", "serve", "--worker-key", "//Worker", "--consent"]
        worker += ["--state-dir", folder / "worker"]
        worker += ["--node", f"ws://127.0.0.1:{self.rpc}", "--cache-mib", cache_mib, *served]
        if not apart:
            node += ["--worker", "--cache-mib", cache_mib, *served]
        self.chain = Chain(self.rpc)
        self.processes = [Process("node", node, folder / "node.log")]
        if apart:
            self.processes.append(Process("worker", worker, folder / "worker.log"))

    def wait(self) -> None:
        url = f"http://127.0.0.1:{self.api}"
        wait_for("the worker", lambda: http_json("GET", f"{url}/health")[0] == 200, 90, self.processes)
        status = lambda: http_json("GET", f"{url}/v1/status")[1]  # noqa: E731
        wait_for("the consent contract", lambda: status()["consent_version"], 90, self.processes)
        wait_for("blocks", lambda: self.chain.best() >= 3, 90, self.processes)

    @property
    def pid(self) -> int:
        """The process with the worker."""
        return self.processes[-1].popen.pid

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.stop()


def on_node(node: Node, clients: int, seconds: float, attacks: int) -> dict:
    """The load on a node, with the blocks that it made meanwhile."""
    before = slot(node.chain)
    result = asyncio.run(run(node.api, node.pid, clients, seconds, attacks))
    after = slot(node.chain)
    result["blocks"] = {"made": after[0] - before[0], "slots": after[1] - before[1]}
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--attacks", type=int, default=2, help="hostile clients of each kind at the same time; 0 for none")
    parser.add_argument("--cache-mib", type=int, default=64, help="memory for keys and values; full within seconds")
    parser.add_argument("--apart", action="store_true", help="the worker in a process of its own")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aria-load-") as folder:
        node = Node(Path(folder), args.cache_mib, args.apart)
        try:
            node.wait()
            print(json.dumps(on_node(node, args.clients, args.seconds, args.attacks), indent=2))
        except Failure as failure:
            print(failure, file=sys.stderr)
            return 1
        finally:
            node.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
