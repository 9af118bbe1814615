"""Starts ARIA's programs, talks to them, and reads the ledger: shared by scripts/dev and the end-to-end tests.

Standard library only. Every process runs in its own group, so that stopping it stops its children too.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "inference-worker" / "models" / "aria-demo.gguf"


def target_dir() -> Path:
    """Folder of the built programs."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release"


def port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_handed_out: set[int] = set()
# Tests that run at once look in different places, all below the ports that the system hands out.
_first_port = 10000 + os.getpid() * 64 % 20000


def free_port(preferred: int = 0) -> int:
    """The preferred port when nobody has it, else any other; never the same one twice."""
    for port in [preferred, *range(_first_port, 32768)]:
        if port and port not in _handed_out and port_is_free(port):
            _handed_out.add(port)
            return port
    raise Failure(f"no free port from {_first_port} to 32767")


class Failure(Exception):
    """Something that was waited for did not happen; the text says what, with the end of the logs."""


class Process:
    """A program with its log file."""

    def __init__(self, name: str, argv: list, log: Path, env: dict | None = None):
        self.name, self.argv, self.log = name, [str(a) for a in argv], log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(env or {})},
            )

    def alive(self) -> bool:
        return self.popen.poll() is None

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.popen.pid, number)
        except ProcessLookupError:
            pass

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        self._signal(signal.SIGKILL)
        self.popen.wait()

    def stop(self, grace: float = 15.0) -> int:
        """Asks it to end; makes it end when it doesn't. Gives the exit status."""
        if self.alive():
            self._signal(signal.SIGTERM)
            try:
                self.popen.wait(grace)
            except subprocess.TimeoutExpired:
                pass
        self._signal(signal.SIGKILL)
        return self.popen.wait()

    def tail(self, lines: int = 25) -> str:
        try:
            text = self.log.read_bytes()[-16384:].decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def wait_for(what: str, check, timeout: float, processes=(), every: float = 0.25):
    """Polls until `check()` is true and gives its value. A dead process or a time-out is a `Failure` with logs."""
    end = time.monotonic() + timeout
    last: Exception | None = None
    while True:
        try:
            if value := check():
                return value
        except (OSError, http.client.HTTPException, RpcError, ValueError) as error:
            last = error
        dead = [p for p in processes if not p.alive()]
        if dead or time.monotonic() > end:
            why = (
                f"{dead[0].name} ended with status {dead[0].popen.returncode}"
                if dead
                else f"not within {timeout:.0f} s" + (f" (last error: {last})" if last else "")
            )
            logs = "".join(f"\n--- {p.name}: {p.log}\n{p.tail()}" for p in (dead or processes))
            raise Failure(f"waiting for {what}: {why}{logs}")
        time.sleep(every)


def http_json(method: str, url: str, body=None, headers: dict | None = None, timeout: float = 60.0):
    """Status and parsed body (text where it isn't JSON). `body` is sent as JSON, or as it is when bytes."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data=data, method=method, headers={"content-type": "application/json", **(headers or {})}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


class RpcError(Exception):
    """A JSON-RPC error answer."""


# --- SCALE, as far as the ledger needs it -----------------------------------------------------------------------------


class Scale:
    """Reads SCALE bytes in order."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise ValueError("SCALE value ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def hash(self) -> str:
        return "0x" + self.take(32).hex()

    def compact(self) -> int:
        first = self.uint(1)
        mode = first & 3
        if mode == 0:
            return first >> 2
        if mode == 1:
            return (first | self.uint(1) << 8) >> 2
        if mode == 2:
            return (first | self.uint(3) << 8) >> 2
        return self.uint((first >> 2) + 4)

    def option(self, read):
        return read() if self.uint(1) else None

    def list(self, read) -> list:
        return [read() for _ in range(self.compact())]


FAULTS = ["wrong_opening", "wrong_token", "wrong_trace", "wrong_count", "not_opened"]
GRADES = ["unknown", "estimated", "battery", "hardware_monitor", "processor_counters"]


def _status(s: Scale):
    kind = ["drawn", "opened", "accepted", "rejected", "unresolved"][s.uint(1)]
    return {"rejected": FAULTS[s.uint(1)]} if kind == "rejected" else kind


def _record(s: Scale) -> dict:
    return {
        "model": s.hash(),
        "worker": ss58(s.take(32)),
        "verifier": ss58(s.take(32)),
        "batch": s.uint(8),
        "leaf_index": s.uint(4),
        "request": s.hash(),
        "output": s.hash(),
        "trace_root": s.hash(),
        "prompt_tokens": s.uint(4),
        "output_tokens": s.uint(4),
        "operations": s.uint(8),
        "energy": {"microjoules": s.uint(8), "grade": GRADES[s.uint(1)]},
        "status": _status(s),
        "opened_at": s.uint(4),
    }


def _draw(s: Scale) -> dict:
    return {
        "id": s.uint(8),
        "batch": s.uint(8),
        "leaf_index": s.uint(4),
        "worker": ss58(s.take(32)),
        "verifier": ss58(s.take(32)),
        "record": s.option(s.hash),
        "status": _status(s),
        "deadline": s.uint(4),
    }


def _worker(s: Scale) -> dict:
    return {
        "roles": {"worker": bool(s.uint(1)), "verifier": bool(s.uint(1))},
        "bond": s.uint(16),
        "address": s.take(s.compact()).decode(errors="replace"),
        "credited_operations": s.uint(16),
        "accepted": s.uint(4),
        "rejected": s.uint(4),
        "open_obligations": s.uint(4),
    }


_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def ss58(account: bytes, prefix: int = 42) -> str:
    """Address of an account, for networks with a one-byte prefix."""
    import hashlib

    body = bytes([prefix]) + account
    body += hashlib.blake2b(b"SS58PRE" + body).digest()[:2]
    number, text = int.from_bytes(body, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return text


def account_of(address: str) -> bytes:
    """Account bytes of an SS58 address or of hexadecimal text."""
    if address.startswith("0x"):
        return bytes.fromhex(address[2:])
    number = 0
    for char in address:
        number = number * 58 + _BASE58.index(char)
    return number.to_bytes(35, "big")[1:33]


class Chain:
    """A node's JSON-RPC."""

    def __init__(self, port: int):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def call(self, method: str, *params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        status, answer = http_json("POST", self.url, body, timeout=20.0)
        if status != 200 or not isinstance(answer, dict):
            raise RpcError(f"{method}: status {status}: {answer}")
        if "error" in answer:
            raise RpcError(f"{method}: {answer['error']}")
        return answer["result"]

    def best(self) -> int:
        return int(self.call("chain_getHeader")["number"], 16)

    def finalized_hash(self) -> str:
        return self.call("chain_getFinalizedHead")

    def finalized(self) -> int:
        return int(self.call("chain_getHeader", self.finalized_hash())["number"], 16)

    def api(self, function: str, args: bytes = b"", finalized: bool = True) -> Scale:
        at = [self.finalized_hash()] if finalized else []
        return Scale(bytes.fromhex(self.call("state_call", f"AriaApi_{function}", "0x" + args.hex(), *at)[2:]))

    def record(self, identifier: str, finalized: bool = True) -> dict | None:
        s = self.api("record", bytes.fromhex(identifier[2:]), finalized)
        return s.option(lambda: _record(s))

    def draws(self, start: int = 0, finalized: bool = True) -> list[dict]:
        s = self.api("draws", start.to_bytes(8, "little") + (256).to_bytes(4, "little"), finalized)
        return s.list(lambda: _draw(s))

    def worker(self, account: str, finalized: bool = True) -> dict | None:
        s = self.api("worker", account_of(account), finalized)
        return s.option(lambda: _worker(s))

    def workers(self, finalized: bool = True) -> dict[str, dict]:
        s = self.api("workers", (0).to_bytes(4, "little") + (256).to_bytes(4, "little"), finalized)
        return dict(s.list(lambda: (ss58(s.take(32)), _worker(s))))

    def stats(self, finalized: bool = True) -> dict:
        s = self.api("stats", b"", finalized)
        names = ["receipts", "batches", "draws", "accepted", "rejected", "tokens", "microjoules"]
        return {**{n: s.uint(8) for n in names}, "workers": s.uint(4), "models": s.uint(4)}


def find_receipt(answer) -> dict | None:
    """The object that holds a receipt's fields, wherever the answer keeps it."""
    if isinstance(answer, dict):
        if "trace_root" in answer:
            return answer
        answer = list(answer.values())
    if isinstance(answer, list):
        for item in answer:
            if (found := find_receipt(item)) is not None:
                return found
    return None
