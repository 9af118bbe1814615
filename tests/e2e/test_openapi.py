"""The API's document against the worker, and the worker's answers against OpenAI's own schemas."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from conftest import API_KEY, Network
from harness import ROOT
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

OPENAI = ROOT.parent / "shared" / "vectors" / "openai" / "openapi.json"
KEY = {"authorization": f"Bearer {API_KEY}"}
MOOD = {
    "type": "object",
    "properties": {"happy": {"type": "boolean"}},
    "required": ["happy"],
    "additionalProperties": False,
}
CALL = {"name": "mood", "parameters": MOOD, "strict": True}
TALK = [{"role": "user", "content": "Tell me a story."}]


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """An offline worker that asks for a key."""
    network = Network(tmp_path_factory.mktemp("openapi"), validators=False)
    try:
        yield network.party("Worker", "worker", extra=["--api-key", API_KEY])
    finally:
        network.close()


@pytest.fixture(scope="module")
def model(worker) -> str:
    return worker.get("/v1/models", KEY)[1]["data"][0]["id"]


class Schemas:
    """OpenAI's document."""

    def __init__(self):
        if not OPENAI.exists():
            pytest.skip(f"{OPENAI} is not on this machine")
        document = json.loads(OPENAI.read_text())
        self.schemas = document["components"]["schemas"]
        self.registry = Registry().with_resource("urn:openai", Resource(document, DRAFT202012))

    def check(self, name: str, value) -> None:
        schema = {"$ref": f"urn:openai#/components/schemas/{name}"}
        validator = jsonschema.Draft202012Validator(schema, registry=self.registry)
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        assert error is None, f"{name}: {error.json_path}: {error.message[:300]}\n{json.dumps(value)[:2000]}"

    def event(self, event: dict) -> None:
        """Checks an event of `/v1/responses` against the schema of its type."""
        names = [one["$ref"].rsplit("/", 1)[-1] for one in self.schemas["ResponseStreamEvent"]["anyOf"]]
        of_type = [name for name in names if self.schemas[name]["properties"]["type"]["enum"] == [event["type"]]]
        assert len(of_type) == 1, event["type"]
        self.check(of_type[0], event)


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    return Schemas()


def events(text: str) -> list:
    """Data of a stream, without the end that chats have."""
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(one) for one in data if one != "[DONE]"]


def named(schema: dict) -> dict:
    return {"type": "json_schema", "json_schema": {"name": "mood", "schema": schema, "strict": True}}


CHATS = {
    "plain": {"max_completion_tokens": 8, "seed": 1, "stop": ["never"]},
    "several": {"n": 2, "max_completion_tokens": 4, "logprobs": True, "top_logprobs": 2},
    "schema": {"response_format": named(MOOD), "max_completion_tokens": 40},
    "call": {"tools": [{"type": "function", "function": CALL}], "tool_choice": "required", "parallel_tool_calls": False},
    "after a call": {
        "max_completion_tokens": 4,
        "messages": [
            *TALK,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "mood", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "happy"},
        ],
    },
}


@pytest.mark.parametrize("name", CHATS)
def test_chats_should_match_openais_schemas(worker, model, schemas, name):
    request = {"model": model, "messages": TALK, **CHATS[name]}
    schemas.check("CreateChatCompletionRequest", request)
    status, answer = worker.post("/v1/chat/completions", request, KEY)
    assert status == 200, answer
    schemas.check("CreateChatCompletionResponse", answer)
    request |= {"stream": True, "stream_options": {"include_usage": True}}
    schemas.check("CreateChatCompletionRequest", request)
    for chunk in events(worker.post("/v1/chat/completions", request, KEY)[1]):
        # Before the end these are null, as OpenAI's text and examples say and its schema forgets.
        if chunk["choices"]:
            assert chunk.pop("usage") is None
        for choice in chunk["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or "stop"
            if choice["logprobs"] is None:
                del choice["logprobs"]
            else:
                choice["logprobs"]["refusal"] = choice["logprobs"]["refusal"] or []
        schemas.check("CreateChatCompletionStreamResponse", chunk)


@pytest.mark.parametrize("change", [{}, {"n": 2, "logprobs": 2}, {"prompt": ["Once", "A dog"]}])
def test_completions_should_match_openais_schemas(worker, model, schemas, change):
    request = {"model": model, "prompt": "Once", "max_tokens": 4, **change}
    schemas.check("CreateCompletionRequest", request)
    status, answer = worker.post("/v1/completions", request, KEY)
    assert status == 200, answer
    schemas.check("CreateCompletionResponse", answer)
    for chunk in events(worker.post("/v1/completions", {**request, "stream": True}, KEY)[1]):
        # The schema is that of whole answers, whose choices have ended.
        for choice in chunk["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        schemas.check("CreateCompletionResponse", chunk)


RESPONSES = {
    "plain": {"instructions": "Be brief.", "max_output_tokens": 16, "metadata": {"a": "b"}},
    "logprobs": {"include": ["message.output_text.logprobs"], "top_logprobs": 2, "max_output_tokens": 16},
    "schema": {"text": {"format": {"type": "json_schema", "name": "mood", "schema": MOOD}}},
    "call": {"tools": [{"type": "function", **CALL}], "tool_choice": "required", "parallel_tool_calls": False},
    "after a call": {
        "max_output_tokens": 16,
        "input": [
            *TALK,
            {"type": "function_call", "call_id": "call_1", "name": "mood", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "happy"},
        ],
    },
}


@pytest.mark.parametrize("name", RESPONSES)
def test_responses_should_match_openais_schemas(worker, model, schemas, name):
    request = {"model": model, "input": "Tell me a story.", **RESPONSES[name]}
    schemas.check("CreateResponse", request)
    status, answer = worker.post("/v1/responses", request, KEY)
    assert status == 200, answer
    schemas.check("Response", answer)
    for event in events(worker.post("/v1/responses", {**request, "stream": True}, KEY)[1]):
        schemas.event(event)


def test_models_and_errors_should_match_openais_schemas(worker, schemas):
    schemas.check("ListModelsResponse", worker.get("/v1/models", KEY)[1])
    status, error = worker.post("/v1/chat/completions", {"model": "nobody"}, KEY)
    assert status == 404
    schemas.check("ErrorResponse", error)


def test_schemathesis_should_find_nothing(worker, tmp_path):
    """Requests made up from our own document, right ones and wrong ones."""
    program = Path(sys.executable).parent / "schemathesis"
    here = Path(__file__).resolve().parent
    done = subprocess.run(
        [program, "--config-file", here / "schemathesis.toml", "run", f"{worker.url}/openapi.json"]
        + ["--url", worker.url, "--header", f"Authorization: {KEY['authorization']}"]
        + ["--max-examples", "12", "--seed", "1", "--no-color"],
        # It keeps what it has seen beside where it runs.
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "Failures:" not in done.stdout, done.stdout[-4000:]
