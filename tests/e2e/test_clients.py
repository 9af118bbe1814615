"""Other people's clients against a worker: what each of them relies on, and a table of what works.

The table is written to `e2e-clients.md` in the folder of build results; docs/clients.md has the same rows.
"""

import http.server
import json
import threading
import urllib.error
import urllib.request

import pytest
import table
from clients import CLIENTS, Refused
from conftest import API_KEY, Network

STORY = "Tell me a story."
SCHEMA = {
    "type": "object",
    "properties": {"happy": {"type": "boolean"}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["happy", "age"],
    "additionalProperties": False,
}

# Small, because the demonstration model's context is.
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Oslo", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """An offline worker that asks for a key and works on one request while one more waits."""
    network = Network(tmp_path_factory.mktemp("clients"), validators=False)
    try:
        yield network.party("Worker", "worker", extra=["--api-key", API_KEY, "--parallel", 1, "--queue", 1])
    finally:
        network.close()


@pytest.fixture(scope="module")
def model(worker) -> str:
    return worker.openai().models.list().data[0].id


class Relay(http.server.ThreadingHTTPServer):
    """Stands between a client and the worker, and writes down how each request was answered."""

    daemon_threads = True

    def __init__(self, target: str):
        super().__init__(("127.0.0.1", 0), RelayHandler)
        self.target, self.seen = target, []
        self.url = f"http://127.0.0.1:{self.server_port}"


class RelayHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name: self.headers[name] for name in ("authorization", "content-type")}
        request = urllib.request.Request(self.server.target + self.path, body, headers)
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            content, retry = answer.read(), answer.headers.get("retry-after")
            self.server.seen.append((answer.status, retry))
            self.send_response(answer.status)
        for name, value in {"content-type": "application/json", "retry-after": retry}.items():
            if value:
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def refused(make, worker, model, key=API_KEY, **options) -> Refused:
    with pytest.raises(Refused) as caught:
        make(worker.url, key, model).chat(STORY, max_tokens=4, **options)
    return caught.value


def streaming(make, worker, model):
    client = make(worker.url, API_KEY, model)
    options = {"max_tokens": 12, "temperature": 0}
    streamed, at_once = client.chat(STORY, stream=True, **options), client.chat(STORY, **options)
    assert streamed["pieces"] > 2, streamed
    assert streamed["text"] == at_once["text"] != ""
    assert streamed["finish"] == at_once["finish"] == "length"


def stop(make, worker, model):
    client = make(worker.url, API_KEY, model)
    options = {"max_tokens": 24, "temperature": 0}
    text = client.chat(STORY, **options)["text"]
    word = text.split()[3]
    for stream in (False, True):
        stopped = client.chat(STORY, stream=stream, stop=[word], **options)
        assert stopped["text"] == text[: text.index(word)]
        assert stopped["finish"] == "stop"


def usage(make, worker, model):
    client = make(worker.url, API_KEY, model)
    options = {"max_tokens": 7, "temperature": 0}
    at_once, streamed = client.chat(STORY, **options), client.chat(STORY, stream=True, **options)
    read, written, together = at_once["usage"]
    assert written == 7 and read > 0 and together == read + written
    assert streamed["usage"] == at_once["usage"]


def error_400(make, worker, model):
    error = refused(make, worker, model, temperature=-1)
    assert "BadRequestError" in error.names and error.status == 400, error
    assert "temperature" in error.text


def error_401(make, worker, model):
    error = refused(make, worker, model, key="sk-wrong")
    assert "AuthenticationError" in error.names and error.status == 401, error


def error_404(make, worker, model):
    error = refused(make, worker, "nobody")
    assert "NotFoundError" in error.names and error.status == 404, error
    assert "nobody" in error.text


def retried(make, worker, model):
    """The worker is kept full until it has refused the client once; the client comes back and gets its answer."""
    relay = Relay(worker.url)
    threading.Thread(target=relay.serve_forever, daemon=True).start()
    busy = {"model": model, "prompt": "Once", "max_tokens": 200, "temperature": 100}
    was_refused = threading.Event()

    def fill() -> None:
        while not was_refused.is_set():
            worker.post("/v1/completions", busy, {"authorization": f"Bearer {API_KEY}"})
            if any(status == 429 for status, _ in relay.seen):
                was_refused.set()

    threads = [threading.Thread(target=fill) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        client = make(relay.url, API_KEY, model, retries=8)
        for _ in range(50):
            relay.seen.clear()
            answer = client.chat(STORY, max_tokens=4)
            if relay.seen[0][0] == 429:
                break
    finally:
        was_refused.set()
        for thread in threads:
            thread.join(60)
        relay.shutdown()
        relay.server_close()
    *refusals, last = relay.seen
    assert refusals and all(status == 429 and retry for status, retry in refusals), relay.seen
    assert last == (200, None)
    assert answer["usage"][1] > 0


def logprobs(make, worker, model):
    client = make(worker.url, API_KEY, model)
    told = client.chat(STORY, max_tokens=5, temperature=0, logprobs=True, top_logprobs=3)
    assert len(told["logprobs"]) == 5
    assert "".join(token for token, _, _ in told["logprobs"]) == told["text"]
    assert all(logprob <= 0 and tops == 3 for _, logprob, tops in told["logprobs"])


def seed(make, worker, model):
    client = make(worker.url, API_KEY, model)
    options = {"max_tokens": 16, "temperature": 2}
    first, second, other = (client.chat(STORY, seed=seed, **options)["text"] for seed in (5, 5, 6))
    assert first == second != other


def json_schema(make, worker, model):
    client = make(worker.url, API_KEY, model)
    form = {"type": "json_schema", "json_schema": {"name": "mood", "strict": True, "schema": SCHEMA}}
    told = client.chat(STORY, max_tokens=60, seed=1, response_format=form)
    read = json.loads(told["text"])
    assert set(read) == {"happy", "age"} and isinstance(read["happy"], bool) and 0 <= read["age"] <= 99


def tools(make, worker, model):
    """A call that must be made, whole and streamed, then the conversation with what it gave."""
    client = make(worker.url, API_KEY, model)
    options = {"tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": False}
    called = []
    for stream in (False, True):
        told = client.chat(STORY, stream=stream, max_tokens=100, temperature=0, **options)
        [(number, name, arguments)] = told["calls"]
        assert name == "weather" and told["finish"] == "tool_calls" and not told["text"], told
        called.append(json.loads(arguments))
    assert called[0] == called[1] and called[0]["city"] in ("Oslo", "Rome")
    call = {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}
    after = [
        {"role": "user", "content": STORY},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": number, "content": "It rains."},
    ]
    assert client.chat(after, max_tokens=8)["text"]


def responses(make, worker, model):
    """`/v1/responses`, whole and streamed."""
    client = make(worker.url, API_KEY, model)
    form = {"type": "json_schema", "name": "mood", "strict": True, "schema": SCHEMA}
    at_once, streamed = (client.respond(STORY, form, stream=stream, temperature=0) for stream in (False, True))
    assert at_once["finish"] == streamed["finish"] == "completed"
    assert streamed["text"] == at_once["text"] and set(json.loads(at_once["text"])) == {"happy", "age"}
    assert streamed["usage"] == at_once["usage"] and streamed["pieces"] > 2


CHECKS = {
    "streaming": streaming,
    "stop": stop,
    "usage": usage,
    "400": error_400,
    "401": error_401,
    "404": error_404,
    "429 retried": retried,
    "logprobs": logprobs,
    "seed": seed,
    "json_schema": json_schema,
    "tools": tools,
    "responses": responses,
}


def test_clients_should_get_what_they_rely_on_and_the_documents_should_say_so(worker, model, subtests):
    """One test with a part for each cell, so that whoever runs it has the whole table."""
    lines = table.header(CHECKS)
    for make in CLIENTS.values():
        cells = dict.fromkeys(CHECKS, False)
        for feature, check in CHECKS.items():
            with subtests.test(client=make.name, feature=feature):
                check(make, worker, model)
                cells[feature] = True
        client = make(worker.url, API_KEY, model)
        lines.append(table.row(f"{client.name} {client.version}", cells.values()))
    table.should_be_in_the_documents(lines, "e2e-clients.md", "test_clients")
