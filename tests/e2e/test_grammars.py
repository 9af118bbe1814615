"""Schemas and grammars that take long to compile: others' answers flow on meanwhile, and the worker's memory comes back."""

import http.client
import itertools
import json
import string
import threading
import time

import pytest
from conftest import Network

# Gaps between tokens are measured, and what else runs on the machine would lengthen them.
pytestmark = pytest.mark.alone

# The longest pause between two tokens of another client's stream, seconds.
GAP = 0.2
# What a worker may keep of all that it refused: caches of memory, and grammars that were fine.
KEPT_MIB = 64

SCHEMAS = [
    {"type": "integer", "multipleOf": 100000007},
    {"type": "integer", "multipleOf": 1000000007},
    {"allOf": [{"type": "integer", "multipleOf": 10007}, {"multipleOf": 10009}]},
    {"type": "object", "properties": {"id": {"type": "number", "multipleOf": 4294967291}}},
    # Each pair of patterns is compared.
    {"type": "object", "patternProperties": {f"^{i}x[a-z]{{1,40}}$": True for i in range(1500)}},
]
PERIODS = " & ".join(f"/((.|\\n){{{period}}})*/" for period in (101, 103, 107))
NAMES = ["".join(name) for name in itertools.islice(itertools.product(string.ascii_lowercase, repeat=3), 7801)]
GRAMMARS = [
    f'start: T\nT: "0" | "x" ({PERIODS} & /.+/)',
    # A chain of rules that overflows the stack.
    "start: aaa\n" + "\n".join(map(":".join, itertools.pairwise(NAMES))) + f'\n{NAMES[-1]}: "a"',
]


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    network = Network(tmp_path_factory.mktemp("grammars"), validators=False)
    try:
        yield network.party("Worker", "worker")
    finally:
        network.close()


def hostile() -> list[dict]:
    forms = [{"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": s}}} for s in SCHEMAS]
    function = lambda s: {"type": "function", "function": {"name": "f", "parameters": s}}  # noqa: E731
    # The last one is longer than the model's context, in which tools are told.
    wrapped = [{"type": "object", "properties": {"a": schema}} for schema in SCHEMAS[:-1]]
    tools = [{"tools": [function(schema)], "tool_choice": "required"} for schema in wrapped]
    return forms + tools + [{"grammar": text} for text in GRAMMARS]


def ask(worker, change: dict):
    body = {"model": worker.model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8, "seed": 1}
    return worker.post("/v1/chat/completions", {**body, **change})


def memory(worker) -> int:
    """MiB of the worker's process."""
    with open(f"/proc/{worker.process.popen.pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


class Streams(threading.Thread):
    """A client that streams one answer after another, and notes the pauses between tokens."""

    def __init__(self, worker):
        super().__init__()
        self.address, self.model = ("127.0.0.1", worker.port), worker.model
        self.gaps: list[float] = []
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            connection = http.client.HTTPConnection(*self.address, timeout=60)
            body = {"model": self.model, "prompt": "Once upon a time", "max_tokens": 200, "stream": True, "seed": 3}
            connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
            last = None
            for line in connection.getresponse():
                if line.startswith(b"data: "):
                    now = time.monotonic()
                    self.gaps += [now - last] if last else []
                    last = now
            connection.close()


def test_costly_grammars_should_hold_up_nobody_and_leave_nothing_behind(worker):
    # Once for what every worker has after its first grammar: the vocabulary in the library's shape.
    assert ask(worker, {"response_format": {"type": "json_object"}})[0] == 200
    other = Streams(worker)
    other.start()
    try:
        before, worst = memory(worker), 0.0
        for change in hostile():
            start = time.monotonic()
            status, body = ask(worker, change)
            worst = max(worst, time.monotonic() - start)
            if change.get("grammar") == GRAMMARS[1] and status == 200:
                # Its stack sufficed.
                continue
            assert status == 400, body
            # Functions whose numbers the library would round are refused before it.
            assert body["error"]["code"] in ("invalid_grammar", "unsupported_value"), body
            assert len(json.dumps(body)) < 2048, body
    finally:
        other.done.set()
        other.join()
    assert worker.process.alive()
    assert len(other.gaps) > 100
    assert max(other.gaps) < GAP, sorted(other.gaps)[-5:]
    # Two seconds of work, in five times as much time at most.
    assert worst < 15, worst
    assert memory(worker) - before < KEPT_MIB, (before, memory(worker))


def test_many_costly_grammars_at_once_should_wait_for_each_other(worker):
    pairs = {"type": "object", "patternProperties": {f"^{i}y[a-z]{{1,40}}$": True for i in range(1500)}}
    change = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": pairs}}}
    answers: list = []
    clients = [threading.Thread(target=lambda: answers.append(ask(worker, change))) for _ in range(12)]
    for client in clients:
        client.start()
    # An answer without a grammar waits for none of them.
    start = time.monotonic()
    assert ask(worker, {})[0] == 200
    assert time.monotonic() - start < 5
    for client in clients:
        client.join()
    # Those that waited too long are told to try again.
    assert {status for status, _ in answers} <= {400, 503}, answers
    assert any(status == 400 for status, _ in answers), answers
    fine = {"response_format": {"type": "json_object"}}
    assert ask(worker, fine)[0] == 200
