"""Other people's clients, each behind the same few calls, so that one test can ask all of them the same."""

import json
import os
from importlib.metadata import version

from javascript import package_version, run_script

# LiteLLM asks the internet for prices otherwise.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"


class Refused(Exception):
    """An error of the API as a client tells it: the classes by which it can be caught, its status and its text."""

    def __init__(self, error: Exception | dict):
        if isinstance(error, dict):
            self.names, self.status, self.text = [error["name"]], error["status"], error["message"]
        else:
            self.names = [kind.__name__ for kind in type(error).__mro__]
            self.status, self.text = getattr(error, "status_code", None), str(error)
        super().__init__(f"{self.names[0]}, {self.status}: {self.text}")


def messages(said: str | list) -> list:
    """A conversation: what a user says, or all of it."""
    return [{"role": "user", "content": said}] if isinstance(said, str) else said


def answer(text, finish, usage, logprobs=None, pieces=1, calls=()) -> dict:
    return {
        "calls": list(calls),
        "text": text,
        "finish": finish,
        "usage": usage,
        "logprobs": logprobs,
        "pieces": pieces,
    }


def counts(usage) -> list[int]:
    return [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens]


def joined(chunks) -> dict:
    """What chunks in OpenAI's shape say together."""
    chunks = list(chunks)
    choices = [c.choices[0] for c in chunks if c.choices]
    texts = [c.delta.content for c in choices if c.delta.content]
    usage = [c.usage for c in chunks if getattr(c, "usage", None)]
    finish = [c.finish_reason for c in choices if c.finish_reason]
    calls = {}
    for call in (call for c in choices for call in c.delta.tool_calls or []):
        known = calls.setdefault(call.index, [call.id, call.function.name, ""])
        known[2] += call.function.arguments or ""
    return answer("".join(texts), finish[-1], counts(usage[-1]), pieces=len(texts), calls=calls.values())


def whole(done) -> dict:
    choice = done.choices[0]
    content = choice.logprobs.content if getattr(choice, "logprobs", None) else None
    logprobs = content and [[t.token, t.logprob, len(t.top_logprobs)] for t in content]
    calls = [[c.id, c.function.name, c.function.arguments] for c in choice.message.tool_calls or []]
    return answer(choice.message.content, choice.finish_reason, counts(done.usage), logprobs, calls=calls)


def response(done, pieces=1) -> dict:
    """What a response of `/v1/responses` says."""
    usage = [done.usage.input_tokens, done.usage.output_tokens, done.usage.total_tokens]
    texts = [part.text for item in done.output if item.type == "message" for part in item.content]
    return answer("".join(texts), done.status, usage, pieces=pieces)


class OpenAiPython:
    """The official `openai` package."""

    name = "openai (Python)"
    version = version("openai")

    def __init__(self, url: str, key: str, model: str, retries: int = 0):
        import openai

        self.model, self.openai = model, openai
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=retries, timeout=60.0)

    def chat(self, said: str | list, stream: bool = False, **options) -> dict:
        request = {"model": self.model, "messages": messages(said), **options}
        try:
            if stream:
                request["stream_options"] = {"include_usage": True}
                return joined(self.client.chat.completions.create(stream=True, **request))
            return whole(self.client.chat.completions.create(**request))
        except self.openai.APIStatusError as error:
            raise Refused(error) from error

    def respond(self, text: str, form: dict, stream: bool = False, **options) -> dict:
        request = {"model": self.model, "input": text, "text": {"format": form}, **options}
        if not stream:
            return response(self.client.responses.create(**request))
        with self.client.responses.stream(**request) as events:
            pieces = sum(event.type == "response.output_text.delta" for event in events)
            return response(events.get_final_response(), pieces)


class OpenAiNode:
    """The official `openai` package of Node."""

    name = "openai (Node)"

    def __init__(self, url: str, key: str, model: str, retries: int = 0):
        self.setup = {"url": f"{url}/v1", "key": key, "retries": retries}
        self.model = model

    @property
    def version(self) -> str:
        return package_version("openai")

    def ask(self, question: dict) -> dict:
        told = run_script("openai.mjs", json.dumps({**self.setup, **question}))
        if "error" in told:
            raise Refused(told["error"])
        return told

    def chat(self, said: str | list, stream: bool = False, **options) -> dict:
        request = {"model": self.model, "messages": messages(said), "stream": stream, **options}
        return self.ask({"chat": request})

    def respond(self, text: str, form: dict, stream: bool = False, **options) -> dict:
        request = {"model": self.model, "input": text, "text": {"format": form}, **options}
        return self.ask({"response": request, "stream": stream})


class LangChain:
    """`ChatOpenAI` of `langchain-openai`."""

    name = "LangChain"
    version = version("langchain-openai")

    def __init__(self, url: str, key: str, model: str, retries: int = 0):
        self.setup = {"base_url": f"{url}/v1", "api_key": key, "model": model, "max_retries": retries, "timeout": 60}

    def chat(self, said: str | list, stream: bool = False, **options) -> dict:
        import openai
        from langchain_openai import ChatOpenAI

        call = {name: options.pop(name) for name in ("stop", "response_format") if name in options}
        tools = {name: options.pop(name) for name in ("tools", "tool_choice", "parallel_tool_calls") if name in options}
        model = ChatOpenAI(**self.setup, stream_usage=True, **options)
        if tools:
            model = model.bind_tools(**tools)
        try:
            if stream:
                chunks = list(model.stream(messages(said), **call))
                pieces = [c for c in chunks if c.content]
                message = chunks[0]
                for chunk in chunks[1:]:
                    message += chunk
            else:
                message, pieces = model.invoke(messages(said), **call), [1]
        except openai.APIStatusError as error:
            raise Refused(error) from error
        usage = message.usage_metadata
        content = (message.response_metadata.get("logprobs") or {}).get("content")
        logprobs = content and [[t["token"], t["logprob"], len(t["top_logprobs"])] for t in content]
        return answer(
            message.content,
            message.response_metadata["finish_reason"],
            [usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]],
            logprobs,
            len(pieces),
            [[call["id"], call["name"], json.dumps(call["args"])] for call in message.tool_calls],
        )

    def respond(self, text: str, form: dict, stream: bool = False, **options) -> dict:
        from langchain_openai import ChatOpenAI

        model = ChatOpenAI(**self.setup, use_responses_api=True, stream_usage=True, **options)
        form = {"type": "json_schema", "json_schema": {name: form[name] for name in ("name", "schema", "strict")}}
        if stream:
            chunks = list(model.stream(text, response_format=form))
            message, pieces = chunks[0], sum(bool(c.text) for c in chunks)
            for chunk in chunks[1:]:
                message += chunk
        else:
            message, pieces = model.invoke(text, response_format=form), 1
        usage = message.usage_metadata
        usage = [usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]]
        return answer(message.text, message.response_metadata["status"], usage, pieces=pieces)


class LiteLlm:
    """`litellm.completion` with the provider `openai`."""

    name = "LiteLLM"
    version = version("litellm")

    def __init__(self, url: str, key: str, model: str, retries: int = 0):
        self.setup = {"api_base": f"{url}/v1", "api_key": key, "model": f"openai/{model}", "max_retries": retries}

    def chat(self, said: str | list, stream: bool = False, **options) -> dict:
        import litellm
        import openai

        litellm.suppress_debug_info = True
        request = {**self.setup, "messages": messages(said), "timeout": 60, **options}
        try:
            if stream:
                return joined(litellm.completion(stream=True, stream_options={"include_usage": True}, **request))
            return whole(litellm.completion(**request))
        except openai.APIStatusError as error:
            raise Refused(error) from error

    def respond(self, text: str, form: dict, stream: bool = False, **options) -> dict:
        import litellm

        litellm.suppress_debug_info = True
        request = {**self.setup, "input": text, "text": {"format": form}, "timeout": 60, **options}
        if not stream:
            return response(litellm.responses(**request))
        events = list(litellm.responses(stream=True, **request))
        pieces = sum(event.type == "response.output_text.delta" for event in events)
        return response(events[-1].response, pieces)


CLIENTS = {"python": OpenAiPython, "node": OpenAiNode, "langchain": LangChain, "litellm": LiteLlm}
