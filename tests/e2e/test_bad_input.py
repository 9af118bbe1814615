"""Bad input over HTTP: each a clear error in OpenAI's shape, with the right status, and a worker that goes on."""

import threading

import openai
import pytest
from conftest import API_KEY, Network

# They share a worker.
pytestmark = pytest.mark.xdist_group("bad_input")

AUTH = {"authorization": f"Bearer {API_KEY}"}


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """An offline worker that asks for a key, works on two requests at once and lets one more wait."""
    network = Network(tmp_path_factory.mktemp("bad-input"), validators=False)
    try:
        yield network.party("Worker", "worker", extra=["--api-key", API_KEY, "--parallel", 2, "--queue", 1])
    finally:
        network.close()


@pytest.fixture(autouse=True)
def goes_on(worker):
    yield
    assert worker.process.alive()
    assert worker.get("/health")[0] == 200


def model_of(worker) -> str:
    return worker.openai().models.list().data[0].id


def check(answer, status: int, code: str | None = None) -> None:
    got, body = answer
    assert got == status, body
    error = body["error"]
    assert {"message", "type", "param", "code"} <= set(error), error
    assert error["message"]
    if code is not None:
        assert error["code"] == code, error


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
@pytest.mark.parametrize("body", [b"{", b"", b"[]", b"null", b'{"model": 3}', b"\xff\xfe", b'{"prompt": {"a": 1}}'])
def test_malformed_body_should_be_400(worker, path, body):
    check(worker.post(path, body, AUTH), 400)


def test_unknown_model_should_be_404(worker):
    check(worker.post("/v1/completions", {"model": "nobody", "prompt": "Once"}, AUTH), 404, "model_not_found")
    with pytest.raises(openai.NotFoundError):
        worker.openai().chat.completions.create(model="nobody", messages=[{"role": "user", "content": "Hi"}])


def test_wrong_or_absent_key_should_be_401(worker):
    for headers in ({"authorization": "Bearer sk-wrong"}, {"authorization": API_KEY}, {}):
        check(worker.post("/v1/completions", {"model": "any", "prompt": "Once"}, headers), 401)
    with pytest.raises(openai.AuthenticationError):
        worker.openai("sk-wrong").models.list()


def test_prompt_longer_than_the_context_should_be_400(worker):
    request = {"model": model_of(worker), "prompt": "once upon a time " * 4000, "max_tokens": 4}
    check(worker.post("/v1/completions", request, AUTH), 400, "context_length_exceeded")


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": -1},
        {"temperature": "hot"},
        {"top_p": 7},
        {"max_tokens": -3},
        {"max_tokens": 0.5},
        {"n": 0},
        {"stop": 5},
    ],
)
def test_parameter_out_of_range_should_be_400(worker, change):
    request = {"model": model_of(worker), "prompt": "Once", "max_tokens": 4, **change}
    check(worker.post("/v1/completions", request, AUTH), 400)


def test_unknown_field_should_be_ignored(worker):
    request = {"model": model_of(worker), "prompt": "Once", "max_tokens": 2, "store": True, "metadata": {"a": "b"}}
    status, body = worker.post("/v1/completions", request, AUTH)
    assert status == 200, body


def test_unknown_path_should_be_404(worker):
    assert worker.post("/v1/nothing", {}, AUTH)[0] == 404


def test_full_queue_should_be_429_with_retry_after(worker):
    model = model_of(worker)
    seen, lock = [], threading.Lock()

    def ask() -> None:
        try:
            worker.openai().completions.create(model=model, prompt="Once", max_tokens=200, temperature=1.0)
            status, retry = 200, None
        except openai.APIStatusError as error:
            status, retry = error.status_code, error.response.headers.get("retry-after")
        with lock:
            seen.append((status, retry))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    statuses = [status for status, _ in seen]
    assert set(statuses) == {200, 429}, statuses
    assert all(retry for status, retry in seen if status == 429), "429 without Retry-After"
